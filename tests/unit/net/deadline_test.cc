#include "net/deadline.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/test_loop.h"

using namespace ssequel;
using ssequel::test::TestLoop;

namespace {

// A deadline with the time at which it was reported.
struct Timeout final : net::Deadline::Listener {
  explicit Timeout(TestLoop& test) : test_(test), deadline(test.deadlines(), *this) {}
  void on_deadline(net::Deadline& which) override {
    CHECK(&which == &deadline);
    CHECK_FALSE(deadline.is_set());
    ++count;
    at = test_.loop().now();
    if (then) then();
  }
  TestLoop& test_;
  int count = 0;
  Millis at{0};
  std::function<void()> then;
  net::Deadline deadline;
};

}  // namespace

TEST_CASE("deadlines come in the order of their times, not of their setting, and not early") {
  TestLoop test;
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Timeout>> timeouts;
  std::vector<Millis> due;
  std::vector<Millis> order;
  // Within one turn, so that "now" is the same for all of them.
  test.loop().defer([&] {
    for (int i = 0; i < 300; ++i) {
      timeouts.push_back(std::make_unique<Timeout>(test));
      const Millis after(random() % 40);
      due.push_back(test.loop().now() + after);
      timeouts.back()->then = [&order, &due, i] { order.push_back(due[static_cast<std::size_t>(i)]); };
      timeouts.back()->deadline.set(after);
    }
  });
  test.loop().run_once();
  REQUIRE(timeouts.size() == 300);
  REQUIRE(test.run_until([&] { return order.size() == timeouts.size(); }));
  for (std::size_t i = 1; i < order.size(); ++i) CHECK(order[i - 1] <= order[i]);
  for (std::size_t i = 0; i < timeouts.size(); ++i) {
    CHECK(timeouts[i]->count == 1);
    CHECK(timeouts[i]->at >= due[i]);
  }
}

TEST_CASE("random settings, cancellings and destructions agree with a simple model") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  TestLoop test;
  std::vector<std::unique_ptr<Timeout>> timeouts(64);
  std::vector<Millis> due(timeouts.size(), Millis::max());  // The model.
  for (int step = 0; step < 5000; ++step) {
    const auto i = random() % timeouts.size();
    if (!timeouts[i]) {
      timeouts[i] = std::make_unique<Timeout>(test);
      timeouts[i]->then = [&test, &due, i] {
        CHECK(due[i] <= test.loop().now());
        due[i] = Millis::max();
      };
    }
    switch (random() % 8) {
      case 0:
        timeouts[i].reset();
        due[i] = Millis::max();
        break;
      case 1:
        timeouts[i]->deadline.cancel();
        due[i] = Millis::max();
        break;
      case 2:
        test.loop().run_once();
        break;
      default: {
        const Millis after(random() % 10);
        due[i] = test.loop().now() + after;  // At most what the queue reckons with, a moment later.
        timeouts[i]->deadline.set(after);
        break;
      }
    }
    for (std::size_t k = 0; k < timeouts.size(); ++k) {
      if (timeouts[k] && timeouts[k]->deadline.is_set() != (due[k] != Millis::max())) FAIL("differs from the model");
    }
  }
  REQUIRE(test.run_until([&] {
    for (const auto& each : due) {
      if (each != Millis::max()) return false;
    }
    return true;
  }));
}

TEST_CASE("a deadline that is put off again and again does not come") {
  TestLoop test;
  Timeout lazy(test);
  Timeout end(test);
  lazy.deadline.set(Millis(5));
  end.deadline.set(Millis(40));
  REQUIRE(test.run_until([&] {
    lazy.deadline.set(Millis(20));  // About each millisecond.
    return end.count == 1;
  }));
  CHECK(lazy.count == 0);
  const auto last_set = test.loop().now();
  lazy.deadline.set(Millis(20));
  REQUIRE(test.run_until([&] { return lazy.count == 1; }));
  CHECK(lazy.at >= last_set + Millis(20));
}

TEST_CASE("an earlier setting replaces a later one") {
  TestLoop test;
  Timeout timeout(test);
  timeout.deadline.set(std::chrono::hours(1));
  timeout.deadline.set(Millis(1));
  REQUIRE(test.run_until([&] { return timeout.count == 1; }));
}

TEST_CASE("a cancelled deadline does not come and does not keep the loop going") {
  TestLoop test;
  Timeout timeout(test);
  timeout.deadline.set(std::chrono::hours(1));
  CHECK(timeout.deadline.is_set());
  CHECK(test.loop().run_once());
  timeout.deadline.cancel();
  timeout.deadline.cancel();
  CHECK_FALSE(timeout.deadline.is_set());
  CHECK_FALSE(test.loop().run_once());
  test.loop().run();
  CHECK(timeout.count == 0);
}

TEST_CASE("a deadline may be set again from its own report, without keeping the loop to itself") {
  TestLoop test;
  Timeout timeout(test);
  timeout.then = [&] {
    if (timeout.count < 5) timeout.deadline.set(Millis(0));
  };
  timeout.deadline.set(Millis(0));
  int most_in_a_turn = 0;
  while (timeout.count < 5) {
    const int before = timeout.count;
    test.loop().run_once();
    most_in_a_turn = std::max(most_in_a_turn, timeout.count - before);
  }
  CHECK(most_in_a_turn == 1);
}

TEST_CASE("a report may destroy its own deadline and others that are due") {
  TestLoop test;
  std::vector<std::unique_ptr<Timeout>> timeouts;
  int reports = 0;
  for (int i = 0; i < 10; ++i) {
    timeouts.push_back(std::make_unique<Timeout>(test));
    timeouts.back()->then = [&] {
      ++reports;
      // Moved out first: the callable that runs must not destroy itself.
      test.loop().defer([gone = std::make_shared<std::vector<std::unique_ptr<Timeout>>>(std::move(timeouts))] {});
      timeouts.clear();
    };
    timeouts.back()->deadline.set(Millis(1));
  }
  REQUIRE(test.run_until([&] { return reports > 0; }));
}

namespace {
struct Suicidal final : net::Deadline::Listener {
  Suicidal(net::DeadlineQueue& queue, std::unique_ptr<Suicidal>& owner, int& count)
      : owner_(owner), count_(count), deadline(queue, *this) {}
  void on_deadline(net::Deadline&) override {
    ++count_;
    owner_.reset();
  }
  std::unique_ptr<Suicidal>& owner_;
  int& count_;
  net::Deadline deadline;
};
}  // namespace

TEST_CASE("a report may destroy the object that holds the deadline") {
  TestLoop test;
  int count = 0;
  std::vector<std::unique_ptr<Suicidal>> all(20);
  for (auto& each : all) {
    each = std::make_unique<Suicidal>(test.deadlines(), each, count);
    each->deadline.set(Millis(1));
  }
  REQUIRE(test.run_until([&] { return count == 20; }));
  for (const auto& each : all) CHECK_FALSE(each);
}

TEST_CASE("times out of all measure neither overflow nor come") {
  TestLoop test;
  Timeout forever(test);
  forever.deadline.set(Millis::max());
  CHECK(forever.deadline.is_set());
  Timeout negative(test);
  negative.deadline.set(Millis(-5));
  REQUIRE(test.run_until([&] { return negative.count == 1; }));
  CHECK(forever.count == 0);
}
