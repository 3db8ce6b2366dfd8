#include "base/random.h"

#include <sys/random.h>

#include "base/assert.h"

namespace ssequel {

std::uint64_t Random::next64() {
  std::uint64_t value = 0;
  fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t Random::up_to(std::uint64_t bound) {
  // The bias of the multiply-shift is below bound / 2^64: nothing for jitter.
  if (bound == UINT64_MAX) return next64();
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next64()) * (bound + 1)) >> 64);
}

void SystemRandom::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    SSEQUEL_ASSERT(got > 0, "the kernel has randomness");
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace ssequel
