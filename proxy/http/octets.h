// Which octets may stand where (RFC 9110 §5, RFC 9112 §3.2, RFC 3986). Long runs are checked eight octets at a time:
// these checks see every byte of every head.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/ascii.h"

namespace ssequel::http {

using OctetTable = std::array<bool, 256>;

[[nodiscard]] constexpr OctetTable octets(std::string_view others) {
  OctetTable table{};
  for (int c = 0; c < 128; ++c) table[static_cast<std::size_t>(c)] = ascii::is_alnum(static_cast<char>(c));
  for (const char c : others) table[static_cast<unsigned char>(c)] = true;
  return table;
}

inline constexpr OctetTable kTokenOctets = octets("!#$%&'*+-.^_`|~");       // tchar, RFC 9110 §5.6.2
inline constexpr OctetTable kRegNameOctets = octets("-._~!$&'()*+,;=%");    // RFC 3986 §3.2.2; '%' is looked at apart
inline constexpr OctetTable kIpLiteralOctets = octets("-._~!$&'()*+,;=:");  // Between the brackets of RFC 3986 §3.2.2

[[nodiscard]] constexpr bool is_in(const OctetTable& table, char c) noexcept {
  return table[static_cast<unsigned char>(c)];
}

[[nodiscard]] constexpr bool are_all_in(const OctetTable& table, std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_in(table, c)) return false;
  }
  return true;
}

namespace swar {
inline constexpr std::uint64_t kOnes = 0x0101010101010101;
inline constexpr std::uint64_t kHigh = 0x8080808080808080;

[[nodiscard]] inline std::uint64_t load(const char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}
// Not 0 if any octet of the word is below `bound` (at most 128).
[[nodiscard]] constexpr std::uint64_t any_below(std::uint64_t word, std::uint64_t bound) noexcept {
  return (word - kOnes * bound) & ~word & kHigh;
}
[[nodiscard]] constexpr std::uint64_t any_equal(std::uint64_t word, std::uint64_t octet) noexcept {
  return any_below(word ^ (kOnes * octet), 1);
}
}  // namespace swar

// VCHAR, obs-text, SP and HTAB: no other control (RFC 9110 §5.5).
[[nodiscard]] inline bool is_field_text(std::string_view text) noexcept {
  const auto octet_fits = [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet >= 0x20 && octet != 0x7f) || octet == '\t';
  };
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    const auto word = swar::load(text.data() + i);
    if ((swar::any_below(word, 0x20) | swar::any_equal(word, 0x7f)) == 0) continue;
    for (std::size_t k = i; k < i + 8; ++k) {
      if (!octet_fits(text[k])) return false;  // HTAB is why the word gets a second look.
    }
  }
  for (; i < text.size(); ++i) {
    if (!octet_fits(text[i])) return false;
  }
  return true;
}

// What may stand in a request target: visible ASCII, no fragment (RFC 9112 §3.2). Which of these octets RFC 3986 wants
// escaped is the origin's affair; user agents send many of them raw.
[[nodiscard]] inline bool is_target_text(std::string_view text) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    const auto word = swar::load(text.data() + i);
    if ((swar::any_below(word, 0x21) | swar::any_equal(word, 0x7f) | swar::any_equal(word, '#') |
         (word & swar::kHigh)) != 0) {
      return false;
    }
  }
  for (; i < text.size(); ++i) {
    if (text[i] <= 0x20 || text[i] == 0x7f || text[i] == '#') return false;  // Plain char or not, 0x80..0xff:
    if (static_cast<unsigned char>(text[i]) >= 0x80) return false;           // negative for one, high for the other.
  }
  return true;
}

}  // namespace ssequel::http
