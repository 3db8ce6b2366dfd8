#include "ids/snowflake.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "base/random.h"

namespace ssequel::ids {
namespace {

constexpr SnowflakeLayout kLayout{.epoch_ms = 1000, .node_bits = 10};

std::uint64_t number(std::optional<replay::Number> id) {
  REQUIRE(id.has_value());
  return static_cast<std::uint64_t>(*id);
}

TEST_CASE("milliseconds since the epoch, the node, the sequence") {
  SnowflakeSource source(kLayout);
  CHECK(number(source.next(5, 0, 1002)) == (2u << 22 | 5u << 12 | 0u));
  CHECK(number(source.next(5, 0, 1002)) == (2u << 22 | 5u << 12 | 1u));
  CHECK(number(source.next(1023, 0, 1003)) == (3u << 22 | 1023u << 12 | 0u));
  SnowflakeSource wide({.epoch_ms = 1000, .node_bits = 16});
  CHECK(number(wide.next(65535, 0, 1001)) == (1u << 22 | 65535u << 6 | 0u));
}

TEST_CASE("a millisecond that is used up waits for the next") {
  SnowflakeSource source({.epoch_ms = 1000, .node_bits = 16});
  for (int i = 0; i < 64; ++i) CHECK(source.next(1, 0, 1005).has_value());
  CHECK_FALSE(source.next(1, 0, 1005).has_value());
  CHECK_FALSE(source.next(1, 0, 1005).has_value());
  CHECK(number(source.next(1, 0, 1006)) == (6u << 22 | 1u << 6));
}

TEST_CASE("a clock that is set back goes on in logical time, without waiting") {
  SnowflakeSource source({.epoch_ms = 1000, .node_bits = 16});
  auto last = number(source.next(1, 0, 5000));
  for (int i = 0; i < 1000; ++i) {
    const auto next = number(source.next(1, last, 2000));
    REQUIRE(next > last);
    last = next;
  }
  CHECK((last >> 22) == 4000 + 1000 / 64);
  // Time before the epoch is its first millisecond.
  SnowflakeSource early(kLayout);
  CHECK((number(early.next(1, 0, 10)) >> 22) == 0);
}

TEST_CASE("ids are above the floor, whoever's it is") {
  SnowflakeSource source(kLayout);
  const std::uint64_t floor = 50u << 22 | 1000u << 12 | 7u;  // A node with a greater number gave it.
  CHECK(number(source.next(3, floor, 1050)) == (51u << 22 | 3u << 12));
  CHECK(number(source.next(3, 0, 1050)) == (51u << 22 | 3u << 12 | 1u));
  // One of the same millisecond and a smaller node's is not in the way.
  SnowflakeSource other(kLayout);
  CHECK(number(other.next(3, 50u << 22 | 2u << 12 | 4095u, 1050)) == (50u << 22 | 3u << 12));
}

TEST_CASE("who takes a node over begins after all that it gave") {
  SnowflakeSource source(kLayout);
  source.begin_after(3000);
  CHECK((number(source.next(1, 0, 2000)) >> 22) == 2001);
  source.begin_after(1500);
  CHECK((number(source.next(1, 0, 2000)) >> 22) == 2001);
}

TEST_CASE("41 bits of time are all there are") {
  SnowflakeSource source(kLayout);
  const std::uint64_t end = 1000 + (std::uint64_t{1} << 41) - 1;
  CHECK(number(source.next(1023, 0, end)) < std::uint64_t{1} << 63);
  CHECK_FALSE(source.next(1, 0, end + 1).has_value());
}

TEST_CASE("several threads never get the same") {
  SnowflakeSource source(kLayout);
  std::vector<std::vector<std::uint64_t>> given(3);
  std::vector<std::thread> threads;
  for (auto& mine : given) {
    threads.emplace_back([&source, &mine] {
      std::uint64_t now = 2000;
      while (mine.size() < 20'000) {
        if (const auto id = source.next(7, 0, now)) {
          mine.push_back(static_cast<std::uint64_t>(*id));
        } else {
          ++now;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::uint64_t> all;
  for (const auto& mine : given) {
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  CHECK(all.size() == 60'000);
}

}  // namespace
}  // namespace ssequel::ids
