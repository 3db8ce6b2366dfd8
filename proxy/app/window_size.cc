#include "app/window_size.h"

#include <algorithm>
#include <bit>

namespace ssequel::app {
namespace {

using namespace std::chrono_literals;

// As config/README.md has them.
constexpr std::uint64_t kMaxEvents = 2'147'483'648;
constexpr std::uint64_t kMaxBytes = 1024ull << 30;
constexpr std::uint64_t kLeastBytes = 1024;
constexpr Millis kMaxAge = 720h;
constexpr Millis kUsualAge = 1h;

// An event's place in the index, which grows by doubling.
constexpr std::uint64_t kIndexBytes = 24;
constexpr std::uint64_t kChannelBytes = 4096;
// The segments at both ends, the one half let go and the one half filled: replay/replay_log.cc.
constexpr std::uint64_t kMaxSegment = 256 * 1024;

// To a multiple of what is an eighth of it at most: 1 MiB, 1152 KiB, 1280 KiB ...
std::uint64_t round_up(std::uint64_t bytes) {
  const std::uint64_t step = std::max<std::uint64_t>(1024, std::bit_floor(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

}  // namespace

Result<WindowSize> window_size(const WindowNeed& need) {
  WindowSize size;
  size.gap = std::max(need.retry, need.disconnect);
  if (2 * size.gap > kMaxAge)
    return fail(ErrorCode::TooLarge, "twice the longest gap is over 720h, which a window may be old");
  const auto span = static_cast<unsigned __int128>(2 * size.gap.count());
  const auto per = static_cast<unsigned __int128>(need.rate.per.count());
  const auto events = (span * need.rate.events + per - 1) / per;
  if (events > kMaxEvents) {
    return fail(ErrorCode::TooLarge, "more events than window.events may hold: at most " + std::to_string(kMaxEvents));
  }
  size.events = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(events));
  if (need.event_bytes > kMaxBytes / 2 || size.events > kMaxBytes / (need.event_bytes + kFrameBytes)) {
    return fail(ErrorCode::TooLarge, "more bytes than window.bytes may hold: at most 1024GiB");
  }
  size.bytes =
      std::max({kLeastBytes, round_up(size.events * (need.event_bytes + kFrameBytes)), round_up(2 * need.event_bytes)});
  if (size.bytes > kMaxBytes)
    return fail(ErrorCode::TooLarge, "more bytes than window.bytes may hold: at most 1024GiB");
  size.age = std::max(kUsualAge, 2 * size.gap);
  const auto one = size.bytes + size.events * kIndexBytes + 2 * std::min(kMaxSegment, size.bytes / 16) + kChannelBytes;
  if (one > UINT64_MAX / std::max<std::uint64_t>(1, need.channels)) {
    return fail(ErrorCode::TooLarge, "more memory than can be counted");
  }
  size.memory = one * std::max<std::uint64_t>(1, need.channels);
  return size;
}

}  // namespace ssequel::app
