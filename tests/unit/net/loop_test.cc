#include "net/loop.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/test_loop.h"

using namespace ssequel;
using ssequel::test::TestLoop;

TEST_CASE("run returns at once when nothing is left") {
  net::Loop loop;
  loop.run();
  CHECK_FALSE(loop.run_once());
}

TEST_CASE("a task posted before run is run") {
  net::Loop loop;
  int runs = 0;
  loop.post([&runs] { ++runs; });
  loop.run();
  CHECK(runs == 1);
}

TEST_CASE("a task deferred before run is run, and run then returns") {
  net::Loop loop;
  int runs = 0;
  loop.defer([&runs] { ++runs; });
  loop.run();
  CHECK(runs == 1);
  loop.run();
  CHECK(runs == 1);
}

TEST_CASE("deferred tasks run in order, and those they defer run in the next turn") {
  net::Loop loop;
  std::string order;
  loop.defer([&] {
    order += 'a';
    loop.defer([&order] { order += 'c'; });
  });
  loop.defer([&order] { order += 'b'; });
  CHECK(loop.run_once());
  CHECK(order == "ab");
  CHECK_FALSE(loop.run_once());
  CHECK(order == "abc");
}

TEST_CASE("a task deferred by a posted one runs at the end of the same turn") {
  net::Loop loop;
  std::string order;
  loop.post([&] {
    loop.defer([&order] { order += "deferred "; });
    order += "posted ";
  });
  loop.post([&order] { order += "posted "; });
  loop.run_once();
  CHECK(order == "posted posted deferred ");
}

TEST_CASE("a deferred task that defers itself does not keep posted ones waiting") {
  net::Loop loop;
  bool stop = false;
  int turns = 0;
  std::function<void()> again = [&] {
    ++turns;
    if (!stop) loop.defer(again);
  };
  loop.defer(again);
  std::jthread other([&] { loop.post([&stop] { stop = true; }); });
  loop.run();
  CHECK(stop);
  CHECK(turns > 0);
}

TEST_CASE("deferred tasks run before the loop is gone, posted ones are dropped") {
  int deferred = 0;
  int posted = 0;
  const auto token = std::make_shared<int>(0);
  {
    net::Loop loop;
    loop.defer([&] {
      ++deferred;
      loop.defer([&deferred] { ++deferred; });
    });
    loop.run_once();
    loop.stop();
    loop.run();
    loop.defer([&deferred, token] { ++deferred; });
  }
  CHECK(deferred == 3);
  CHECK(posted == 0);
  CHECK(token.use_count() == 1);
}

TEST_CASE("stop ends run after the turn") {
  TestLoop test;
  struct Never final : net::Deadline::Listener {
    void on_deadline(net::Deadline&) override { FAIL("not for an hour"); }
  } never;
  net::Deadline deadline(test.deadlines(), never);
  deadline.set(std::chrono::hours(1));
  bool deferred = false;
  test.loop().post([&] {
    test.loop().stop();
    test.loop().defer([&deferred] { deferred = true; });
  });
  test.loop().run();
  CHECK(deferred);
}

TEST_CASE("tasks from many threads run on the loop's thread, each thread's in order") {
  constexpr int kThreads = 4;
  constexpr int kTasks = 2000;
  TestLoop test;
  std::vector<int> next(kThreads, 0);
  int total = 0;
  bool in_order = true;
  const auto own = std::this_thread::get_id();
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        test.loop().post([&, t, i] {
          in_order = in_order && next[static_cast<std::size_t>(t)]++ == i && std::this_thread::get_id() == own;
          ++total;
        });
      }
    });
  }
  REQUIRE(test.run_until([&] { return total == kThreads * kTasks; }));
  CHECK(in_order);
}

TEST_CASE("a post wakes a loop that waits") {
  TestLoop test;
  struct Never final : net::Deadline::Listener {
    void on_deadline(net::Deadline&) override { FAIL("not for an hour"); }
  } never;
  net::Deadline deadline(test.deadlines(), never);
  deadline.set(std::chrono::hours(1));
  std::jthread other([&] { test.loop().post([&] { test.loop().stop(); }); });
  test.loop().run();  // Would last an hour.
  CHECK(deadline.is_set());
}

TEST_CASE("outside of a turn the time is not that of the last turn") {
  net::Loop loop;
  const auto before = loop.now();
  SystemClock clock;
  while (clock.now() < before + Millis(2)) std::this_thread::yield();
  CHECK(loop.now() > before);
}
