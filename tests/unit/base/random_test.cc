#include "base/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

using namespace ssequel;

namespace {

// Gives the same 64 bits for ever.
class Fixed final : public Random {
 public:
  explicit Fixed(std::uint64_t value) : value_(value) {}
  void fill(std::span<std::byte> out) override {
    std::memcpy(out.data(), &value_, std::min(out.size(), sizeof value_));
  }

 private:
  std::uint64_t value_;
};

}  // namespace

TEST_CASE("a random number reaches both ends of its range and nothing beyond") {
  Fixed least(0), greatest(UINT64_MAX);
  for (const std::uint64_t bound : {0ULL, 1ULL, 2ULL, 999ULL, 1ULL << 63, ~0ULL - 1, ~0ULL}) {
    CHECK(least.up_to(bound) == 0);
    CHECK(greatest.up_to(bound) == bound);
  }
}

TEST_CASE("a random number is in the middle of its range for the middle of the bits") {
  Fixed middle(1ULL << 63);
  CHECK(middle.up_to(999) == 500);
}

TEST_CASE("the kernel's randomness fills every byte and does not repeat itself") {
  SystemRandom random;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.next64());
  CHECK(seen.size() == 1000);
  std::array<std::byte, 4096> bytes{};
  random.fill(bytes);
  // 4096 zero bytes are kept with a chance of 2^-32 for each run of four.
  CHECK(std::search_n(bytes.begin(), bytes.end(), 8, std::byte{0}) == bytes.end());
  random.fill({});
}
