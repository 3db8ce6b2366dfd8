#include "base/base62.h"

#include <algorithm>

#include "base/ascii.h"

namespace ssequel::base62 {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

int value_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  if (c >= 'a' && c <= 'z') return c - 'a' + 36;
  return -1;
}

// Digits of a number from one base in another, most significant first. Quadratic, on at most 64 digits.
std::string convert(std::string_view digits, unsigned from, unsigned to) {
  std::string out;
  for (const char digit : digits) {
    unsigned carry = static_cast<unsigned char>(digit);
    for (char& place : out) {
      carry += static_cast<unsigned char>(place) * from;
      place = static_cast<char>(carry % to);
      carry /= to;
    }
    for (; carry != 0; carry /= to) out.push_back(static_cast<char>(carry % to));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

std::string encode(std::string_view bytes) {
  const auto zeros = std::min(bytes.find_first_not_of('\0'), bytes.size());
  std::string out(zeros, '0');
  for (const char digit : convert(bytes.substr(zeros), 256, 62)) out.push_back(kDigits[static_cast<unsigned>(digit)]);
  return out;
}

std::optional<std::string> decode(std::string_view text) {
  if (text.size() > 100) return std::nullopt;
  std::string digits;
  for (const char c : text) {
    const int value = value_of(c);
    if (value < 0) return std::nullopt;
    digits.push_back(static_cast<char>(value));
  }
  const auto zeros = std::min(digits.find_first_not_of('\0'), digits.size());
  return std::string(zeros, '\0') + convert(std::string_view(digits).substr(zeros), 62, 256);
}

std::string encode_tag(std::span<const std::byte, 16> bits) {
  const std::string_view bytes(reinterpret_cast<const char*>(bits.data()), bits.size());
  std::string out;
  for (const char digit : convert(bytes, 256, 62)) out.push_back(kDigits[static_cast<unsigned>(digit)]);
  return std::string(kTagLength - out.size(), '0') + out;
}

bool is_tag(std::string_view text) noexcept {
  return text.size() == kTagLength && std::all_of(text.begin(), text.end(), ascii::is_alnum);
}

}  // namespace ssequel::base62
