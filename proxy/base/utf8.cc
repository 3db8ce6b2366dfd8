#include "base/utf8.h"

namespace ssequel::utf8 {

Character decode(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1, true};
  // RFC 3629 §4: the second byte's range depends on the first; this is where long forms and surrogates fall out.
  std::size_t size = 0;
  unsigned low = 0x80, high = 0xBF;
  char32_t code = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2, code = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3, code = first & 0x0F;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4, code = first & 0x07;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {};
  }
  if (text.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    if (byte(i) < low || byte(i) > high) return {};
    low = 0x80, high = 0xBF;
    code = (code << 6) | (byte(i) & 0x3F);
  }
  return {code, size, true};
}

bool is_valid(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto character = decode(text);
    if (!character.is_valid) return false;
    text.remove_prefix(character.size);
  }
  return true;
}

std::string_view prefix(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  const auto is_continuation = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80; };
  std::size_t end = bytes;
  while (end > 0 && bytes - end < 3 && is_continuation(end)) --end;
  return text.substr(0, is_continuation(end) ? bytes : end);
}

}  // namespace ssequel::utf8
