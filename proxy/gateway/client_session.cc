#include "gateway/client_session.h"

#include "base/assert.h"
#include "http/serializer.h"

namespace ssequel::gateway {
namespace {

// RFC 9112 §9.3: an answered request's content has to be read before the next request can be; a little is, else the
// connection closes.
constexpr std::uint32_t kMaxDrain = 64 * 1024;
// While a request is answered, this much of what follows is kept before reading stops.
constexpr std::size_t kMaxPipelined = 64 * 1024;
constexpr Millis kCloseTime{2000};
// How long what was said last has to be read before its breaking off is shown.
constexpr Millis kBreakTime{100};

}  // namespace

ClientSession::ClientSession(net::Owned<net::Stream> stream, net::DeadlineQueue& deadlines, ClientHandler& handler,
                             const http::ParserLimits& limits, const ClientTimeouts& timeouts)
    : stream_(std::move(stream)),
      deadlines_(deadlines),
      handler_(handler),
      parser_(limits),
      deadline_(deadlines, *this),
      timeouts_(timeouts) {
  stream_->set_listener(*this);
  stream_->start_reading();
  deadline_.set(timeouts_.header);
}

ClientSession::ClientSession(net::Owned<net::Stream> stream, net::DeadlineQueue& deadlines, ClientHandler& handler,
                             const http::ParserLimits& limits, const ClientTimeouts& timeouts, Handover handover)
    : ClientSession(std::move(stream), deadlines, handler, limits, timeouts) {
  deadline_.cancel();
  state_ = State::Busy;
  input_ = std::move(handover.input);
  peer_ = std::move(handover.peer);
  minor_version_ = handover.minor_version;
  request_keep_alive_ = handover.keep_alive;
  is_head_request_ = handover.is_head;
  content_over_ = handover.is_content_over;
  content_held_ = !content_over_;
  expects_continue_ = handover.expects_continue;
  if (handover.parser) parser_ = std::move(*handover.parser);
}

std::optional<Handover> ClientSession::hand_over() {
  SSEQUEL_ASSERT(state_ == State::Busy && !processing_, "a request is handed over between two steps");
  Handover handover;
  if (stream_ && !stream_->is_blocked()) {
    handover.peer = peer_address();
    handover.is_unix = handover.peer.empty();
    handover.descriptor = stream_->detach();
  }
  handover.input = std::exchange(input_, {});
  handover.minor_version = minor_version_;
  handover.keep_alive = request_keep_alive_;
  handover.is_head = is_head_request_;
  handover.is_content_over = content_over_;
  handover.expects_continue = expects_continue_;
  handover.parser = std::move(parser_);
  retire_exchange();
  over();
  if (handover.descriptor < 0) return std::nullopt;
  return handover;
}

const std::string& ClientSession::peer_address() {
  if (peer_.empty() && stream_) peer_ = stream_->peer_address();
  return peer_;
}

bool ClientSession::may_keep_alive() const { return request_keep_alive_ && !handler_.is_closing(); }

// ------------------------------------------------------------------------------------------------------- input

void ClientSession::on_read(std::string_view bytes) {
  switch (state_) {
    case State::Closing:
      drained_ += static_cast<std::uint32_t>(bytes.size());
      if (drained_ > 16 * kMaxDrain) over();
      return;
    case State::Over:
      return;
    case State::Idle:
    case State::Head:
    case State::Busy:
    case State::Draining:
      break;
  }
  if (input_.empty() && !processing_) {
    process(bytes);
  } else {
    input_ += bytes;
    if (!processing_) process({});
  }
}

void ClientSession::process(std::string_view bytes) {
  processing_ = true;
  std::string owned;
  if (!input_.empty()) {
    owned = std::exchange(input_, {});
    owned += bytes;
    bytes = owned;
  }
  for (;;) {
    if (state_ == State::Closing || state_ == State::Over || !stream_) break;
    const bool waits = state_ == State::Busy && (content_over_ || content_held_);
    if (waits) {
      if (content_over_ && ignores_input_) {
        saw_input_ignored_ |= !bytes.empty();
      } else {
        input_.insert(0, bytes);
      }
      break;
    }
    if (bytes.empty() && state_ != State::Busy && state_ != State::Draining) break;
    if (state_ == State::Idle) {
      state_ = State::Head;
      deadline_.set(timeouts_.header);
    }
    const auto step = parser_.step(bytes);
    if (step == http::Step::NeedMore) break;
    switch (step) {
      case http::Step::NeedMore:
        break;
      case http::Step::Head: {
        auto& head = parser_.head();
        deadline_.cancel();
        state_ = State::Busy;
        minor_version_ = static_cast<std::uint8_t>(head.minor_version);
        request_keep_alive_ = head.keep_alive;
        is_head_request_ = head.method == "HEAD";
        expects_continue_ = head.expects_continue;
        content_over_ = false;
        content_held_ = false;
        answer_over_ = false;
        ignores_input_ = false;
        saw_input_ignored_ = false;
        drained_ = 0;
        handler_.on_request(*this, head);
        break;
      }
      case http::Step::Content:
        if (state_ == State::Draining) {
          drained_ += static_cast<std::uint32_t>(parser_.content().size());
          if (drained_ > kMaxDrain) close_gently();
        } else if (exchange_) {
          exchange_->on_content(parser_.content());
        }
        break;
      case http::Step::Trailers:
        break;
      case http::Step::Complete:
        content_over_ = true;
        if (state_ == State::Draining) {
          next_request();
        } else if (exchange_) {
          exchange_->on_content_end(parser_.trailers());
        }
        break;
      case http::Step::Failed: {
        const auto& error = parser_.error();
        const bool had_head = state_ == State::Busy || state_ == State::Draining;
        if (had_head && exchange_) {
          // In the middle of a request that is being answered: what follows has no meaning any more.
          exchange_->on_client_gone();
          retire_exchange();
        }
        if (!had_head || !answer_over_) {
          write(http::problem_response(error.status, error.reason, true, false));
          handler_.on_refused(*this, error.status);
        }
        close_gently();
        break;
      }
    }
  }
  processing_ = false;
  update_reading();
}

void ClientSession::update_reading() {
  if (!stream_ || state_ == State::Over || eof_) return;
  const bool full = state_ == State::Busy && (content_held_ ? !input_.empty() : input_.size() >= kMaxPipelined);
  if (full) {
    stream_->stop_reading();
  } else {
    stream_->start_reading();
  }
}

void ClientSession::hold_content(bool hold) {
  if (content_held_ == hold) return;
  content_held_ = hold;
  if (processing_) return;
  if (!hold) {
    process({});  // The end of the content may be all that is left of it.
  } else if (stream_ && !content_over_) {
    stream_->stop_reading();
  }
}

void ClientSession::on_eof() {
  eof_ = true;
  switch (state_) {
    case State::Busy:
      if (exchange_) {
        exchange_->on_client_eof();
      } else {
        over();
      }
      return;
    case State::Idle:
    case State::Head:
    case State::Draining:
    case State::Closing:
      over();
      return;
    case State::Over:
      return;
  }
}

void ClientSession::on_broken(const Error&) { over(); }

void ClientSession::on_deadline(net::Deadline&) {
  if (state_ == State::Head && !parser_.is_idle()) {
    write(http::problem_response(408, "the request's head took longer than limits.header_timeout", true, false));
    handler_.on_refused(*this, 408);
    close_gently();
    return;
  }
  if (state_ == State::Closing && std::exchange(breaks_, Break::No) == Break::Fin && !stream_->is_blocked()) {
    stream_->shutdown();
    deadline_.set(kCloseTime);
    return;
  }
  over();
}

// ------------------------------------------------------------------------------------------------------ answers

bool ClientSession::write(std::span<const std::string_view> pieces) {
  if (state_ == State::Closing || state_ == State::Over) return true;  // FIN is out: nothing can follow it.
  return !stream_ || stream_->write(pieces);
}

void ClientSession::begin(std::unique_ptr<Exchange> exchange) {
  retire_exchange();
  exchange_ = std::move(exchange);
}

void ClientSession::retire_exchange() {
  handler_.graveyard().take(std::move(exchange_));  // Its own functions may be on the stack.
}

void ClientSession::respond(std::string_view message, bool close) {
  write(message);
  finish(!close);
}

void ClientSession::respond_problem(int status, std::string_view detail, std::string_view extra) {
  const bool close = !may_keep_alive();
  respond(http::problem_response(status, detail, close, is_head_request_, extra), close);
}

void ClientSession::finish(bool keep_alive) {
  retire_exchange();
  if (state_ != State::Busy) return;
  answer_over_ = true;
  keeps_alive_ = keep_alive && may_keep_alive() && !saw_input_ignored_ && !eof_;
  // Who waits for a 100 sees the final answer and may never send the content: there is nothing to wait for.
  if (!keeps_alive_ || (!content_over_ && expects_continue_)) {
    close_gently();
    return;
  }
  if (!content_over_) {
    state_ = State::Draining;
    content_held_ = false;
    deadline_.set(timeouts_.header);
    if (!processing_) process({});
    return;
  }
  next_request();
}

void ClientSession::next_request() {
  parser_.reset();
  state_ = State::Idle;
  if (!keeps_alive_) {
    close_gently();
    return;
  }
  deadline_.set(timeouts_.idle);
  idle_since_ = deadlines_.loop().now();
  if (!processing_ && !input_.empty()) {
    process({});
  } else if (!processing_) {
    update_reading();
  }
}

void ClientSession::close_gently() {
  if (state_ == State::Closing || state_ == State::Over || !stream_) return;
  state_ = State::Closing;
  drained_ = 0;
  input_ = {};
  retire_exchange();
  if (eof_) {
    // Nothing more can come: only what is queued is waited for.
    if (!stream_->is_blocked()) {
      over();
      return;
    }
  } else {
    stream_->start_reading();
  }
  if (breaks_ == Break::No) stream_->shutdown();
  deadline_.set(stream_->is_blocked() ? timeouts_.send : closing_time());
}

Millis ClientSession::closing_time() const { return breaks_ == Break::No ? kCloseTime : kBreakTime; }

void ClientSession::on_drained() {
  if (state_ == State::Closing) {
    if (eof_) {
      over();
    } else {
      deadline_.set(closing_time());
    }
    return;
  }
  if (exchange_) exchange_->on_client_writable();
}

void ClientSession::ignore_pipelined() {
  ignores_input_ = true;
  // What came while the stream's beginning was waited for.
  if (content_over_ && !std::exchange(input_, {}).empty()) saw_input_ignored_ = true;
}

void ClientSession::cut(bool reset) {
  if (stream_ && reset) stream_->reset_on_close();
  over();  // The exchange hears of it: who reads a channel has to leave it.
}

void ClientSession::break_off(bool is_delimited) {
  if (state_ == State::Closing || state_ == State::Over || !stream_) return;
  if (!is_delimited) {
    stream_->reset_on_close();
    if (eof_) {
      over();
      return;
    }
  }
  // A browser's fetch throws away what its page has not read yet once it sees the content break off; a reset throws
  // away what is still in the kernels' buffers. What was said last, maybe that all else is lost, is to arrive.
  breaks_ = is_delimited ? Break::Fin : Break::Reset;
  close_gently();
}

void ClientSession::close_when_idle() {
  if (state_ == State::Idle || (state_ == State::Head && parser_.is_idle())) close_gently();
}

void ClientSession::on_drain() {
  if (exchange_) exchange_->on_drain();
}

void ClientSession::over() {
  if (state_ == State::Over) return;
  state_ = State::Over;
  deadline_.cancel();
  if (exchange_) {
    exchange_->on_client_gone();
    retire_exchange();
  }
  stream_.reset();
  handler_.on_session_over(*this);
}

}  // namespace ssequel::gateway
