// Time is handed in: cores ask a Clock, tests hand in a fake one.
#pragma once

#include <chrono>
#include <cstdint>

namespace ssequel {

using Millis = std::chrono::milliseconds;

// All functions may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic, from an unknown start; every timeout is measured with it.
  [[nodiscard]] virtual Millis now() const = 0;
  // Microseconds since 1970-01-01 UTC; may jump either way.
  [[nodiscard]] virtual std::int64_t unix_micros() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Millis now() const override;
  [[nodiscard]] std::int64_t unix_micros() const override;
};

}  // namespace ssequel
