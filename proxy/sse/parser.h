// text/event-stream, bytes to events: a push parser that follows WHATWG HTML §9.2.5 and §9.2.6 to the letter and gives
// the same events however the bytes are split. It knows nothing of ids of ours.
//
// Memory: at most max_event_bytes (+ one read) are kept of an unfinished block. An event that lies whole in the input
// with plain LF line ends and no line to take out is passed on as a view of the input: no copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sse/event.h"

namespace ssequel::sse {

class ParserListener {
 public:
  enum class Flow { Go, Pause };
  virtual ~ParserListener() = default;

  // An event is dispatched. Pause makes feed() return right behind this event.
  virtual Flow on_event(const Event& event) = 0;
  // A block with data that exceeded max_event_bytes ended here. It counts like an event.
  virtual Flow on_oversized(const OversizedEvent& event) = 0;
  // A block without `data` fields ended that set the last event ID string (also to empty).
  virtual void on_last_event_id(std::string_view last_event_id) = 0;
  // One comment line, without the leading colon and the line end. Reported when the line ends, hence before the event
  // in whose block it stood.
  virtual void on_comment(std::string_view text) = 0;
  // A `retry` field of digits only. Milliseconds; saturates at 2^53.
  virtual void on_retry(std::uint64_t reconnection_time_ms) = 0;
};

class Parser {
 public:
  // max_event_bytes: of a block as received, line ends included; also the longest comment passed on.
  // The listener must outlive the parser.
  Parser(ParserListener& listener, std::size_t max_event_bytes);

  // Takes the next bytes. Returns how many were taken: all of them, unless the listener paused; feed the rest again
  // later. Never fails: every sequence of bytes is an event stream.
  std::size_t feed(std::string_view bytes);

  // The stream ended: an unfinished block is dropped, as the standard says. The parser is then as new, but keeps the
  // last event ID string for the next connection. True if something was dropped that had data.
  bool end();

  [[nodiscard]] std::string_view last_event_id() const { return last_event_id_; }
  // Before the first feed(): what a log remembers of an earlier connection.
  void set_last_event_id(std::string_view id) { last_event_id_ = id; }
  // Bytes kept of an unfinished block.
  [[nodiscard]] std::size_t buffered_bytes() const;

 private:
  ParserListener* listener_;
  std::size_t max_event_bytes_;
  std::string last_event_id_;
  // The implementation adds what it needs.
};

}  // namespace ssequel::sse
