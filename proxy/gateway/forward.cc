#include "gateway/forward.h"

#include <array>
#include <utility>

#include "base/ascii.h"
#include "gateway/tunnel.h"
#include "http/hop_by_hop.h"
#include "http/serializer.h"
#include "relay/stream_head.h"

namespace ssequel::gateway {
namespace {

// Pieces up to this size are gathered and written once a read; larger ones go out as they are.
constexpr std::size_t kGather = 8 * 1024;

}  // namespace

Forward::Forward(Worker& worker, ClientSession& client, AccessRecord record)
    : worker_(worker), client_(client), record_(std::move(record)) {}

Forward::~Forward() = default;

void Forward::start(const http::RequestHead& head, const relay::Route* route, const relay::UpstreamLastEventId& id) {
  UpstreamSession::Request request;
  request.method = head.method;
  request.has_content = head.framing.kind != http::Framing::Kind::None;
  request.is_chunked = head.framing.kind == http::Framing::Kind::Chunked;
  request.head.reserve(head.fields.bytes() + 256);
  is_upgrade_ = head.is_upgrade;
  relay::append_passed_request(request.head, head,
                               {.address = client_.peer_address(), .via = worker_.settings().options.via}, route, id);
  upstream_ = std::make_unique<UpstreamSession>(worker_.pool(), static_cast<UpstreamListener&>(*this));
  upstream_->start(std::move(request), worker_.settings().options.limits.head_timeout);
}

void Forward::adopt(std::unique_ptr<UpstreamSession> upstream, http::ResponseHead& head) {
  upstream_ = std::move(upstream);
  upstream_->set_listener(*this);
  pass_head(head);
}

// ------------------------------------------------------------------------------------------------------ request

void Forward::on_content(std::string_view content) {
  if (upstream_ && !upstream_->is_over() && !upstream_->write_content(content)) client_.hold_content(true);
}

void Forward::on_content_end(const http::Fields& trailers) {
  if (upstream_ && !upstream_->is_over()) upstream_->finish_content(trailers);
}

void Forward::on_upstream_writable() { client_.hold_content(false); }

void Forward::on_client_writable() {
  if (upstream_) upstream_->resume();
}

void Forward::on_client_eof() {
  // Every intermediary of note takes a client's FIN for its leaving, and services rely on it to stop paid work.
  client_.cut(false);
}

void Forward::on_client_gone() {
  if (status_ != 0 && record_.cause.empty()) record_.cause = "the client left";
  log(status_ == 0 ? 499 : status_);
  if (upstream_ && !upstream_->is_over()) upstream_->abandon();
}

// ----------------------------------------------------------------------------------------------------- response

bool Forward::judge_head(http::ResponseHead&) { return false; }
bool Forward::judge_failure(UpstreamFailure, const Error&) { return false; }
void Forward::amend_head(http::ResponseHead&) {}

void Forward::on_upstream_interim(http::ResponseHead& head) {
  if (client_.is_http10()) return;  // It does not know them (RFC 9110 §15.2).
  http::append_status_line(out_, head.status, head.reason);
  const http::ConnectionOptions connection(head.fields);
  head.fields.for_each([&](const http::Field& field) {
    if (!http::is_hop_by_hop(field.name) && !connection.names(field.name)) {
      http::append_field(out_, field.name, field.value);
    }
  });
  out_ += "\r\n";
  flush();
}

void Forward::on_upstream_head(http::ResponseHead& head) {
  if (head.status == 101 && !is_upgrade_) {
    // An answer nobody asked for: what follows would be read as ours.
    upstream_->abandon();
    on_upstream_failed(UpstreamFailure::Malformed, {ErrorCode::Malformed, "the upstream switched protocols unasked"});
    return;
  }
  if (judge_head(head)) return;
  if (record_.route.empty() && relay::has_event_stream_type(head.fields) && head.status == 200) {
    worker_.count_unrouted_stream(record_.path);
  }
  pass_head(head);
}

void Forward::pass_head(http::ResponseHead& head) {
  amend_head(head);
  status_ = head.status;
  const bool is_switching = head.status == 101;
  const bool tells_upgrade = is_switching || head.status == 426;  // RFC 9110 §15.5.22
  using Kind = http::Framing::Kind;
  const bool is_open_ended = head.framing.kind == Kind::Chunked || head.framing.kind == Kind::UntilClose;
  is_chunked_ = is_open_ended && !client_.is_http10();
  is_delimited_ = !is_open_ended || is_chunked_;
  keep_alive_ = client_.may_keep_alive() && is_delimited_;
  http::append_status_line(out_, head.status, head.reason);
  const http::ConnectionOptions connection(head.fields);
  head.fields.for_each([&](const http::Field& field) {
    if (http::is_hop_by_hop(field.name)) {
      if (tells_upgrade && ascii::equals(field.name, "Upgrade")) http::append_field(out_, field.name, field.value);
      return;
    }
    if (!connection.empty() && connection.names(field.name)) return;
    if (head.status == 204 && ascii::equals(field.name, "Content-Length")) return;  // RFC 9110 §8.6
    out_ += field.name;
    out_ += ": ";
    out_ += field.value;
    out_ += "\r\n";
  });
  if (worker_.settings().options.via) out_ += "Via: 1.1 ssequel\r\n";
  if (is_chunked_) out_ += "Transfer-Encoding: chunked\r\n";
  if (is_switching) {
    out_ += "Connection: upgrade\r\n";
  } else if (!keep_alive_) {
    out_ += tells_upgrade ? "Connection: close, upgrade\r\n" : "Connection: close\r\n";
  } else if (tells_upgrade) {
    out_ += "Connection: upgrade\r\n";
  } else if (client_.is_http10()) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
}

void Forward::on_upstream_content(std::string_view content) {
  if (is_chunked_) http::append_chunk_header(out_, content.size());
  if (content.size() <= kGather) {
    out_ += content;
    if (is_chunked_) out_ += "\r\n";
    return;
  }
  const std::array<std::string_view, 3> pieces = {out_, content, is_chunked_ ? "\r\n" : ""};
  const bool sent = client_.write(pieces);
  out_.clear();
  if (!sent) upstream_->pause();
}

void Forward::on_upstream_read_over() { flush(); }

void Forward::flush() {
  if (out_.empty()) return;
  const bool sent = client_.write(out_);
  out_.clear();
  if (!sent && upstream_) upstream_->pause();
}

void Forward::on_upstream_complete(const http::Fields& trailers) {
  if (is_chunked_) {
    out_ += "0\r\n";
    trailers.append_to(out_);
    out_ += "\r\n";
  }
  if (!out_.empty()) client_.write(out_);
  out_.clear();
  finish(keep_alive_);
}

void Forward::finish(bool keep_alive) {
  log(status_);
  worker_.graveyard().take(std::move(upstream_));
  client_.finish(keep_alive);
}

void Forward::log(int status) {
  if (!std::exchange(is_logged_, true)) worker_.log_access(record_, status);
}

void Forward::on_upstream_upgraded(std::string_view rest) {
  if (!out_.empty()) client_.write(out_);
  log(status_);
  auto from_client = client_.take_input();
  auto tunnel = std::make_unique<Tunnel>(worker_, client_.take_stream(), std::move(upstream_));
  Tunnel& open = *tunnel;
  worker_.adopt(std::move(tunnel));
  client_.over();
  open.start(from_client, rest);
}

void Forward::on_upstream_failed(UpstreamFailure failure, const Error& error) {
  if (status_ != 0) {
    // The response broke off: so does ours, since nothing else can tell (RFC 9112 §8).
    record_.cause = error.context;
    log(status_);
    if (!out_.empty()) client_.write(out_);
    out_.clear();
    client_.break_off(is_delimited_);
    return;
  }
  out_.clear();
  if (judge_failure(failure, error)) return;
  const int status = failure == UpstreamFailure::Timeout ? 504 : 502;
  const bool is_limit = failure == UpstreamFailure::Connect && error.code == ErrorCode::RetryLater;
  record_.cause = error.context;
  log(is_limit ? 503 : status);
  if (is_limit) {
    client_.respond_problem(503, error.context, "Retry-After: 1\r\n");
  } else {
    client_.respond_problem(status, failure == UpstreamFailure::Malformed ? "the upstream's response is no valid HTTP"
                                    : failure == UpstreamFailure::Timeout ? "the upstream did not answer in time"
                                    : failure == UpstreamFailure::Connect ? "no connection to the upstream"
                                                                          : "the upstream closed the connection");
  }
}

}  // namespace ssequel::gateway
