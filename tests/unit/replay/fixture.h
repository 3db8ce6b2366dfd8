// Verbs for the stories about logs: entries made the way a channel makes them, real frames and all.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replay/replay_log.h"
#include "sse/frame.h"

namespace ssequel::replay {

inline const std::string kTag = "Tag0000000000000000000";  // base62::kTagLength characters.

inline std::string frame_of(const IdForm& form, Number number, std::optional<std::string_view> origin,
                            std::string_view data, sse::IdPlace place = sse::IdPlace::First,
                            const sse::OriginStyle& style = {}) {
  std::string id;
  append_id(id, form, number, origin.value_or(std::string_view()));
  std::string frame;
  sse::append_frame(frame, id, sse::event_lines({}, data), origin, style, place);
  return frame;
}

// A log whose channel gives each event the next number, publishes at once and evicts after each append, as `memory`
// does.
struct Story {
  ReplayLog log;
  Millis now{1000};

  explicit Story(const Bounds& bounds = {}, std::uint64_t first_number = 100, IdForm form = {})
      : log(std::move(form), first_number, bounds) {}

  Place append(std::string_view data, std::optional<std::string_view> origin = {}) {
    return append_numbered(log.next_number(), data, origin);
  }
  Place append_numbered(Number number, std::string_view data, std::optional<std::string_view> origin = {}) {
    return log.append(frame_of(log.form(), number, origin, data), number, origin, now);
  }
  void publish() { log.publish(log.appended()); }
  std::size_t evict() { return log.evict(now, ReplayLog::kNoPlace); }
  void emit(std::string_view data, std::optional<std::string_view> origin = {}) {
    append(data, origin);
    publish();
    evict();
  }
  void emit_numbers(std::initializer_list<std::uint64_t> numbers) {
    for (const auto number : numbers) append_numbered(number, "x");
    publish();
    evict();
  }
  // Everything from `from` on, with chunk framing; nullopt if it has left the window.
  [[nodiscard]] std::optional<std::string> read_all(Place from) const {
    std::string bytes;
    std::vector<Run> runs;
    for (;;) {
      if (!log.read(from, ReplayLog::kNoPlace, 4, 1 << 20, runs)) return std::nullopt;
      if (runs.empty()) return bytes;
      for (const auto& run : runs) bytes += run.bytes;
      from = runs.back().end;
    }
  }
};

// A frame as one chunk of an HTTP/1.1 message (RFC 9112 §7.1), written here a second way.
inline std::string as_chunk(std::string_view frame) {
  std::string size;
  for (auto rest = frame.size(); rest != 0; rest /= 16) size.insert(size.begin(), "0123456789abcdef"[rest % 16]);
  return size + "\r\n" + std::string(frame) + "\r\n";
}

}  // namespace ssequel::replay
