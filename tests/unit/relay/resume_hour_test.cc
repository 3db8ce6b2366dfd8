#include "relay/resume_hour.h"

#include <doctest/doctest.h>

#include <string>

using namespace ssequel;
using namespace ssequel::relay;
using namespace std::chrono_literals;

namespace {

constexpr WindowUse kHalf{0.5, WindowBound::Events};
constexpr Millis kStart = 1000h;

// A log with this many entries of a hundred bytes, one a second, the last one now.
Millis fill(replay::ReplayLog& log, std::uint64_t entries) {
  const std::string frame(100, 'x');
  Millis now = kStart;
  for (std::uint64_t i = 0; i < entries; ++i) {
    now = kStart + i * 1s;
    log.append(frame, log.next_number(), std::nullopt, now);
    log.publish(log.appended());
    log.evict(now, replay::ReplayLog::kNoPlace);
  }
  return now;
}

}  // namespace

TEST_CASE("an hour tells how many came back, and how far behind") {
  ResumeHour hour;
  for (std::uint64_t i = 0; i < 99; ++i) hour.came_back(kStart, 5, kHalf);
  hour.came_back(kStart + 1min, 700, {0.7, WindowBound::Bytes});
  const auto seen = hour.summary(kStart + 1min);
  CHECK(seen.resumes == 100);
  CHECK(seen.gaps == 0);
  CHECK(seen.most_behind == 700);
  CHECK(seen.p99_behind == 5);
  CHECK(seen.most.used == 0.7);
  CHECK(seen.most.bound == WindowBound::Bytes);
  CHECK(seen.minutes[58].resumes == 99);
  CHECK(seen.minutes[59].most_behind == 700);
}

TEST_CASE("the 99th percentile is never too low, and at most a quarter too high") {
  for (const std::uint64_t behind : {0ull, 1ull, 7ull, 8ull, 9ull, 15ull, 16ull, 100ull, 1023ull, 1024ull, 70'000ull,
                                     (1ull << 32) - 1, 1ull << 40}) {
    ResumeHour hour;
    hour.came_back(kStart, behind, kHalf);
    hour.came_back(kStart, behind, kHalf);
    CHECK(hour.summary(kStart).p99_behind == behind);  // It is the most, too.
    ResumeHour wide;
    for (int i = 0; i < 1000; ++i) wide.came_back(kStart, behind, kHalf);
    wide.came_back(kStart, behind * 100, kHalf);
    const auto p99 = wide.summary(kStart).p99_behind;
    CHECK(p99 >= behind);
    if (behind < (1ull << 32)) CHECK(p99 <= behind + behind / 4);
  }
}

TEST_CASE("what is older than an hour is forgotten, and an empty hour says nothing") {
  ResumeHour hour;
  CHECK(hour.summary(kStart).resumes == 0);
  hour.came_back(kStart, 5, kHalf);
  hour.fell_out(kStart + 30min, std::nullopt, kHalf);
  CHECK(hour.summary(kStart + 59min).resumes == 1);
  CHECK(hour.summary(kStart + 59min).minutes[0].resumes == 1);
  CHECK(hour.summary(kStart + 60min).resumes == 0);
  CHECK(hour.summary(kStart + 60min).gaps == 1);
  CHECK(hour.summary(kStart + 3h).gaps == 0);
  hour.came_back(kStart + 3h, 6, kHalf);
  CHECK(hour.summary(kStart + 3h).most_behind == 6);
}

TEST_CASE("who fell out used more than all of a window") {
  ResumeHour hour;
  hour.fell_out(kStart, std::nullopt, {0.2, WindowBound::Events});
  CHECK(hour.summary(kStart).most.used == 1.0);
  hour.fell_out(kStart, 3000, {3.0, WindowBound::Events});
  CHECK(hour.summary(kStart).most.used == 3.0);
  CHECK(hour.summary(kStart).most_behind == 3000);
  CHECK(hour.summary(kStart).resumes == 0);
}

TEST_CASE("hours of several loops add up, whichever was first") {
  ResumeHour one, other;
  one.came_back(kStart, 5, kHalf);
  one.came_back(kStart + 2min, 50, kHalf);
  other.came_back(kStart + 1min, 500, {0.9, WindowBound::Age});
  other.came_back(kStart + 2min, 7, kHalf);
  ResumeHour sum;
  sum.add(one);
  sum.add(other);
  const auto seen = sum.summary(kStart + 2min);
  CHECK(seen.resumes == 4);
  CHECK(seen.most_behind == 500);
  CHECK(seen.minutes[57].most_behind == 5);
  CHECK(seen.minutes[58].most_behind == 500);
  CHECK(seen.minutes[59].resumes == 2);
  CHECK(seen.most.bound == WindowBound::Age);
}

TEST_CASE("a distance is measured against the bound that binds") {
  SUBCASE("events, before the window is full, too") {
    const replay::Bounds bounds{.events = 1000, .bytes = 1 << 20, .age = 1h};
    replay::ReplayLog log({}, 1, bounds);
    const auto now = fill(log, 100);
    const auto use = window_use(log, bounds, 100, now);
    CHECK(use.used == doctest::Approx(0.1));
    CHECK(use.bound == WindowBound::Events);
  }
  SUBCASE("bytes") {
    const replay::Bounds bounds{.events = 1000, .bytes = 2140, .age = 1h};
    replay::ReplayLog log({}, 1, bounds);
    const auto now = fill(log, 100);
    const auto use = window_use(log, bounds, 10, now);
    CHECK(use.used == doctest::Approx(0.5).epsilon(0.05));
    CHECK(use.bound == WindowBound::Bytes);
  }
  SUBCASE("age") {
    const replay::Bounds bounds{.events = 1000, .bytes = 1 << 20, .age = 20s};
    replay::ReplayLog log({}, 1, bounds);
    const auto now = fill(log, 100);
    const auto use = window_use(log, bounds, 15, now);
    CHECK(use.used == doctest::Approx(15.0 / 20).epsilon(0.1));
    CHECK(use.bound == WindowBound::Age);
  }
  SUBCASE("what all windows together may take") {
    const replay::Bounds bounds{.events = 1000, .bytes = 1 << 20, .age = 1h};
    replay::ReplayLog log({}, 1, bounds);
    const auto now = fill(log, 100);
    log.evict_bytes(8000);
    const auto use = window_use(log, bounds, 20, now);
    CHECK(use.used > 0.8);
    CHECK(use.bound == WindowBound::Store);
  }
  SUBCASE("an empty log is behind nothing") {
    const replay::Bounds bounds{.events = 0, .bytes = 1 << 20, .age = 1h};
    replay::ReplayLog log({}, 1, bounds);
    CHECK(window_use(log, bounds, 0, kStart).used == 0);
  }
}
