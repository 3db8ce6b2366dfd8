// UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace ssequel::utf8 {

struct Character {
  char32_t code = 0;
  std::size_t size = 1;   // Bytes to step over; 1 for a byte that is no part of a character.
  bool is_valid = false;  // False: text does not begin with a character.
};

// The first character of a text that is not empty.
[[nodiscard]] Character decode(std::string_view text) noexcept;
[[nodiscard]] bool is_valid(std::string_view text) noexcept;

// At most `bytes` of the text, cut at a character's boundary if it is UTF-8.
[[nodiscard]] std::string_view prefix(std::string_view text, std::size_t bytes) noexcept;

}  // namespace ssequel::utf8
