// `ulid` for one channel. One loop's thread.
#pragma once

#include "base/clock.h"
#include "ids/ulid.h"
#include "replay/sequencer.h"

namespace ssequel::ids {

class UlidSequencer final : public replay::Sequencer {
 public:
  UlidSequencer(Random& random, const Clock& clock) : factory_(random), clock_(clock) {}
  [[nodiscard]] std::optional<replay::Number> next(replay::Number floor) override {
    return factory_.next(floor, static_cast<std::uint64_t>(clock_.unix_micros() / 1000));
  }

 private:
  UlidFactory factory_;
  const Clock& clock_;
};

}  // namespace ssequel::ids
