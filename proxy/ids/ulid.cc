#include "ids/ulid.h"

#include <algorithm>

#include "base/assert.h"

namespace ssequel::ids {
namespace {

constexpr unsigned kRandomBits = 80;
constexpr std::uint64_t kMaxMillis = (std::uint64_t{1} << 48) - 1;  // The year 10889.

}  // namespace

replay::Number UlidFactory::fresh(std::uint64_t unix_ms) {
  const auto low = random_.next64();
  const auto high = random_.next64() & 0xFFFF;
  return replay::Number{std::min(unix_ms, kMaxMillis)} << kRandomBits | replay::Number{high} << 64 | low;
}

replay::Number UlidFactory::next(replay::Number floor, std::uint64_t unix_ms) {
  if (last_ != 0 && unix_ms <= static_cast<std::uint64_t>(last_ >> kRandomBits) && last_ >= floor) {
    SSEQUEL_ASSERT(last_ != ~replay::Number{0}, "ULIDs last until the year 10889");
    return ++last_;
  }
  auto id = fresh(unix_ms);
  const auto least = std::max(last_, floor);
  if (id <= least) id = fresh(static_cast<std::uint64_t>(least >> kRandomBits) + 1);
  SSEQUEL_ASSERT(id > least, "ULIDs last until the year 10889");
  return last_ = id;
}

}  // namespace ssequel::ids
