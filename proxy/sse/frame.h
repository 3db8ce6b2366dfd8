// One event as it goes to clients: `id: ...\n`, the event's own lines, an empty line; LF only. Encoded once per event.
// Also the few lines that stand outside frames, and the sync-required event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssequel::sse {

enum class IdPlace { First, Last };

// How the origin id travels along (route setting `ids.origin`).
struct OriginStyle {
  enum class Kind { None, Comment, Field, Json } kind = Kind::None;
  std::string name;  // Field, Json: the name.
  friend bool operator==(const OriginStyle&, const OriginStyle&) = default;
};

// Appends the frame of one event to out. `lines` as sse::Event has them. `origin`: this event's own origin id, if any;
// an empty one is none, since it names no event. It has no line ends in it, nor have id and style.name; any other byte
// may stand there (in JSON, those that are not UTF-8 become U+FFFD).
// comment: the line `: origin ID` right after our id line; field: the last line of the event; json: the first member of
// the event's data if that is one JSON object on one line (bytes otherwise untouched), else the data stays as it is.
// With IdPlace::Last the id line is the last line before the empty one (and the comment stands right after it); lines
// that begin with the bytes of a byte order mark then have an empty comment before them, since a client would take the
// mark away at the start of a response.
void append_frame(std::string& out, std::string_view id, std::string_view lines, std::optional<std::string_view> origin,
                  const OriginStyle& style, IdPlace place);

enum class SyncReason { Window, Ahead, Unknown, Lagged, Dropped, UpstreamGap, StoreGap, UpstreamLost };
[[nodiscard]] std::string_view to_string(SyncReason reason) noexcept;  // "window", "upstream-gap" ...

// The data of a sync-required event: one JSON object, all values strings or null. Bytes that are not UTF-8
// become U+FFFD, then `requested` is cut to 128 bytes at a character's boundary; nullopt is null. `error` is left out
// if empty.
[[nodiscard]] std::string sync_required_data(SyncReason reason, std::optional<std::string_view> requested,
                                             std::optional<std::string_view> oldest,
                                             std::optional<std::string_view> newest, std::string_view error = {});

// The event's own lines, for append_frame(): `event: NAME\n` and each line of data as a `data: ` line. Line ends in
// data may be LF, CRLF or CR; one at the very end gives an empty last line, so that a client's data is exactly this,
// with LF line ends. An empty name leaves the event line out; one with a line end is cut there.
[[nodiscard]] std::string event_lines(std::string_view name, std::string_view data);

// A block with an id and no data, which sets a client's last event ID and dispatches nothing.
[[nodiscard]] std::string priming_block(std::string_view id);      // "id: ID\n\n"
[[nodiscard]] std::string retry_line(std::uint64_t milliseconds);  // "retry: N\n"
inline constexpr std::string_view kHeartbeat = ":\n";

}  // namespace ssequel::sse
