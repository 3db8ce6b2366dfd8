// Randomness is handed in, like time. Jitter and tags come from here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ssequel {

// May be called from any thread.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;
  [[nodiscard]] std::uint64_t next64();
  // Uniform in [0, bound]; 0 for bound 0.
  [[nodiscard]] std::uint64_t up_to(std::uint64_t bound);
};

// The kernel's generator (getrandom(2)): fit for names that must not be guessed.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override;
};

}  // namespace ssequel
