// When to try again: exponential with full jitter, so that many who lost the same peer do not come back together, not
// even the first time, nor where the peer told all of them the same.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/random.h"

namespace ssequel {

class Backoff {
 public:
  Backoff(Millis min, Millis max) : min_(min), max_(max) {}

  // Uniform between min and the ceiling, which is twice min at first and doubles with each call up to max. least: what
  // the peer asked for (retry:, Retry-After); if above min, between that and the ceiling, or a quarter more than asked.
  [[nodiscard]] Millis next(Random& random, Millis least = Millis(0)) {
    const Millis floor = std::max(min_, least);
    const Millis spread = least > min_ ? least / 4 : Millis(0);
    const Millis doubled = min_ * (std::int64_t{2} << std::min(attempts_, 20u));
    const Millis ceiling = std::max(floor + spread, std::min(max_, doubled));
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

}  // namespace ssequel
