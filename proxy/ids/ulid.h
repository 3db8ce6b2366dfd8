// ULIDs (https://github.com/ulid/spec) as numbers of 128 bits: 48 bits of Unix milliseconds, 80 random bits.
//
// Monotonic: within a millisecond the random bits are counted up by one; where they overflow, which the specification
// leaves open, the carry goes into the millisecond, and the ids stay ahead of the clock until it catches up. So they do
// where the clock was set back, or where the log's last id is ahead of it: then they go on one millisecond above that,
// with fresh random bits, so that another process that does the same gives others. Pure; one thread.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "replay/event_id.h"

namespace ssequel::ids {

class UlidFactory {
 public:
  explicit UlidFactory(Random& random) : random_(random) {}
  // Above every earlier one and above `floor`. unix_ms: the time now, of which 48 bits count.
  [[nodiscard]] replay::Number next(replay::Number floor, std::uint64_t unix_ms);

 private:
  [[nodiscard]] replay::Number fresh(std::uint64_t unix_ms);
  Random& random_;
  replay::Number last_ = 0;
};

}  // namespace ssequel::ids
