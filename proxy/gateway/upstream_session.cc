#include "gateway/upstream_session.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "gateway/upstream_pool.h"
#include "http/serializer.h"

namespace ssequel::gateway {
namespace {

http::ParserLimits limits_of(const UpstreamPool& pool) {
  http::ParserLimits limits;
  limits.header_bytes = pool.options().max_header_bytes;
  return limits;
}

// Methods that may be sent twice without doing anything twice (RFC 9110 §9.2.2; RFC 4918, 3253, 5323 and 9110's kin).
bool is_idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 9> kIdempotent = {"GET",      "HEAD",   "OPTIONS", "PUT",  "DELETE",
                                                           "PROPFIND", "REPORT", "SEARCH",  "QUERY"};
  return std::find(kIdempotent.begin(), kIdempotent.end(), method) != kIdempotent.end();
}

}  // namespace

UpstreamSession::UpstreamSession(UpstreamPool& pool, UpstreamListener& listener)
    : pool_(pool), listener_(&listener), parser_(limits_of(pool)), deadline_(pool.deadlines(), *this) {}

UpstreamSession::~UpstreamSession() {
  *alive_ = false;
  release_slot();
}

void UpstreamSession::release_slot() {
  if (std::exchange(has_slot_, false)) pool_.release_slot();
}

void UpstreamSession::start(Request request, Millis head_timeout) {
  SSEQUEL_ASSERT(state_ == State::New, "a session sends one request");
  request_ = std::move(request);
  head_timeout_ = head_timeout;
  content_done_ = !request_.has_content;
  parser_.expect(request_.method);
  state_ = State::Connecting;
  if (auto idle = pool_.take_idle()) {
    has_slot_ = true;
    is_reused_ = true;
    stream_ = std::move(idle);
    stream_->set_listener(*this);
    send_head();
    return;
  }
  connect_anew();
}

void UpstreamSession::connect_anew() {
  state_ = State::Connecting;
  if (!has_slot_ && !pool_.take_slot()) {
    // Never from inside start(): the caller is not ready for it.
    pool_.loop().defer([this, alive = alive_] {
      if (*alive && state_ == State::Connecting) {
        fail(UpstreamFailure::Connect, {ErrorCode::RetryLater, "limits.upstream_connections is reached"});
      }
    });
    return;
  }
  has_slot_ = true;
  connect_ = net::Connect::start(pool_.deadlines(), pool_.options().address, pool_.options().connect_timeout, *this);
}

void UpstreamSession::on_connected(net::Owned<net::Stream> stream) {
  connect_.reset();
  stream_ = std::move(stream);
  stream_->set_listener(*this);
  send_head();
}

void UpstreamSession::on_connect_failed(const Error& error) {
  connect_.reset();
  fail(error.code == ErrorCode::RetryLater ? UpstreamFailure::Timeout : UpstreamFailure::Connect, error);
}

void UpstreamSession::send_head() {
  state_ = State::AwaitingHead;
  bool sent = true;
  if (content_before_connect_.empty()) {
    sent = stream_->write(request_.head);
  } else {
    const std::array<std::string_view, 2> pieces = {request_.head, content_before_connect_};
    sent = stream_->write(pieces);
  }
  if (content_done_ && head_timeout_ > Millis(0)) deadline_.set(head_timeout_);
  if (!is_paused_) stream_->start_reading();
  if (std::exchange(content_before_connect_, {}).empty() || !sent) return;
  // The content that waited for the connection has gone out.
  listener_->on_upstream_writable();
}

bool UpstreamSession::write_content(std::string_view content) {
  if (content.empty()) return !is_blocked();
  if (!stream_) {
    if (request_.is_chunked) http::append_chunk_header(content_before_connect_, content.size());
    content_before_connect_ += content;
    if (request_.is_chunked) content_before_connect_ += "\r\n";
    return false;
  }
  if (!request_.is_chunked) return stream_->write(content);
  std::string header;
  http::append_chunk_header(header, content.size());
  const std::array<std::string_view, 3> pieces = {header, content, "\r\n"};
  return stream_->write(pieces);
}

void UpstreamSession::finish_content(const http::Fields& trailers) {
  content_done_ = true;
  if (request_.is_chunked) {
    std::string last = "0\r\n";
    trailers.append_to(last);
    last += "\r\n";
    if (stream_) {
      stream_->write(last);
    } else {
      content_before_connect_ += last;
    }
  }
  if (stream_ && state_ == State::AwaitingHead && head_timeout_ > Millis(0)) deadline_.set(head_timeout_);
}

bool UpstreamSession::is_blocked() const { return stream_ ? stream_->is_blocked() : !content_before_connect_.empty(); }

void UpstreamSession::pause() {
  is_paused_ = true;
  if (stream_) stream_->stop_reading();
}

