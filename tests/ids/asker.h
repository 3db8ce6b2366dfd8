// A channel's part towards its sequencer: asks for numbers in order, waits where it has to.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "replay/sequencer.h"
#include "support/test_loop.h"

namespace ssequel::test {

using namespace std::chrono_literals;

class Asker final : private replay::SequencerListener {
 public:
  explicit Asker(std::unique_ptr<replay::Sequencer> sequencer) : sequencer_(std::move(sequencer)) {
    sequencer_->set_listener(*this);
  }
  void want(std::size_t count) {
    wanted += count;
    if (!is_waiting) ask();
  }
  // The next one; waits for it.
  std::uint64_t take(TestLoop& loop) {
    const auto before = got.size();
    want(1);
    REQUIRE(loop.run_until([&] { return got.size() > before; }, 60s));
    return static_cast<std::uint64_t>(got.back());
  }
  replay::Number floor = 0;
  std::size_t wanted = 0;
  bool is_waiting = false;
  std::vector<replay::Number> got;

 private:
  void on_ids_ready() override {
    is_waiting = false;
    ask();
  }
  void ask() {
    while (wanted > 0) {
      const auto number = sequencer_->next(floor);
      if (!number) {
        is_waiting = true;
        return;
      }
      REQUIRE((*number > floor));
      floor = *number;
      got.push_back(floor);
      --wanted;
    }
  }
  std::unique_ptr<replay::Sequencer> sequencer_;
};

}  // namespace ssequel::test
