// When to try again: exponential with full jitter, so that many who lost the same peer do not come back together.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/random.h"

namespace ssequel::relay {

class Backoff {
 public:
  Backoff(Millis min, Millis max) : min_(min), max_(max) {}

  // Uniform between `least` (or min) and the ceiling, which doubles with each call up to max. least: what the peer
  // asked for (retry:, Retry-After).
  [[nodiscard]] Millis next(Random& random, Millis least = Millis(0)) {
    const Millis floor = std::max(min_, least);
    const Millis ceiling = std::max(floor, std::min(max_, min_ * (std::int64_t{1} << std::min(attempts_, 20u))));
    ++attempts_;
    return floor + Millis(random.up_to(static_cast<std::uint64_t>((ceiling - floor).count())));
  }
  void reset() { attempts_ = 0; }
  [[nodiscard]] unsigned attempts() const { return attempts_; }

 private:
  Millis min_;
  Millis max_;
  unsigned attempts_ = 0;
};

}  // namespace ssequel::relay
