// Whether a route's window covers what its clients needed in the last hour, and which setting to change if not.
//
// Needed is how far behind those were who came back. A window should hold twice the most that anybody needed: what is
// over half of it is tight. One who was told of a gap needed more than there was.
#pragma once

#include <string>
#include <string_view>

#include "relay/resume_hour.h"
#include "replay/replay_log.h"

namespace ssequel::app {

struct WindowVerdict {
  enum class Kind { Unknown, Covers, Tight, TooSmall } kind = Kind::Unknown;
  std::string setting;  // The bound that binds: "window.events" ...
  std::string value;    // What it is now, as the configuration writes it.
  std::string advice;   // What would cover it; empty where nothing has to be changed.
};
[[nodiscard]] WindowVerdict window_verdict(const relay::ResumeHour::Summary& hour, const replay::Bounds& bounds,
                                           std::uint64_t store_bytes);
[[nodiscard]] std::string_view name_of(WindowVerdict::Kind kind);  // "unknown", "covers", "tight", "too small"

}  // namespace ssequel::app
