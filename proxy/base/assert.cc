#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ssequel {

void assertion_failed(const char* condition, const char* invariant, const char* file, int line) noexcept {
  std::fprintf(stderr, "ssequel: broken invariant \"%s\": %s at %s:%d\n", invariant, condition, file, line);
  std::abort();
}

}  // namespace ssequel
