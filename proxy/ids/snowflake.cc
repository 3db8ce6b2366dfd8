#include "ids/snowflake.h"

#include <algorithm>

namespace ssequel::ids {

std::optional<replay::Number> SnowflakeSource::next(std::uint64_t node, replay::Number floor, std::uint64_t unix_ms) {
  const auto bits = layout_.sequence_bits();
  const std::uint64_t now = unix_ms > layout_.epoch_ms ? unix_ms - layout_.epoch_ms : 0;
  // The floor may be another node's: then only its millisecond counts, and ours is the next.
  const auto floor_time = static_cast<std::uint64_t>(floor >> kSharedBits);
  auto last = last_.load(std::memory_order_relaxed);
  for (;;) {
    auto time = std::max(now, last >> bits);
    std::uint64_t sequence = 0;
    if (time == last >> bits && last != 0) {
      sequence = (last & ((std::uint64_t{1} << bits) - 1)) + 1;
      if (sequence >> bits != 0) {
        if (time == now) return std::nullopt;
        ++time;  // Ahead of the clock there is nothing to wait for.
        sequence = 0;
      }
    }
    const auto compose = [&] { return replay::Number{time} << kSharedBits | replay::Number{node} << bits | sequence; };
    if (compose() <= floor) {
      time = floor_time + 1;
      sequence = 0;
    }
    if (time > kMaxTime) return std::nullopt;
    if (last_.compare_exchange_weak(last, time << bits | sequence, std::memory_order_relaxed)) return compose();
  }
}

void SnowflakeSource::begin_after(std::uint64_t unix_ms) {
  if (unix_ms <= layout_.epoch_ms) return;
  const auto least = (unix_ms - layout_.epoch_ms + 1) << layout_.sequence_bits();
  auto last = last_.load(std::memory_order_relaxed);
  while (last < least && !last_.compare_exchange_weak(last, least, std::memory_order_relaxed)) {
  }
}

}  // namespace ssequel::ids
