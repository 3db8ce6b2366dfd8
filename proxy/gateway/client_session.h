// One client connection: requests in order, one answer at a time, keep-alive and pipelining, timeouts between and
// inside heads. What a request means is its ClientHandler's business.
//
//   Idle ──first byte──► Head ──► Busy ──answer and content over──► Idle
//                          │        └── content left ──► Draining ──► Idle
//                          └──► malformed ──► Closing
//
// Closing: the answer is out and FIN sent; what the client still sends is read and thrown away for a while, since
// closing at once would reset the connection and could destroy the answer (RFC 9112 §9.6).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gateway/exchange.h"
#include "gateway/retired.h"
#include "http/parser.h"
#include "net/deadline.h"
#include "net/stream.h"

namespace ssequel::gateway {

class ClientSession;

class ClientHandler {
 public:
  virtual ~ClientHandler() = default;
  // A request's head is complete. Answers at once with respond(), or begins an exchange with begin().
  virtual void on_request(ClientSession& session, http::RequestHead& head) = 0;
  // The request was refused before it had a meaning; the answer is written already.
  virtual void on_refused(ClientSession& session, int status) = 0;
  // The session is over; destroy it, but not before the current call has returned.
  virtual void on_session_over(ClientSession& session) = 0;
  // Keep-alive is no longer offered (drain).
  [[nodiscard]] virtual bool is_closing() const = 0;
  // Where exchanges go that are done.
  [[nodiscard]] virtual Graveyard& graveyard() = 0;
};

// A connection whose request is being answered, on its way to another loop.
struct Handover {
  int descriptor = -1;
  bool is_unix = false;
  std::string input;  // Received behind the request.
  std::string peer;
  std::uint8_t minor_version = 1;
  bool keep_alive = true;
  bool is_head = false;
  bool is_content_over = true;
  bool expects_continue = false;
  std::optional<http::RequestParser> parser;  // In the middle of the request.
};

struct ClientTimeouts {
  Millis header{10'000};
  Millis idle{75'000};
  Millis send{30'000};
};

class ClientSession final : public Retirable, private net::StreamListener, private net::Deadline::Listener {
 public:
  ClientSession(net::Owned<net::Stream> stream, net::DeadlineQueue& deadlines, ClientHandler& handler,
                const http::ParserLimits& limits, const ClientTimeouts& timeouts);
  // Goes on with a request that another loop has read; begin() follows. What content is still to come is held back
  // until hold_content(false).
  ClientSession(net::Owned<net::Stream> stream, net::DeadlineQueue& deadlines, ClientHandler& handler,
                const http::ParserLimits& limits, const ClientTimeouts& timeouts, Handover handover);

  // --- For exchanges
  // Pieces of the answer. True if nothing is queued; else on_client_writable() follows.
  bool write(std::span<const std::string_view> pieces);
  bool write(std::string_view piece) { return write(std::span(&piece, 1)); }
  [[nodiscard]] bool is_blocked() const { return stream_ && stream_->is_blocked(); }
  // Null once the connection is gone or was taken.
  [[nodiscard]] net::Stream* stream() { return stream_.get(); }
  void hold_content(bool hold);  // Backpressure on the request's content.
  void begin(std::unique_ptr<Exchange> exchange);
  // Puts another exchange in the place of the current one, which is retired.
  void replace(std::unique_ptr<Exchange> exchange) { begin(std::move(exchange)); }
  // The answer is complete. keep_alive: what the answer said.
  void finish(bool keep_alive);
  // The connection ends here and now: with FIN, or RST if the answer broke off and nothing else can tell.
  void cut(bool reset);
  // The answer ends before it is complete, and the client can tell: by the missing last chunk or bytes if it is
  // delimited, else by RST. The connection's end follows a moment later, so that what was written before is read.
  void break_off(bool is_delimited);
  // Takes the connection off this loop; only while a request is being answered, of which nothing was written yet, and
  // not from inside on_request(). The session is over. Nothing if the connection is gone.
  [[nodiscard]] std::optional<Handover> hand_over();
  // A whole answer of our own; the exchange, if any, is over. close: the connection ends behind it.
  void respond(std::string_view message, bool close);
  // An application/problem+json answer (RFC 9457). extra: further field lines.
  void respond_problem(int status, std::string_view detail, std::string_view extra = {});
  // What the request allows: HTTP/1.1 without `Connection: close`, and we are not closing down.
  [[nodiscard]] bool may_keep_alive() const;
  [[nodiscard]] bool is_http10() const { return minor_version_ == 0; }
  [[nodiscard]] bool is_head_request() const { return is_head_request_; }
  [[nodiscard]] bool is_content_over() const { return content_over_; }
  [[nodiscard]] const std::string& peer_address();
  [[nodiscard]] bool is_busy() const { return exchange_ != nullptr; }
  [[nodiscard]] Exchange* exchange() { return exchange_.get(); }
  // This request is the connection's last: from inside on_request().
  void close_behind_answer() { request_keep_alive_ = false; }
  // Between requests, with nothing received of a next one. A connection that has not sent its first one is not: it was
  // opened for that.
  [[nodiscard]] bool is_idle() const { return state_ == State::Idle && idle_since_ != Millis::max(); }
  [[nodiscard]] Millis idle_since() const { return idle_since_; }
  // The request is being answered by a stream: nothing behind it is ever read as another request.
  void ignore_pipelined();
  // Bytes that came behind an upgraded request's head, for the tunnel. Reading is up to the tunnel afterwards.
  [[nodiscard]] std::string take_input() { return std::exchange(input_, {}); }
  [[nodiscard]] net::Owned<net::Stream> take_stream() { return std::move(stream_); }
  [[nodiscard]] net::DeadlineQueue& deadlines() { return deadlines_; }
  // Ends an idle connection (drain); a busy one after its answer.
  void close_when_idle();
  void on_drain();
  void over();  // The connection is of no more use: hands itself to the handler.

 private:
  enum class State { Idle, Head, Busy, Draining, Closing, Over };
  enum class Break { No, Fin, Reset };

  void on_read(std::string_view bytes) override;
  void on_eof() override;
  void on_drained() override;
  void on_broken(const Error& error) override;
  void on_deadline(net::Deadline& deadline) override;

  void process(std::string_view bytes);
  void next_request();
  void close_gently();
  [[nodiscard]] Millis closing_time() const;
  void update_reading();
  void retire_exchange();

  net::Owned<net::Stream> stream_;
  net::DeadlineQueue& deadlines_;
  ClientHandler& handler_;
  http::RequestParser parser_;
  net::Deadline deadline_;
  std::unique_ptr<Exchange> exchange_;
  std::string input_;  // Received, not yet looked at.
  std::string peer_;
  const ClientTimeouts timeouts_;
  State state_ = State::Idle;
  Break breaks_ = Break::No;           // Other than No exactly while Closing, and what was written last has its moment.
  Millis idle_since_ = Millis::max();  // Since the latest answer was over; max: there was none.
  std::uint32_t drained_ = 0;          // Bytes of an answered request's content thrown away.
  std::uint8_t minor_version_ = 1;
  bool request_keep_alive_ = true;
  bool is_head_request_ = false;
  bool content_over_ = true;  // True exactly while no content of the current request is to come.
  bool content_held_ = false;
  bool answer_over_ = false;  // The answer is complete, content may still come.
  bool keeps_alive_ = true;   // What the answer said.
  bool ignores_input_ = false;
  bool expects_continue_ = false;
  bool saw_input_ignored_ = false;
  bool processing_ = false;  // True while process() is on the stack.
  bool eof_ = false;
};

}  // namespace ssequel::gateway
