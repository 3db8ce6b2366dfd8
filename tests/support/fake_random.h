// Chance that a test decides: every byte is the same. 0x00 gives the least of a range, 0xff the greatest.
#pragma once

#include <algorithm>

#include "base/random.h"

namespace ssequel::test {

class FakeRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override { std::fill(out.begin(), out.end(), every_byte); }
  std::byte every_byte{0};
};

}  // namespace ssequel::test
