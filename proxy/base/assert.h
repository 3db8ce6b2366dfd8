// SSEQUEL_ASSERT(condition, "invariant"): on in release too. For what we promised ourselves, never for anything that a
// peer, a disk or a user can cause.
#pragma once

namespace ssequel {
[[noreturn]] void assertion_failed(const char* condition, const char* invariant, const char* file, int line) noexcept;
}  // namespace ssequel

#define SSEQUEL_ASSERT(condition, invariant)           \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::ssequel::assertion_failed(#condition, invariant, __FILE__, __LINE__))
