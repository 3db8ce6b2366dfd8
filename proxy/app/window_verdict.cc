#include "app/window_verdict.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "app/config_units.h"

namespace ssequel::app {
namespace {

constexpr double kTight = 0.5;

// What is at least this, in two leading digits.
std::uint64_t rounded(double number) {
  const double step = std::pow(10.0, std::max(0.0, std::floor(std::log10(std::max(1.0, number))) - 1));
  return static_cast<std::uint64_t>(std::ceil(number / step) * step);
}

std::uint64_t rounded_bytes(double bytes) {
  const auto whole = static_cast<std::uint64_t>(bytes);
  const std::uint64_t step = std::max<std::uint64_t>(1024, std::bit_floor(whole) / 4);
  return (whole + step) / step * step;
}

}  // namespace

std::string_view name_of(WindowVerdict::Kind kind) {
  switch (kind) {
    case WindowVerdict::Kind::Unknown:
      return "unknown";
    case WindowVerdict::Kind::Covers:
      return "covers";
    case WindowVerdict::Kind::Tight:
      return "tight";
    case WindowVerdict::Kind::TooSmall:
      return "too small";
  }
  return "unknown";
}

WindowVerdict window_verdict(const relay::ResumeHour::Summary& hour, const replay::Bounds& bounds,
                             std::uint64_t store_bytes) {
  using Kind = WindowVerdict::Kind;
  WindowVerdict verdict;
  if (hour.resumes + hour.gaps == 0) return verdict;
  verdict.kind = hour.gaps != 0 ? Kind::TooSmall : hour.most.used > kTight ? Kind::Tight : Kind::Covers;
  // Twice the most that was needed, of what there is now.
  const double factor = 2 * hour.most.used;
  std::string enough;
  switch (hour.most.bound) {
    case relay::WindowBound::Events:
      verdict.setting = "window.events";
      verdict.value = std::to_string(bounds.events);
      enough = std::to_string(rounded(factor * static_cast<double>(bounds.events)));
      break;
    case relay::WindowBound::Bytes:
      verdict.setting = "window.bytes";
      verdict.value = config::print_size(bounds.bytes);
      enough = config::print_size(rounded_bytes(factor * static_cast<double>(bounds.bytes)));
      break;
    case relay::WindowBound::Age: {
      verdict.setting = "window.age";
      verdict.value = config::print_duration(bounds.age);
      const auto seconds = factor * std::chrono::duration<double>(bounds.age).count();
      enough = config::print_duration(std::chrono::seconds(rounded(seconds)));
      break;
    }
    case relay::WindowBound::Store:
      verdict.setting = "limits.store_bytes";
      verdict.value = config::print_size(store_bytes);
      enough = config::print_size(rounded_bytes(factor * static_cast<double>(store_bytes)));
      break;
  }
  if (verdict.kind != Kind::Covers) {
    verdict.advice = "raise " + verdict.setting + " from " + verdict.value + " to " + enough;
  }
  return verdict;
}

}  // namespace ssequel::app