void UpstreamSession::resume() {
  if (!is_paused_) return;
  is_paused_ = false;
  if (!stream_) return;
  // What was held back is parsed in a later step, never from inside the caller.
  pool_.loop().defer([this, alive = alive_] {
    if (!*alive || is_paused_ || state_ == State::Over) return;
    const auto held = std::exchange(held_, {});
    parse(held);
    if (!*alive || state_ == State::Over || is_paused_) return;
    // Paused and resumed while that was parsed: the step that follows goes on with the rest. Nothing may be read
    // before it.
    if (!held_.empty()) return;
    if (std::exchange(eof_held_, false)) {
      on_eof();
    } else if (stream_) {
      stream_->start_reading();
    }
  });
}

void UpstreamSession::abandon() {
  *alive_ = false;
  alive_ = std::make_shared<bool>(true);
  state_ = State::Over;
  deadline_.cancel();
  connect_.reset();
  stream_.reset();
  release_slot();
}

net::Owned<net::Stream> UpstreamSession::take_stream() {
  state_ = State::Over;
  deadline_.cancel();
  return std::move(stream_);  // Its slot stays ours until we are gone.
}

void UpstreamSession::on_read(std::string_view bytes) {
  is_reused_ = false;  // It has begun to answer.
  parse(bytes);
}

void UpstreamSession::parse(std::string_view bytes) {
  const auto alive = alive_;
  parse_steps(bytes);
  if (*alive && state_ != State::Over) listener_->on_upstream_read_over();
}

void UpstreamSession::parse_steps(std::string_view bytes) {
  const auto alive = alive_;
  for (;;) {
    if (is_paused_) {
      held_ += bytes;
      return;
    }
    switch (parser_.step(bytes)) {
      case http::Step::NeedMore:
        return;
      case http::Step::Head: {
        auto& head = parser_.head();
        if (head.status < 200 && head.status != 101) {
          listener_->on_upstream_interim(head);
          if (!*alive) return;
          break;
        }
        deadline_.cancel();
        if (head.status != 101) state_ = State::Content;
        listener_->on_upstream_head(head);
        if (!*alive || state_ == State::Over) return;
        break;
      }
      case http::Step::Content:
        listener_->on_upstream_content(parser_.content());
        if (!*alive || state_ == State::Over) return;
        break;
      case http::Step::Trailers:
        break;
      case http::Step::Complete:
        if (state_ == State::AwaitingHead) {  // 101
          stream_->stop_reading();
          listener_->on_upstream_upgraded(bytes);
          return;
        }
        finish(bytes.empty());
        return;
      case http::Step::Failed:
        fail(UpstreamFailure::Malformed, {ErrorCode::Malformed, "the upstream's response: " + parser_.error().reason});
        return;
    }
  }
}

void UpstreamSession::finish(bool reusable) {
  // A request that is not sent whole leaves the connection in the middle of it.
  reusable = reusable && content_done_ && !stream_->is_blocked() && parser_.head().keep_alive;
  state_ = State::Over;
  deadline_.cancel();
  if (reusable) {
    has_slot_ = false;
    pool_.give_back(std::move(stream_));
  } else {
    stream_.reset();
    release_slot();
  }
  listener_->on_upstream_complete(parser_.trailers());
}

void UpstreamSession::on_eof() {
  if (is_paused_) {
    eof_held_ = true;
    return;
  }
  if (retry_on_fresh_connection()) return;
  if (parser_.end() == http::Step::Complete) {
    finish(false);
    return;
  }
  fail(UpstreamFailure::Broken, {ErrorCode::PeerGone, "the upstream closed the connection before its response ended"});
}

void UpstreamSession::on_broken(const Error& error) {
  if (retry_on_fresh_connection()) return;
  fail(UpstreamFailure::Broken, {ErrorCode::PeerGone, "the upstream's connection broke: " + error.context});
}

bool UpstreamSession::retry_on_fresh_connection() {
  if (!is_reused_ || state_ != State::AwaitingHead || request_.has_content || !is_idempotent(request_.method)) {
    return false;
  }
  is_reused_ = false;
  deadline_.cancel();
  stream_.reset();
  connect_anew();
  return true;
}

void UpstreamSession::on_drained() { listener_->on_upstream_writable(); }

void UpstreamSession::on_deadline(net::Deadline&) {
  fail(UpstreamFailure::Timeout, {ErrorCode::RetryLater, "no response head within limits.head_timeout"});
}

void UpstreamSession::fail(UpstreamFailure failure, const Error& error) {
  state_ = State::Over;
  deadline_.cancel();
  connect_.reset();
  stream_.reset();
  release_slot();
  listener_->on_upstream_failed(failure, error);
}

}  // namespace ssequel::gateway
