// One request to the upstream and its response, on a connection from the pool or a new one. Content streams both ways
// with backpressure; nothing is buffered but what a socket did not take.
//
//   Connecting ──► AwaitingHead ──► Content ──► Done
//        └───────────────┴─────────────┴──────► Failed
//
// A pooled connection that the upstream closed just then is replaced once, if the request is of an idempotent method
// and had no content, and no byte of a response came: most likely it was never looked at (RFC 9110 §9.2.2, RFC 9112
// §9.3.1).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/retired.h"
#include "http/parser.h"
#include "net/connector.h"
#include "net/deadline.h"
#include "net/stream.h"

namespace ssequel::gateway {

class UpstreamPool;
class UpstreamSession;

enum class UpstreamFailure {
  Connect,    // No connection: refused, unknown name, or over the limit of connections.
  Timeout,    // Connecting or the head took too long.
  Malformed,  // Bytes that are no HTTP response.
  Broken      // The connection ended before the response did.
};

class UpstreamListener {
 public:
  virtual ~UpstreamListener() = default;
  virtual void on_upstream_interim(http::ResponseHead& head) = 0;  // 1xx but 101.
  virtual void on_upstream_head(http::ResponseHead& head) = 0;     // May be moved from.
  virtual void on_upstream_content(std::string_view content) = 0;  // Valid during the call.
  virtual void on_upstream_complete(const http::Fields& trailers) = 0;
  // After a 101: the connection is no longer HTTP. `rest` came behind the head.
  virtual void on_upstream_upgraded(std::string_view rest) = 0;
  virtual void on_upstream_failed(UpstreamFailure failure, const Error& error) = 0;
  virtual void on_upstream_writable() = 0;  // What was queued has gone.
  // All that one read brought has been passed on: time to write what was gathered of it.
  virtual void on_upstream_read_over() = 0;
};

class UpstreamSession final : public Retirable,
                              private net::StreamListener,
                              private net::ConnectListener,
                              private net::Deadline::Listener {
 public:
  struct Request {
    std::string head;  // As append_passed_request() made it, with the empty line.
    std::string method;
    bool has_content = false;
    bool is_chunked = false;  // Content goes out in chunks; else as it comes (Content-Length).
  };
  // The pool and the listener must outlive this, or the listener be replaced.
  UpstreamSession(UpstreamPool& pool, UpstreamListener& listener);
  ~UpstreamSession() override;

  void set_listener(UpstreamListener& listener) { listener_ = &listener; }
  // Sends. head_timeout: from the end of the request to the response's head; 0: none.
  void start(Request request, Millis head_timeout);
  // Content of the request. False: the connection takes no more now, on_upstream_writable() follows.
  bool write_content(std::string_view content);
  void finish_content(const http::Fields& trailers);
  void pause();   // Stops reading the response.
  void resume();  // Later content comes in a later turn, or at once from what was held back.
  // Gives up: no callback follows. The connection is closed.
  void abandon();
  // After a 101, both directions are plain bytes.
  [[nodiscard]] net::Owned<net::Stream> take_stream();

  // True once the whole response was received; the connection went back to the pool or was closed.
  [[nodiscard]] bool is_over() const { return state_ == State::Over; }
  [[nodiscard]] bool is_blocked() const;
  // Holds one of limits.upstream_connections.
  [[nodiscard]] bool has_slot() const { return has_slot_; }
  [[nodiscard]] bool has_head() const { return state_ == State::Content || state_ == State::Over; }
  // True if nothing of a response was ever received.
  [[nodiscard]] const std::string& method() const { return request_.method; }

 private:
  enum class State { New, Connecting, AwaitingHead, Content, Over };

  void on_connected(net::Owned<net::Stream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_read(std::string_view bytes) override;
  void on_eof() override;
  void on_drained() override;
  void on_broken(const Error& error) override;
  void on_deadline(net::Deadline& deadline) override;

  void connect_anew();
  void send_head();
  void parse(std::string_view bytes);
  void parse_steps(std::string_view bytes);
  void finish(bool reusable);
  void fail(UpstreamFailure failure, const Error& error);
  [[nodiscard]] bool retry_on_fresh_connection();
  void release_slot();

  UpstreamPool& pool_;
  UpstreamListener* listener_;
  State state_ = State::New;
  Request request_;
  Millis head_timeout_{0};
  net::Owned<net::Connect> connect_;
  net::Owned<net::Stream> stream_;
  http::ResponseParser parser_;
  net::Deadline deadline_;
  std::string held_;  // Received while paused or before connected.
  std::string content_before_connect_;
  bool is_paused_ = false;
  bool is_reused_ = false;    // True while the connection is a pooled one that has not answered yet.
  bool has_slot_ = false;     // Counts against limits.upstream_connections.
  bool content_done_ = true;  // The request has been sent whole.
  bool eof_held_ = false;     // FIN came behind held_.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // Learns of our death inside a callback.
};

}  // namespace ssequel::gateway
