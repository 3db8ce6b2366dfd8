// Which node this process is, for Snowflake ids: a number that the configuration says once and for all, or one that is
// held by a lease for as long as it is renewed. From any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace ssequel::ids {

class NodeSeat {
 public:
  struct Claim {
    std::uint64_t node = 0;
    // Unix milliseconds: who had the node before may have given ids up to the first; who has it next begins after the
    // second.
    std::uint64_t after_ms = 0;
    std::uint64_t bound_ms = std::numeric_limits<std::uint64_t>::max();
    Millis until = Millis::max();  // Monotonic time.
  };
  NodeSeat() = default;
  explicit NodeSeat(std::uint64_t node) : claim_(Claim{.node = node}) {}

  // Nothing: there is no node now.
  [[nodiscard]] std::optional<Claim> claim(Millis now) const {
    const std::lock_guard lock(mutex_);
    if (!claim_ || now >= claim_->until) return std::nullopt;
    return claim_;
  }
  void hold(const Claim& claim) {
    const std::lock_guard lock(mutex_);
    claim_ = claim;
  }
  void lose() {
    const std::lock_guard lock(mutex_);
    claim_.reset();
  }
  // An id of this time was given.
  void used(std::uint64_t unix_ms) {
    const std::lock_guard lock(mutex_);
    used_ms_ = std::max(used_ms_, unix_ms);
  }
  [[nodiscard]] std::uint64_t used_ms() const {
    const std::lock_guard lock(mutex_);
    return used_ms_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Claim> claim_;
  std::uint64_t used_ms_ = 0;
};

}  // namespace ssequel::ids
