// The queue before the log, against a plain deque of copies.
#include "relay/arrival_queue.h"

#include <doctest/doctest.h>

#include <deque>
#include <random>

namespace ssequel::relay {
namespace {

struct Copy {
  Arrival::Kind kind;
  std::string lines;
  std::optional<std::string> origin;
  std::string sticky;
};

void check_front(const ArrivalQueue& queue, const Copy& expected) {
  const auto head = queue.front();
  REQUIRE(head.kind == expected.kind);
  REQUIRE(head.lines == expected.lines);
  REQUIRE(head.origin.has_value() == expected.origin.has_value());
  if (expected.origin) REQUIRE(*head.origin == *expected.origin);
  REQUIRE(head.sticky == expected.sticky);
}

TEST_CASE("what goes in comes out, in order, whatever it was a view of") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  ArrivalQueue queue;
  std::deque<Copy> model;
  for (int step = 0; step < 20'000; ++step) {
    // Now filling, now emptying, and empty again and again.
    const bool fills = (step / 500) % 2 == 0 ? random() % 3 != 0 : random() % 3 == 0;
    if (fills) {
      Copy copy{.kind = static_cast<Arrival::Kind>(random() % 3),
                .lines = std::string(random() % 40, static_cast<char>('a' + random() % 26)),
                .origin = std::nullopt,
                .sticky = std::string(random() % 5, static_cast<char>('A' + random() % 26))};
      if (random() % 2 == 0) copy.origin = std::string(random() % 6, 'o');
      Arrival arrival{.kind = copy.kind, .lines = copy.lines, .origin = {}, .sticky = copy.sticky};
      if (copy.origin) arrival.origin = *copy.origin;
      queue.push(arrival);
      CHECK(queue.ends_with(copy.kind));
      model.push_back(std::move(copy));
    } else if (!model.empty()) {
      check_front(queue, model.front());
      queue.pop();
      model.pop_front();
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == model.empty());
  }
}

TEST_CASE("an origin id that is empty is not one that is missing") {
  ArrivalQueue queue;
  queue.push({.kind = Arrival::Kind::Event, .lines = "data\n", .origin = "", .sticky = {}});
  queue.push({.kind = Arrival::Kind::Event, .lines = "data\n", .origin = std::nullopt, .sticky = {}});
  CHECK(queue.front().origin == std::string_view());
  queue.pop();
  CHECK_FALSE(queue.front().origin.has_value());
}

TEST_CASE("it is full at its bound of arrivals and at its bound of bytes") {
  ArrivalQueue queue;
  for (std::size_t i = 0; i < ArrivalQueue::kMaxArrivals; ++i) {
    CHECK_FALSE(queue.is_full());
    queue.push({.kind = Arrival::Kind::Event, .lines = "data\n", .origin = {}, .sticky = {}});
  }
  CHECK(queue.is_full());
  queue.pop();
  CHECK_FALSE(queue.is_full());

  ArrivalQueue large;
  const std::string most(ArrivalQueue::kMaxBytes - 1, 'x');
  large.push({.kind = Arrival::Kind::Event, .lines = most, .origin = {}, .sticky = {}});
  CHECK_FALSE(large.is_full());
  large.push({.kind = Arrival::Kind::Event, .lines = "x", .origin = {}, .sticky = {}});
  CHECK(large.is_full());
  large.pop();
  CHECK_FALSE(large.is_full());
}

TEST_CASE("a large arrival's memory is given back once it has gone") {
  ArrivalQueue queue;
  queue.push({.kind = Arrival::Kind::Event, .lines = std::string(1 << 20, 'x'), .origin = {}, .sticky = {}});
  CHECK(queue.memory() >= 1 << 20);
  queue.pop();
  CHECK(queue.memory() < 1 << 17);
}

TEST_CASE("what has gone does not grow behind a queue that is never empty") {
  ArrivalQueue queue;
  const std::string lines(100, 'x');
  for (int i = 0; i < 10; ++i) queue.push({.kind = Arrival::Kind::Event, .lines = lines, .origin = {}, .sticky = {}});
  for (int i = 0; i < 100'000; ++i) {
    queue.push({.kind = Arrival::Kind::Event, .lines = lines, .origin = {}, .sticky = {}});
    queue.pop();
  }
  CHECK(queue.size() == 10);
  CHECK(queue.memory() < 64 * 1024);
}

}  // namespace
}  // namespace ssequel::relay
