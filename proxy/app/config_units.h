// Numbers, durations and sizes as the configuration writes them. No signs, no fractions, no white space; what does not
// fit its type is refused, never wrapped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace ssequel::app::config {

[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

// 250ms, 15s, 10m, 1h; 0 needs no unit.
[[nodiscard]] std::optional<Millis> parse_duration(std::string_view text);
// In the largest unit that is exact; minutes from two on (60s, 2m).
[[nodiscard]] std::string print_duration(Millis duration);

// 64KiB, 16MiB, 2GiB, or plain bytes.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string print_size(std::uint64_t bytes);

}  // namespace ssequel::app::config
