// The service behind the proxy, by hand: it accepts on a port that the kernel chose, records requests byte for byte,
// and says what the test says, when it says so.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/raw_socket.h"
#include "support/test_loop.h"

namespace ssequel::test {

struct OriginRequest {
  std::string head;      // As it came, with the empty line.
  std::string content;   // Without transfer coding.
  std::string trailers;  // Lines behind the last chunk.
  [[nodiscard]] std::string line() const { return head.substr(0, head.find("\r\n")); }
  [[nodiscard]] std::string method() const { return head.substr(0, head.find(' ')); }
  [[nodiscard]] std::string target() const;
  // Of the first field line of this name, in whatever case; nullopt if there is none.
  [[nodiscard]] std::optional<std::string> field(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;  // Field lines of this name.
};

class OriginConnection {
 public:
  OriginConnection(TestLoop& loop, RawSocket accepted) : socket(std::move(accepted)), loop_(loop) {}

  void send(std::string_view bytes) { sent_whole_ = socket.send(bytes) && sent_whole_; }
  // As much as the socket takes now; how much that was.
  [[nodiscard]] std::size_t send_some(std::string_view bytes) const;
  // A whole answer with Content-Length. fields: lines with CRLF.
  void answer(std::string_view content, int status = 200, std::string_view fields = {});
  // The head of an event stream in chunks.
  void begin_stream(std::string_view fields = {}, std::string_view type = "text/event-stream");
  void chunk(std::string_view content);  // Of a stream in chunks.
  void end_stream() { send("0\r\n\r\n"); }
  void close() { socket.close(); }
  void reset() { socket.reset(); }

  // Takes what came; true if another whole request is there, which is then `request`.
  bool take_request();
  // Only the head is waited for; its content is left.
  bool take_head();
  // FIN or RST of the proxy.
  [[nodiscard]] bool is_gone() { return socket.end() != RawSocket::End::None; }
  [[nodiscard]] bool await_gone();
  [[nodiscard]] bool await_request();
  // Received, not yet part of a request taken.
  [[nodiscard]] std::string_view rest() { return std::string_view(socket.receive()).substr(taken_); }
  [[nodiscard]] bool await_rest(std::string_view text);
  // Every byte that came.
  [[nodiscard]] const std::string& received() { return socket.receive(); }
  // Everything given to send() fitted into the socket.
  [[nodiscard]] bool sent_whole() const { return sent_whole_; }

  RawSocket socket;
  OriginRequest request;  // The last one taken.
  std::size_t requests = 0;

 private:
  TestLoop& loop_;
  std::size_t taken_ = 0;
  bool sent_whole_ = true;
};

class ScriptedOrigin {
 public:
  explicit ScriptedOrigin(TestLoop& loop) : loop_(loop), listening_(RawSocket::listening(128)) {}

  [[nodiscard]] std::uint16_t port() const { return port_ != 0 ? port_ : listening_.port(); }
  // The next request on any connection, whole. Null, and a failed check, if none comes.
  OriginConnection* next(Millis limit = std::chrono::seconds(10));
  // The same as soon as its head is there.
  OriginConnection* next_head(Millis limit = std::chrono::seconds(10));
  // A connection on which another head has come; null if there is none now.
  OriginConnection* try_next_head();
  // How many connections, and how many requests, there have been.
  [[nodiscard]] std::size_t connections();
  [[nodiscard]] std::size_t requests();
  // Every byte that came, on all connections.
  [[nodiscard]] std::string received();
  // All connections that came so far.
  void close_all();
  // Nobody listens any more (connections are refused), and again on the same port.
  void stop_listening();
  void listen_again();
  // From now on connections are neither taken nor refused: the kernel drops what comes.
  void fill_backlog();
  // Buffers of what is accepted from now on: small and fixed.
  void set_buffers(int bytes) { buffers_ = bytes; }

 private:
  void accept();
  OriginConnection* await(bool (OriginConnection::*take)(), Millis limit);

  TestLoop& loop_;
  RawSocket listening_;
  std::uint16_t port_ = 0;
  int buffers_ = 0;
  std::vector<RawSocket> waiting_;
  std::vector<std::unique_ptr<OriginConnection>> connections_;
};

}  // namespace ssequel::test
