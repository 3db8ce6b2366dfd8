// A client that speaks bytes: what it sends is the test's, what it receives is read as responses, chunks and events by
// a reader of its own, so that no bug of the proxy's parsers hides in the tests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/raw_socket.h"
#include "support/test_loop.h"

namespace ssequel::test {

struct ReceivedEvent {
  std::string id;     // Of its last id line.
  std::string event;  // Empty: message.
  std::string data;   // Lines joined with LF.
  std::string block;  // All its lines as they came, each with LF, without the empty line.
};

// One response, as far as it was received.
struct ReceivedResponse {
  enum class State { Incomplete, Complete, Malformed };
  State state = State::Incomplete;
  bool has_head = false;
  int status = 0;
  std::string head;  // With the empty line.
  std::string content;
  std::string trailers;
  std::size_t size = 0;  // Bytes of the connection that it took, if complete.
  [[nodiscard]] std::optional<std::string> field(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
};

// Reads the first response in `bytes`. is_over: nothing follows (for what is delimited by close).
[[nodiscard]] ReceivedResponse read_response(std::string_view bytes, bool is_head_request, bool is_over);
// Blocks that are complete, as event-stream bytes are cut at empty lines; lines outside frames (comments, retry) belong
// to the block that follows.
[[nodiscard]] std::vector<ReceivedEvent> read_events(std::string_view content);

class TestClient {
 public:
  TestClient(TestLoop& loop, RawSocket connected) : socket(std::move(connected)), loop_(&loop) {}

  void send(std::string_view bytes) { sent_whole_ = socket.send(bytes) && sent_whole_; }
  // As much as the socket takes now; how much that was.
  [[nodiscard]] std::size_t send_some(std::string_view bytes) const;
  void close() { socket.close(); }
  void reset() { socket.reset(); }

  // The response under way, as far as it has come.
  [[nodiscard]] const ReceivedResponse& response();
  // The current response is done with: the next one on this connection becomes current.
  void next_response();
  [[nodiscard]] int status() { return response().status; }
  [[nodiscard]] const std::string& content() { return response().content; }
  [[nodiscard]] std::optional<std::string> field(std::string_view name) { return response().field(name); }
  [[nodiscard]] std::vector<ReceivedEvent> events() { return read_events(response().content); }
  // Events whose data is not empty: without priming blocks.
  [[nodiscard]] std::vector<std::string> data();
  [[nodiscard]] std::string last_id();

  // Each turns the loop until it holds, or says false.
  [[nodiscard]] bool await_head();
  [[nodiscard]] bool await_complete();
  [[nodiscard]] bool await_content(std::string_view text);  // The content holds it.
  [[nodiscard]] bool await_events(std::size_t count);       // So many with data.
  [[nodiscard]] bool await_end();                           // FIN or RST.
  // The connection ended before the response was complete, in a way that the client can tell.
  [[nodiscard]] bool await_broken();

  [[nodiscard]] bool is_complete() { return response().state == ReceivedResponse::State::Complete; }
  [[nodiscard]] bool has_ended() { return socket.end() != RawSocket::End::None; }
  [[nodiscard]] RawSocket::End end() { return socket.end(); }
  // Behind the current response.
  [[nodiscard]] std::string_view rest();
  [[nodiscard]] bool sent_whole() const { return sent_whole_; }

  RawSocket socket;
  bool is_head_request = false;

 private:
  TestLoop* loop_;
  std::size_t offset_ = 0;  // Where the current response begins.
  ReceivedResponse response_;
  std::size_t read_size_ = 0;
  RawSocket::End read_end_ = RawSocket::End::None;
  bool sent_whole_ = true;
};

}  // namespace ssequel::test
