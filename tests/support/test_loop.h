// A real loop for a test: turns until a condition holds, within a limit of time, and ends with everything closed. A
// handle left behind stops the program: the Loop asserts it.
#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <optional>

#include "net/deadline.h"
#include "net/loop.h"

namespace ssequel::test {

class TestLoop {
 public:
  TestLoop() {
    std::signal(SIGPIPE, SIG_IGN);
    deadlines_.emplace(loop_);
  }
  // What was made on the loop must be gone by now, or be closing.
  ~TestLoop() { deadlines_.reset(); }
  TestLoop(const TestLoop&) = delete;
  TestLoop& operator=(const TestLoop&) = delete;

  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] net::DeadlineQueue& deadlines() { return *deadlines_; }

  // Turns until the condition holds; false if it did not within the limit. The condition is asked before the first turn
  // and about each millisecond (for what other threads and raw sockets do), and may use sockets itself.
  [[nodiscard]] bool run_until(std::function<bool()> condition, Millis limit = std::chrono::seconds(10)) {
    Watch watch(*this, std::move(condition));
    const auto end = loop_.now() + limit;
    while (!watch.holds()) {
      if (loop_.now() >= end) return false;
      watch.wait();
    }
    return true;
  }

  // Whatever is on its way within so many turns has arrived.
  void run_turns(int turns = 5) {
    for (int i = 0; i < turns; ++i) loop_.run_once();
  }

 private:
  class Watch final : net::Deadline::Listener {
   public:
    Watch(TestLoop& loop, std::function<bool()> condition)
        : loop_(loop), condition_(std::move(condition)), tick_(loop.deadlines(), *this) {}
    [[nodiscard]] bool holds() const { return condition_(); }
    // Runs the loop for about a millisecond.
    void wait() {
      tick_.set(Millis(1));
      loop_.loop().run();
    }

   private:
    void on_deadline(net::Deadline&) override { loop_.loop().stop(); }
    TestLoop& loop_;
    std::function<bool()> condition_;
    net::Deadline tick_;
  };

  net::Loop loop_;
  std::optional<net::DeadlineQueue> deadlines_;
};

}  // namespace ssequel::test
