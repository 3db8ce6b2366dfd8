// What an event stream yields, as views into the parser's input or buffer: valid during the callback only.
// WHATWG HTML §9.2.6 (interpreting an event stream).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ssequel::sse {

struct Event {
  // The event's own lines in their order, each ended by one LF, whatever the stream used; without `id` and `retry`
  // fields and without comments. Holds at least one `data` field. Never empty.
  std::string_view lines;
  // The value of this block's last valid `id` field: nullopt if it had none, empty if it said so.
  std::optional<std::string_view> id;
  // The stream's last event ID string once this event is dispatched (sticky over events without an id).
  std::string_view last_event_id;
  // As received, from the block's first field on, line ends and the closing empty line included. Of a CRLF that closes
  // the block only the CR counts: the event is dispatched at the CR, whether or not an LF is going to follow. Comments
  // before the first field do not count: heartbeats between events may go on for days without an empty line.
  std::uint64_t received_bytes = 0;
};

// A block over the limit that would have been dispatched. Its bytes are gone; its id is known if it came whole.
struct OversizedEvent {
  std::optional<std::string_view> id;
  std::string_view last_event_id;
  std::uint64_t received_bytes = 0;
};

}  // namespace ssequel::sse
