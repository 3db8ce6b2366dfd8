#include "relay/counters.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

namespace ssequel::relay {
namespace {

TEST_CASE("an observation counts in the first bound that is not below it") {
  Histogram<10> histogram;
  for (const double value : {0.0, 1.0, 2.0, 5.0, 10000.0, 10001.0}) histogram.observe(value, kReplayBounds);
  CHECK(histogram.counts[0] == 1);
  CHECK(histogram.counts[1] == 1);
  CHECK(histogram.counts[2] == 2);
  CHECK(histogram.counts[9] == 1);
  CHECK(histogram.counts[10] == 1);
  CHECK(histogram.sum == 20009.0);
  histogram.observe(3.0, kReplayBounds, 4);
  CHECK(histogram.counts[2] == 6);
  CHECK(histogram.sum == 20021.0);
}

TEST_CASE("bounds rise") {
  CHECK(std::is_sorted(kReplayBounds.begin(), kReplayBounds.end()));
  CHECK(std::is_sorted(kSecondsBounds.begin(), kSecondsBounds.end()));
  CHECK(std::is_sorted(kLagBounds.begin(), kLagBounds.end()));
}

// All of RouteCounts is made of eight-byte numbers, so that none can be forgotten without being seen here.
TEST_CASE("adding up two loops' counters forgets none") {
  RouteCounts one;
  constexpr std::size_t kNumbers = sizeof one / 8;
  static_assert(sizeof one % 8 == 0 && std::is_trivially_copyable_v<RouteCounts>);
  const auto ones = [&] {
    one = RouteCounts();
    std::array<std::uint64_t, kNumbers> raw;
    std::memcpy(raw.data(), &one, sizeof one);
    raw.fill(1);
    std::memcpy(static_cast<void*>(&one), raw.data(), sizeof one);
    one.replayed.sum = one.delivery_seconds.sum = one.lag_events.sum = 1;
    return one;
  };
  auto sum = ones();
  sum.add(ones());
  CHECK(sum.replayed.sum == 2);
  CHECK(sum.delivery_seconds.sum == 2);
  CHECK(sum.lag_events.sum == 2);
  double two = 2;
  std::uint64_t as_number = 0;
  std::memcpy(&as_number, &two, 8);
  std::array<std::uint64_t, kNumbers> raw;
  std::memcpy(raw.data(), &sum, sizeof sum);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    CAPTURE(i);
    CHECK((raw[i] == 2 || raw[i] == as_number));
  }
}

TEST_CASE("who came back is added up, too") {
  RouteCounters one, other;
  one.resume_hour.came_back(Millis(1), 5, {});
  other.resume_hour.came_back(Millis(1), 6, {});
  other.events_emitted = 3;
  one.add(other);
  CHECK(one.events_emitted == 3);
  CHECK(one.resume_hour.summary(Millis(1)).resumes == 2);
}

}  // namespace
}  // namespace ssequel::relay
