// An allocator that answers when a test lets it: a number for each that was given to it, in steps that a test chooses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/assert.h"
#include "replay/sequencer.h"

namespace ssequel::test {

class SlowSequencer final : public replay::Sequencer {
 public:
  static constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t step = 1;                 // From one number to the next.
  std::size_t times_asked = 0;            // Calls of next().
  std::size_t times_asked_too_often = 0;  // Calls of next() where an answer was already due.

  explicit SlowSequencer(std::uint64_t available = 0) : available_(available) {}

  // The answer to the request under way; or numbers in advance. kAny: from now on at once.
  void give(std::uint64_t count) {
    available_ = count == kAny ? kAny : available_ + count;
    if (!is_due_ || available_ == 0) return;
    is_due_ = false;
    if (listener_) listener_->on_ids_ready();
  }
  // It answers, and has nothing: as an allocator whose block another one took.
  void give_nothing() {
    is_due_ = false;
    if (listener_) listener_->on_ids_ready();
  }
  void dry_up() { available_ = 0; }
  [[nodiscard]] bool is_due() const { return is_due_; }

  void set_listener(replay::SequencerListener& listener) override { listener_ = &listener; }
  [[nodiscard]] std::optional<replay::Number> next(replay::Number floor) override {
    ++times_asked;
    if (is_due_) ++times_asked_too_often;
    if (available_ == 0) {
      is_due_ = true;
      return std::nullopt;
    }
    if (available_ != kAny) --available_;
    last_ = std::max(last_, floor) + step;
    return last_;
  }

 private:
  replay::SequencerListener* listener_ = nullptr;
  std::uint64_t available_;
  replay::Number last_ = 0;
  bool is_due_ = false;
};

}  // namespace ssequel::test
