// application/x-ndjson and application/jsonl, lines to events: each line that is not blank becomes one event with the
// line as its data. Same listener, same limits and same pausing as sse::Parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sse/parser.h"

namespace ssequel::sse {

// A line ends with LF; a CR before it is taken away, any other CR inside becomes a data line break of its own (an event
// stream cannot carry it). A last line without LF counts at end(), since JSON lines need no last line end. A byte order
// mark at the start is ignored, as RFC 8259 §8.1 allows. Lines of JSON white space alone are skipped.
//
// Over the limit is a line that with its line end has more than max_event_bytes, or whose line breaks would make it
// grow beyond that as an event. Events have no id, and their last event ID string is empty.
class NdjsonParser {
 public:
  // The listener must outlive the parser.
  NdjsonParser(ParserListener& listener, std::size_t max_event_bytes);
  // As Parser::feed().
  std::size_t feed(std::string_view bytes);
  // The stream ended. May report one more event, whose Flow has no meaning any more. The parser is then as new.
  void end();
  // Bytes kept of an unfinished line: at most max_event_bytes.
  [[nodiscard]] std::size_t buffered_bytes() const { return line_.size(); }

 private:
  using Flow = ParserListener::Flow;

  void keep_unfinished(std::string_view piece);
  Flow end_line(std::string_view line, std::uint64_t received_bytes);
  bool split_at_cr(std::string_view line);

  ParserListener* listener_;
  std::size_t max_event_bytes_;
  std::string line_;              // The unfinished line.
  std::string lines_;             // The event being passed on; kept for its memory.
  std::uint64_t line_bytes_ = 0;  // The unfinished line's length; if over the limit, line_ is empty.
  bool has_content_ = false;      // True once the dropped bytes of such a line held more than white space.
  bool is_first_line_ = true;
};

}  // namespace ssequel::sse
