// How large a window must be so that who comes back finds the place it left: twice the longest gap times the peak rate.
//
// The longest gap is the longer of what a client waits before it comes back (its reconnection time) and what nearly all
// connections are gone for. Twice the longer of the two is never less than both of them one after the other, which is
// what a client has missed that waits out a whole reconnection time just after its network came back.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"

namespace ssequel::app {

// At most so many events in so long a time, at the busiest.
struct PeakRate {
  std::uint64_t events = 0;
  Millis per{1000};  // Above 0.
};

struct WindowNeed {
  PeakRate rate;
  Millis retry{0};                // What clients wait before they come back.
  Millis disconnect{0};           // Of a hundred disconnections 99 are over by then.
  std::uint64_t event_bytes = 0;  // One event as the service sends it, its empty line included.
  std::uint64_t channels = 1;     // At a time.
};

// What to configure. In the ranges that the configuration allows.
struct WindowSize {
  Millis gap{0};  // The longer of the two.
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;  // Of these events with what is added to each, rounded up to a size that reads well.
  Millis age{0};
  std::uint64_t memory = 0;  // Of all channels, about: bytes, index, and the segments at both ends.
  // The largest limits.event_bytes that fits such a window.
  [[nodiscard]] std::uint64_t largest_event() const { return bytes / 2; }
};

// What a log adds to an event, at most: the id's line, with a tag, and the chunk's framing.
inline constexpr std::uint64_t kFrameBytes = 64;

// An error says which number is too large, and what is allowed.
[[nodiscard]] Result<WindowSize> window_size(const WindowNeed& need);

}  // namespace ssequel::app
