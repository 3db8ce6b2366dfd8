#include "replay/sequencer.h"

#include <doctest/doctest.h>

namespace ssequel::replay {
namespace {

constexpr std::uint64_t kNow = 1'753'000'000'000'000;

TEST_CASE("the counting sequencer gives exactly one more than the last") {
  CountingSequencer sequencer;
  CHECK(sequencer.next(0) == 1);
  CHECK(sequencer.next(41) == 42);
  CHECK(sequencer.next(41) == 42);
}

TEST_CASE("a log without a past begins at the time in microseconds") {
  Beginnings beginnings;
  CHECK(beginnings.begin_at_time(kNow) == kNow);
}

TEST_CASE("logs that begin in one microsecond share neither an id nor a base") {
  Beginnings beginnings;
  const auto first = beginnings.begin_at_time(kNow);
  const auto second = beginnings.begin_at_time(kNow);
  CHECK(second - 1 > first);
}

TEST_CASE("a clock that was set back gives no id again") {
  Beginnings beginnings;
  const auto first = beginnings.begin_at_time(kNow);
  beginnings.given(first + 1000, {});
  CHECK(beginnings.begin_at_time(kNow - 3'600'000'000) == first + 1002);
}

TEST_CASE("a log that gave more ids than microseconds went by pushes the next one's beginning up") {
  Beginnings beginnings;
  beginnings.given(kNow + 5'000'000, {});
  beginnings.given(kNow, {});
  CHECK(beginnings.begin_at_time(kNow) == kNow + 5'000'002);
}

TEST_CASE("a clock before 1970 still begins above nothing") {
  Beginnings beginnings;
  CHECK(beginnings.begin_at_time(-5) >= 1);
}

TEST_CASE("start N begins a key's first log at N and later ones two above all its earlier ids") {
  Beginnings beginnings;
  CHECK(beginnings.begin_at(1000, "a") == 1000);
  beginnings.given(1499, "a");
  CHECK(beginnings.begin_at(1000, "a") == 1501);
  beginnings.given(1200, "a");
  CHECK(beginnings.begin_at(1000, "a") == 1501);
  CHECK(beginnings.begin_at(2000, "a") == 2000);
  CHECK(beginnings.begin_at(1000, "b") == 1000);
}

TEST_CASE("a log with a start begins far above an earlier one that goes on beside it") {
  Beginnings beginnings;
  CHECK(beginnings.begin_at(10, "a") == 10);
  beginnings.given(20, "a");
  const auto beside = beginnings.begin_beside(10, "a", kNow);
  CHECK(beside == kNow + 10);
  // The earlier one is over by now; a third begins above both.
  beginnings.given(1'000'000, "a");
  beginnings.given(beside + 4, "a");
  CHECK(beginnings.begin_at(10, "a") == beside + 6);
  CHECK(beginnings.begin_beside(10, "a", -5) == beside + 6);
  CHECK(beginnings.begin_beside(~std::uint64_t{0}, "b", kNow) > kNow);
}

TEST_CASE("what is known of a key with a start from before a loss does not make its numbers begin below the loss") {
  Beginnings beginnings;
  beginnings.given(12, "a");  // A later log of it gave 14 and 15, and was lost.
  beginnings.forgotten_at(kNow);
  CHECK(beginnings.begin_at(7, "a") == kNow + 7);
  beginnings.given(kNow + 100, "a");
  CHECK(beginnings.begin_at(7, "a") == kNow + 102);
}

TEST_CASE("a log that begins at the time begins above what logs with a start have given") {
  Beginnings beginnings;
  beginnings.given(kNow + 77, "a");
  CHECK(beginnings.begin_at_time(kNow) == kNow + 79);
}

TEST_CASE("keys beyond the bound are remembered together, by the highest of them") {
  Beginnings beginnings;
  for (int i = 0; i < 100'000; ++i) beginnings.given(10, std::to_string(i));
  beginnings.given(5000, "one too many");
  beginnings.given(3000, "another");
  CHECK(beginnings.begin_at(1, "one too many") == 5002);
  CHECK(beginnings.begin_at(1, "never seen") == 5002);
  CHECK(beginnings.begin_at(1, "7") == 12);
}

}  // namespace
}  // namespace ssequel::replay
