// ASCII only, whatever the locale: what HTTP and event streams mean by case and white space.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace ssequel::ascii {

[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(char c) noexcept { return lower(c) >= 'a' && lower(c) <= 'z'; }
[[nodiscard]] constexpr bool is_alnum(char c) noexcept { return is_digit(c) || is_alpha(c); }

[[nodiscard]] constexpr bool equals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

[[nodiscard]] constexpr bool starts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && equals(text.substr(0, prefix.size()), prefix);
}

[[nodiscard]] inline std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// Optional white space of RFC 9110 §5.6.3: space and HTAB, at both ends.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls use(element) for each element of a comma-separated list (RFC 9110 §5.6.1), trimmed, empty ones left out.
// Commas inside quoted strings do not separate.
template <class Use>
constexpr void for_each_element(std::string_view list, Use use) {
  std::size_t start = 0;
  bool quoted = false;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && list[i] == '"') quoted = !quoted;
    if (i + 1 < list.size() && quoted && list[i] == '\\') {
      ++i;
      continue;
    }
    if (i < list.size() && (quoted || list[i] != ',')) continue;
    const auto element = trim(list.substr(start, std::min(i, list.size()) - start));
    if (!element.empty()) use(element);
    start = i + 1;
  }
}

}  // namespace ssequel::ascii
