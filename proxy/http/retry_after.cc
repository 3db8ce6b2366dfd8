#include "http/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string>

#include "base/ascii.h"

namespace ssequel::http {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::size_t kLongestDate = 40;
constexpr std::chrono::seconds kLongest{1'000'000'000};

struct Parts {
  int day = 0;
  std::array<char, 4> month{};
  int year = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int used = 0;  // Characters read, if all of the format was there.
};

std::optional<std::int64_t> to_unix(const Parts& parts) {
  const auto month = std::find(kMonths.begin(), kMonths.end(), std::string_view(parts.month.data()));
  if (month == kMonths.end() || parts.day < 1 || parts.day > 31 || parts.year < 1970) return std::nullopt;
  if (parts.hour < 0 || parts.hour > 23 || parts.minute < 0 || parts.minute > 59 || parts.second < 0 ||
      parts.second > 60) {
    return std::nullopt;
  }
  std::tm time{};
  time.tm_mday = parts.day;
  time.tm_mon = static_cast<int>(month - kMonths.begin());
  time.tm_year = parts.year - 1900;
  time.tm_hour = parts.hour;
  time.tm_min = parts.minute;
  time.tm_sec = parts.second;
  return timegm(&time);
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  if (text.size() > kLongestDate || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string date(text);
  const auto is_whole = [&](const Parts& parts) { return static_cast<std::size_t>(parts.used) == date.size(); };
  {
    Parts parts;  // Sun, 06 Nov 1994 08:49:37 GMT
    std::sscanf(date.c_str(), "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &parts.day, parts.month.data(), &parts.year,
                &parts.hour, &parts.minute, &parts.second, &parts.used);
    if (is_whole(parts)) return to_unix(parts);
  }
  {
    Parts parts;  // Sunday, 06-Nov-94 08:49:37 GMT
    std::sscanf(date.c_str(), "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &parts.day, parts.month.data(),
                &parts.year, &parts.hour, &parts.minute, &parts.second, &parts.used);
    if (is_whole(parts)) {
      parts.year += parts.year < 70 ? 2000 : 1900;
      return to_unix(parts);
    }
  }
  Parts parts;  // Sun Nov  6 08:49:37 1994
  std::sscanf(date.c_str(), "%*3[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", parts.month.data(), &parts.day, &parts.hour,
              &parts.minute, &parts.second, &parts.year, &parts.used);
  return is_whole(parts) ? to_unix(parts) : std::nullopt;
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, std::int64_t unix_seconds) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return ascii::is_digit(c); })) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    return error == std::errc() ? std::min(kLongest, std::chrono::seconds(seconds)) : kLongest;
  }
  const auto date = parse_http_date(value);
  if (!date) return std::nullopt;
  return std::clamp(std::chrono::seconds(*date - unix_seconds), std::chrono::seconds(0), kLongest);
}

}  // namespace ssequel::http
