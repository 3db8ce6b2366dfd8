// application/x-ndjson and application/jsonl, lines to events: each line that is not blank becomes one event with the
// line as its data. Same listener, same limits and same pausing as sse::Parser.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sse/parser.h"

namespace ssequel::sse {

// A line ends with LF; a CR before it is taken away, any other CR inside becomes a data line break of its own (an event
// stream cannot carry it). A last line without LF counts at end(), since JSON lines need no last line end.
class NdjsonParser {
 public:
  NdjsonParser(ParserListener& listener, std::size_t max_event_bytes);
  std::size_t feed(std::string_view bytes);
  void end();

 private:
  ParserListener* listener_;
  std::size_t max_event_bytes_;
};

}  // namespace ssequel::sse
