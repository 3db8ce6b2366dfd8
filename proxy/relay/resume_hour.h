// How far behind those were who came back to a route in the last hour, and whether its windows reached that far: a
// bucket a minute, kept only for minutes in which somebody came. It costs nothing while nobody does.
//
// "Used" is the part of a window that a client's distance takes up: 1 for one who comes back to the oldest entry that
// the window would hold were it full, more for one who is told of a gap. Which of the bounds is the one that binds is
// decided when it is seen, since a log's rate and sizes change.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/clock.h"
#include "replay/replay_log.h"

namespace ssequel::relay {

// What decides how far a window reaches. Store: limits.store_bytes, which takes from all windows.
enum class WindowBound { Events, Bytes, Age, Store };

struct WindowUse {
  double used = 0;  // Of what the window can hold.
  WindowBound bound = WindowBound::Events;
};
// Of one who is `behind` entries behind the log's end.
[[nodiscard]] WindowUse window_use(const replay::ReplayLog& log, const replay::Bounds& bounds, std::uint64_t behind,
                                   Millis now);

class ResumeHour {
 public:
  static constexpr std::size_t kMinutes = 60;

  // Somebody came back `behind` entries behind. now: the loop's time.
  void came_back(Millis now, std::uint64_t behind, const WindowUse& use);
  // Somebody's place had left the window; behind: how far, where it is known.
  void fell_out(Millis now, std::optional<std::uint64_t> behind, const WindowUse& use);

  struct Minute {
    std::uint64_t resumes = 0;
    std::uint64_t gaps = 0;
    std::uint64_t most_behind = 0;
  };
  struct Summary {
    std::uint64_t resumes = 0;
    std::uint64_t gaps = 0;
    std::uint64_t most_behind = 0;
    std::uint64_t p99_behind = 0;  // At most a quarter too high.
    WindowUse most;
    std::array<Minute, kMinutes> minutes{};  // The oldest first; the last one is the current one.
  };
  [[nodiscard]] Summary summary(Millis now) const;

  // Another loop's.
  void add(const ResumeHour& other);

 private:
  // Distances: 0 to 7 as they are, then four to each doubling, up to 2^32.
  static constexpr std::size_t kSteps = 8 + 29 * 4 + 1;
  static std::size_t step_of(std::uint64_t behind);
  static std::uint64_t top_of(std::size_t step);

  struct Bucket {
    std::int64_t minute = 0;
    Minute seen;
    WindowUse most;
    std::array<std::uint32_t, kSteps> steps{};
  };
  Bucket& bucket_of(std::int64_t minute);
  void forget_before(std::int64_t minute);

  std::deque<Bucket> buckets_;  // By minute, rising, at most kMinutes.
};

}  // namespace ssequel::relay
