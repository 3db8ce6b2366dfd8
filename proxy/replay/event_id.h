// What the ids of a log read like, and what a Last-Event-ID may be. `N`, `TAG-N` or `TAG-N-O`: N a number that rises
// from entry to entry, in decimal or as a ULID, TAG the log's random name, O an origin id in base 62. Only
// [0-9A-Za-z-], under 128 bytes: safe in a field, a URL, JSON, and as a CORS-safelisted value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssequel::replay {

// What ids are made of and ordered by. A ULID is a number of 128 bits; those that are written in decimal stay below
// 2^63: a sequence that would pass it is a bug three hundred thousand years from now.
__extension__ using Number = unsigned __int128;
inline constexpr std::uint64_t kMaxNumber = INT64_MAX;  // Of decimal ones.

// Ulid: 26 digits of Crockford's base 32, the first at most 7 (https://github.com/ulid/spec). No decimal number of ours
// is as long, so that an id tells by itself how it is spelled. Zero, which no entry has, is `0` in both.
enum class Spelling : std::uint8_t { Decimal, Ulid };
inline constexpr std::size_t kUlidLength = 26;
[[nodiscard]] constexpr Number max_number(Spelling spelling) noexcept {
  return spelling == Spelling::Decimal ? kMaxNumber : ~Number{0};
}
// An origin id longer than this is not carried inside an id: 48 bytes take 65 digits, and 22 + 19 + 65 + 2 stay under
// 128.
inline constexpr std::size_t kMaxCarriedOrigin = 48;

// How one log spells its ids.
struct IdForm {
  std::string tag;              // Empty: plain numbers.
  bool carries_origin = false;  // With a tag: TAG-N-O where an origin id is known.
  Spelling spelling = Spelling::Decimal;
  friend bool operator==(const IdForm&, const IdForm&) = default;
};

void append_id(std::string& out, const IdForm& form, Number number, std::string_view origin);
void append_number(std::string& out, Spelling spelling, Number number);
// Strict, as parse_id().
[[nodiscard]] std::optional<Number> parse_number(std::string_view text, Spelling spelling);

// A Last-Event-ID, taken apart. Views into the text it was parsed from.
struct ParsedId {
  enum class Kind { Foreign, Plain, Tagged } kind = Kind::Foreign;
  Number number = 0;
  Spelling spelling = Spelling::Decimal;
  std::string_view tag;
  std::optional<std::string> origin;  // Tagged with O: the decoded origin id.
  // It is a number as a log of this form would have given it.
  [[nodiscard]] bool fits(const IdForm& form) const {
    return kind == (form.tag.empty() ? Kind::Plain : Kind::Tagged) && tag == form.tag &&
           (spelling == form.spelling || number == 0);
  }
};

// Strict: no sign, no leading zero, no space; anything that we would not have written ourselves is Foreign.
[[nodiscard]] ParsedId parse_id(std::string_view text);

// True for TAG-..., whatever follows: such an id is never shown to an origin in place of its own.
[[nodiscard]] bool has_tag_form(std::string_view text) noexcept;
// True for digits only, leading zeros too.
[[nodiscard]] bool has_number_form(std::string_view text) noexcept;
// True for 26 digits of Crockford's base 32, in either case.
[[nodiscard]] bool has_ulid_form(std::string_view text) noexcept;
// True for what an untagged log of this spelling could have given, loosely read.
[[nodiscard]] inline bool has_form_of(std::string_view text, Spelling spelling) noexcept {
  return spelling == Spelling::Decimal ? has_number_form(text) : has_ulid_form(text);
}

}  // namespace ssequel::replay
