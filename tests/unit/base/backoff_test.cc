#include "base/backoff.h"

#include <doctest/doctest.h>

#include "support/fake_random.h"

namespace ssequel {
namespace {

using namespace std::chrono_literals;

constexpr std::byte kLeast{0};
constexpr std::byte kMost{0xff};

TEST_CASE("the ceiling doubles from try to try and stays at max") {
  test::FakeRandom random;
  random.every_byte = kMost;
  Backoff backoff(250ms, 30s);
  for (const auto ceiling : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
    CHECK(backoff.next(random) == ceiling);
  }
  for (int i = 0; i < 100; ++i) CHECK(backoff.next(random) == 30s);
  CHECK(backoff.attempts() == 108);
}

TEST_CASE("jitter reaches down to min, from the first try on") {
  test::FakeRandom random;
  random.every_byte = kLeast;
  Backoff backoff(250ms, 30s);
  for (int i = 0; i < 40; ++i) CHECK(backoff.next(random) == 250ms);
  SystemRandom chance;
  Backoff other(250ms, 30s);
  bool differs = false;
  Millis first = other.next(chance);
  for (int i = 0; i < 64 && !differs; ++i) {
    other.reset();
    differs = other.next(chance) != first;
  }
  CHECK(differs);
}

TEST_CASE("after a success it begins anew") {
  test::FakeRandom random;
  random.every_byte = kMost;
  Backoff backoff(1s, 30s);
  CHECK(backoff.next(random) == 2s);
  CHECK(backoff.next(random) == 4s);
  backoff.reset();
  CHECK(backoff.attempts() == 0);
  CHECK(backoff.next(random) == 2s);
}

TEST_CASE("what the peer asked for is the least, with jitter above it even where it is above max") {
  test::FakeRandom random;
  Backoff backoff(250ms, 30s);
  random.every_byte = kLeast;
  CHECK(backoff.next(random, 4s) == 4s);
  CHECK(backoff.next(random, 60s) == 60s);
  random.every_byte = kMost;
  CHECK(backoff.next(random, 60s) == 75s);
  CHECK(backoff.next(random, 8s) == 10s);  // Its own ceiling is 4 s by now.
}

TEST_CASE("asking for less than min changes nothing") {
  test::FakeRandom random;
  random.every_byte = kMost;
  Backoff backoff(250ms, 30s);
  CHECK(backoff.next(random, 100ms) == 500ms);
}

TEST_CASE("min equal to max is a fixed time") {
  for (const auto chance : {kLeast, kMost}) {
    test::FakeRandom random;
    random.every_byte = chance;
    Backoff backoff(1s, 1s);
    for (int i = 0; i < 5; ++i) CHECK(backoff.next(random) == 1s);
  }
}

TEST_CASE("hours as min do not overflow") {
  test::FakeRandom random;
  random.every_byte = kMost;
  Backoff backoff(24h, 240h);
  for (int i = 0; i < 100; ++i) CHECK(backoff.next(random) <= 240h);
}

}  // namespace
}  // namespace ssequel
