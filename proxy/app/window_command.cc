#include "app/window_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <ostream>

#include "app/config_units.h"
#include "app/window_size.h"

namespace ssequel::app {
namespace {

using namespace std::chrono_literals;

constexpr int kWrong = 2;
constexpr Millis kMaxDuration = 360h;  // Twice that is the greatest window.age.
constexpr std::uint64_t kMaxRate = 1'000'000'000;
constexpr std::uint64_t kMaxChannels = 1'000'000;
constexpr std::uint64_t kMaxEventBytes = 1ull << 30;
constexpr std::uint64_t kDefaultEventLimit = 1024 * 1024;  // limits.event_bytes

constexpr std::string_view kUnits[] = {"ms", "s", "m", "h"};

// 10/s, 600/m, 5/h: events in one of the configuration's units.
std::optional<PeakRate> parse_rate(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto events = config::parse_number(text.substr(0, slash));
  if (!events || *events == 0 || *events > kMaxRate) return std::nullopt;
  for (const auto unit : kUnits) {
    if (text.substr(slash + 1) == unit) return PeakRate{*events, *config::parse_duration("1" + std::string(unit))};
  }
  return std::nullopt;
}

std::string rate_text(const PeakRate& rate) {
  const auto is_it = [&rate](std::string_view unit) {
    return config::parse_duration("1" + std::string(unit)) == rate.per;
  };
  return fmt::format("{}/{}", rate.events, *std::find_if(std::begin(kUnits), std::end(kUnits), is_it));
}

std::optional<Millis> parse_gap(std::string_view text) {
  const auto duration = config::parse_duration(text);
  return duration && *duration <= kMaxDuration ? duration : std::nullopt;
}

std::optional<std::uint64_t> within(std::optional<std::uint64_t> number, std::uint64_t most) {
  return number && *number >= 1 && *number <= most ? number : std::nullopt;
}

struct Argument {
  std::string_view name;
  std::string_view allowed;
  // False: not allowed.
  bool (*take)(WindowNeed& need, std::string_view value);
};

template <class T>
bool put(T& place, const std::optional<T>& value) {
  if (value) place = *value;
  return value.has_value();
}

constexpr Argument kArguments[] = {
    {"--rate", "events at the busiest, from 1 to 1000000000, by a unit of time: 10/s, 600/m or 5/h",
     [](WindowNeed& need, std::string_view value) { return put(need.rate, parse_rate(value)); }},
    {"--retry", "a duration from 0 to 360h, such as 250ms, 15s, 10m or 1h",
     [](WindowNeed& need, std::string_view value) { return put(need.retry, parse_gap(value)); }},
    {"--disconnect-p99", "a duration from 0 to 360h, such as 250ms, 15s, 10m or 1h",
     [](WindowNeed& need, std::string_view value) { return put(need.disconnect, parse_gap(value)); }},
    {"--event-bytes", "a size from 1 to 1GiB, such as 400, 64KiB or 1MiB",
     [](WindowNeed& need, std::string_view value) {
       return put(need.event_bytes, within(config::parse_size(value), kMaxEventBytes));
     }},
    {"--channels", "a whole number from 1 to 1000000",
     [](WindowNeed& need, std::string_view value) {
       return put(need.channels, within(config::parse_number(value), kMaxChannels));
     }},
};

// In two or three digits, for what is told to be about so much.
std::string about(std::uint64_t bytes) {
  constexpr std::string_view kSizes[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kSizes)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit != 0 && value < 10 ? 1 : 0, kSizes[unit]);
}

void print(const WindowNeed& need, const WindowSize& size, std::ostream& out) {
  const auto gap = config::print_duration(size.gap);
  out << fmt::format("longest gap   {} (the longer of retry {} and disconnections {})\n", gap,
                     config::print_duration(need.retry), config::print_duration(need.disconnect));
  out << fmt::format("events        {} (2 x {} x {})\n", size.events, gap, rate_text(need.rate));
  out << fmt::format("bytes         {} (of {} and at most {} that are added to each)\n", config::print_size(size.bytes),
                     about(need.event_bytes), kFrameBytes);
  out << fmt::format("memory        about {} for {} channel{}\n", about(size.memory), need.channels,
                     need.channels == 1 ? "" : "s");
  out << "\n";
  // A window must hold two of the largest events that are let through.
  if (size.largest_event() < kDefaultEventLimit) {
    out << fmt::format("limits: {{event_bytes: {}}}    # at most half of window.bytes\n",
                       config::print_size(size.largest_event()));
  }
  out << fmt::format("window: {{events: {}, bytes: {}, age: {}}}\n", size.events, config::print_size(size.bytes),
                     config::print_duration(size.age));
}

}  // namespace

int run_window_command(std::span<const std::string> arguments, std::ostream& out, std::ostream& err) {
  // What a shared route sends, a minute in a tunnel, a small JSON object.
  WindowNeed need{.rate = {}, .retry = 3s, .disconnect = 60s, .event_bytes = 1024, .channels = 1};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    std::optional<std::string_view> value;
    if (const auto equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const auto* known = std::find_if(std::begin(kArguments), std::end(kArguments),
                                     [name](const Argument& argument) { return argument.name == name; });
    if (known == std::end(kArguments)) {
      err << "ssequel: unknown argument " << name << " of window; it takes";
      for (const auto& argument : kArguments) err << ' ' << argument.name;
      err << "\n";
      return kWrong;
    }
    if (!value && i + 1 < arguments.size()) value = arguments[++i];
    if (!value) {
      err << "ssequel: " << name << " needs a value; allowed: " << known->allowed << "\n";
      return kWrong;
    }
    if (!known->take(need, *value)) {
      err << "ssequel: " << name << ": found \"" << *value << "\", allowed: " << known->allowed << "\n";
      return kWrong;
    }
  }
  if (need.rate.events == 0) {
    err << "ssequel: window needs --rate: " << kArguments[0].allowed << "\n";
    return kWrong;
  }
  const auto size = window_size(need);
  if (!size) {
    err << "ssequel: " << size.error().context << "\n";
    return kWrong;
  }
  print(need, *size, out);
  return 0;
}

}  // namespace ssequel::app
