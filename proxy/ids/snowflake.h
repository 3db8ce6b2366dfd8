// Snowflake ids: 41 bits of milliseconds since an epoch of the operator's, then 22 bits that a node's number and a
// sequence within the millisecond share (10 and 12 by default). Below 2^63; 41 bits last 69 years.
//
// One source for all channels of the process that have the same layout, from any thread. Where the clock was set back,
// or an earlier id is ahead of it, ids go on in logical time, as if it were that late; ahead of the clock nothing is
// waited for. At the clock's own millisecond a sequence that is used up waits for the next one. Pure.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "replay/event_id.h"

namespace ssequel::ids {

struct SnowflakeLayout {
  std::uint64_t epoch_ms = 1'700'000'000'000;
  unsigned node_bits = 10;  // 10 to 16.
  [[nodiscard]] unsigned sequence_bits() const { return 22 - node_bits; }
  friend auto operator<=>(const SnowflakeLayout&, const SnowflakeLayout&) = default;
};

class SnowflakeSource {
 public:
  explicit SnowflakeSource(SnowflakeLayout layout) : layout_(layout) {}
  // Above every earlier one of this source and above `floor`. nullopt: the millisecond is used up (or all 69 years):
  // ask again in the next one. node: below 2^node_bits.
  [[nodiscard]] std::optional<replay::Number> next(std::uint64_t node, replay::Number floor, std::uint64_t unix_ms);
  // Nothing at or before this time (of another process that had the node) is given from now on.
  void begin_after(std::uint64_t unix_ms);

 private:
  static constexpr unsigned kSharedBits = 22;
  static constexpr std::uint64_t kMaxTime = (std::uint64_t{1} << 41) - 1;
  const SnowflakeLayout layout_;
  // Time since the epoch, then the sequence, without the node between: 0 is none yet.
  std::atomic<std::uint64_t> last_{0};
};

}  // namespace ssequel::ids
