// text/event-stream, bytes to events: a push parser that follows WHATWG HTML §9.2.5 and §9.2.6 to the letter and gives
// the same events however the bytes are split. It knows nothing of ids of ours.
//
// Memory: at most max_event_bytes are kept of an unfinished block, and as much of its id. An event that lies whole in
// the input with plain LF line ends and no line to take out of its middle is passed on as a view of the input: no copy.
//
// How bytes are kept:
//
//   block_             run_                    line_
//   lines copied       lines still in the      the unfinished line; not empty only
//   from earlier reads input of this feed()    between two feed() calls
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sse/event.h"

namespace ssequel::sse {

// No callback may feed, end or destroy the parser that makes it.
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
  // max_event_bytes: of a block as received, line ends included (a CR at its very end counts as CRLF if the line before
  // ended so); also the longest comment passed on.
  // The listener must outlive the parser.
  Parser(ParserListener& listener, std::size_t max_event_bytes);

  // Takes the next bytes. Returns how many were taken: all of them, unless the listener paused; feed the rest again
  // later. Never fails: every sequence of bytes is an event stream. Neither the split of the bytes nor a pause changes
  // what is reported. A CR ends its line at once; the LF that may follow is then skipped.
  std::size_t feed(std::string_view bytes);

  // The stream ended: an unfinished block is dropped, as the standard says. The parser is then as new, but keeps the
  // last event ID string for the next connection. True if something was dropped that had data.
  bool end();

  [[nodiscard]] std::string_view last_event_id() const { return last_event_id_; }
  // Before the first feed(): what a log remembers of an earlier connection.
  void set_last_event_id(std::string_view id) { last_event_id_ = id; }
  // Bytes kept of an unfinished block. At most max_event_bytes; twice that in a block over the limit that has a long
  // id.
  [[nodiscard]] std::size_t buffered_bytes() const {
    return block_.size() + line_.size() + (has_id_ ? id_buffer_.size() : 0);
  }

 private:
  using Flow = ParserListener::Flow;

  std::size_t skip_byte_order_mark(std::string_view bytes);
  void keep_unfinished(std::string_view piece);
  Flow end_line(std::string_view line, std::uint64_t line_bytes, bool is_view);
  Flow end_block();
  void count(std::uint64_t bytes);
  void keep_line(std::string_view line, bool is_view);
  void take_id(std::string_view value);
  void take_retry(std::string_view value);
  void flush_run();
  void drop_lines();
  void reset_block();

  ParserListener* listener_;
  std::size_t max_event_bytes_;
  std::string last_event_id_;

  std::string id_buffer_;          // The value of the block's last valid id field, while has_id_.
  std::string block_;              // Lines to pass on that are no longer in the input, each with its LF.
  std::string_view run_;           // Lines to pass on that still are, right behind those of block_.
  std::string line_;               // The unfinished line; of an over-long one only what tells its field.
  std::uint64_t line_bytes_ = 0;   // Its length, dropped bytes included.
  std::uint64_t block_bytes_ = 0;  // Received of this block's ended lines; 0 until its first field ends.
  unsigned bom_matched_ = 0;       // Bytes of a leading byte order mark; 3 once that is settled.
  bool has_id_ = false;
  bool has_data_ = false;
  bool is_oversized_ = false;  // True exactly while the block is known to be over max_event_bytes_.
  bool skip_lf_ = false;       // True exactly while the last byte was a CR, which ended a line.
  bool is_crlf_ = false;       // True if the latest line of the block ended in CRLF.
};

}  // namespace ssequel::sse
