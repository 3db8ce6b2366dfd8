#include "app/config_units.h"

#include <array>
#include <charconv>
#include <limits>

namespace ssequel::app::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array kDurations = {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}};
constexpr std::array kSizes = {Unit{"", 1}, Unit{"KiB", 1024}, Unit{"MiB", 1024 * 1024}, Unit{"GiB", 1024ULL << 20}};

template <class Units>
std::optional<std::uint64_t> parse_with(const Units& units, std::string_view text, std::uint64_t max) {
  const auto digits = text.substr(0, text.find_first_not_of("0123456789"));
  const auto number = parse_number(digits);
  if (!number) return std::nullopt;
  for (const auto& unit : units) {
    if (unit.name != text.substr(digits.size())) continue;
    if (*number > max / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Millis> parse_duration(std::string_view text) {
  if (text == "0") return Millis(0);
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  const auto millis = parse_with(kDurations, text, kMax);
  if (!millis) return std::nullopt;
  return Millis(static_cast<std::int64_t>(*millis));
}

std::string print_duration(Millis duration) {
  const auto millis = static_cast<std::uint64_t>(duration.count());
  if (millis == 0) return "0";
  for (std::size_t i = kDurations.size(); i-- > 0;) {
    const auto& unit = kDurations[i];
    const bool is_one_minute = unit.name == "m" && millis == unit.factor;
    if (millis % unit.factor == 0 && !is_one_minute) return std::to_string(millis / unit.factor).append(unit.name);
  }
  return std::to_string(millis) + "ms";
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with(kSizes, text, std::numeric_limits<std::uint64_t>::max());
}

std::string print_size(std::uint64_t bytes) {
  for (std::size_t i = kSizes.size(); i-- > 1;) {
    const auto& unit = kSizes[i];
    if (bytes != 0 && bytes % unit.factor == 0) return std::to_string(bytes / unit.factor).append(unit.name);
  }
  return std::to_string(bytes);
}

}  // namespace ssequel::app::config
