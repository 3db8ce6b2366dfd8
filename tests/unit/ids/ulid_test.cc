#include "ids/ulid.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "support/fake_random.h"

namespace ssequel::ids {
namespace {

constexpr replay::Number kRandom = (replay::Number{1} << 80) - 1;
std::uint64_t time_of(replay::Number id) { return static_cast<std::uint64_t>(id >> 80); }

TEST_CASE("a ULID has the time in front, and is counted up within a millisecond") {
  SystemRandom random;
  UlidFactory factory(random);
  const auto first = factory.next(0, 1'700'000'000'000);
  CHECK(time_of(first) == 1'700'000'000'000);
  CHECK((factory.next(first, 1'700'000'000'000) == first + 1));
  const auto later = factory.next(first + 1, 1'700'000'000'001);
  CHECK(time_of(later) == 1'700'000'000'001);
  CHECK(((later & kRandom) != ((first + 2) & kRandom)));
}

TEST_CASE("where the random bits overflow, the carry goes into the millisecond") {
  test::FakeRandom random;
  random.every_byte = std::byte{0xff};
  UlidFactory factory(random);
  const auto full = factory.next(0, 1000);
  CHECK(((full & kRandom) == kRandom));
  const auto carried = factory.next(full, 1000);
  CHECK((carried == replay::Number{1001} << 80));
  CHECK((factory.next(carried, 1000) == carried + 1));
  CHECK((factory.next(carried + 1, 1001) == carried + 2));  // The clock has caught up; still one more each.
  CHECK(time_of(factory.next(carried + 2, 1002)) == 1002);
}

TEST_CASE("a clock that is set back does not take ids back") {
  SystemRandom random;
  UlidFactory factory(random);
  auto last = factory.next(0, 5000);
  for (const std::uint64_t now : {4000, 1, 4999, 5000}) {
    const auto next = factory.next(last, now);
    CHECK((next == last + 1));
    last = next;
  }
  CHECK(time_of(factory.next(last, 5001)) == 5001);
}

TEST_CASE("a log's last id is the floor, also after a restart with the clock set back") {
  SystemRandom random;
  for (const replay::Number floor : {replay::Number{7000} << 80, (replay::Number{7000} << 80) + kRandom}) {
    UlidFactory factory(random);
    const auto first = factory.next(floor, 5000);
    CHECK((first > floor));
    CHECK(time_of(first) == 7001);
    // Not floor + 1: another process that starts there gives others.
    UlidFactory other(random);
    CHECK((other.next(floor, 5000) != first));
    CHECK((factory.next(first, 5000) == first + 1));
    CHECK((factory.next(replay::Number{9000} << 80, 5000) >> 80 == 9001));
  }
}

TEST_CASE("whatever the clock does, each is greater than the one before") {
  SystemRandom random;
  UlidFactory factory(random);
  replay::Number last = 0;
  std::uint64_t now = 1'700'000'000'000;
  for (int i = 0; i < 100'000; ++i) {
    now = now + random.up_to(3) - random.up_to(3);
    if (random.up_to(10'000) == 0) now -= 100'000;
    const auto floor = random.up_to(100) == 0 ? last + random.next64() : last;
    const auto next = factory.next(floor, now);
    REQUIRE((next > last));
    REQUIRE((next > floor));
    last = next;
  }
}

}  // namespace
}  // namespace ssequel::ids
