// Bugs put in on purpose, so that the tests that would have to find them can prove that they do. In every ordinary
// build seeded_bug() is a constant false and the compiler leaves nothing of it. Built with -DSSEQUEL_SEEDED_BUGS=ON
// (never in a release; `ssequel --version` says so) the environment variable SSEQUEL_SEEDED_BUG names the one bug that
// this process has.
#pragma once

#include <string_view>

#ifdef SSEQUEL_SEEDED_BUGS
#include <cstdlib>
#endif

namespace ssequel {

#ifdef SSEQUEL_SEEDED_BUGS
inline constexpr bool kHasSeededBugs = true;
// Any thread. The variable is read once.
[[nodiscard]] inline bool seeded_bug(std::string_view name) noexcept {
  static const char* const chosen = std::getenv("SSEQUEL_SEEDED_BUG");
  return chosen != nullptr && name == chosen;
}
#else
inline constexpr bool kHasSeededBugs = false;
[[nodiscard]] constexpr bool seeded_bug(std::string_view) noexcept { return false; }
#endif

}  // namespace ssequel
