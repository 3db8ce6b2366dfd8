// Time that stands still until a test moves it.
#pragma once

#include "base/clock.h"

namespace ssequel::test {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Millis now() const override { return now_; }
  [[nodiscard]] std::int64_t unix_micros() const override { return now_.count() * 1000; }
  void set(Millis now) { now_ = now; }
  void advance(Millis by) { now_ += by; }

 private:
  Millis now_{1'000'000};
};

}  // namespace ssequel::test
