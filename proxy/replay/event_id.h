// What the ids of a log read like, and what a Last-Event-ID may be. `N`, `TAG-N` or `TAG-N-O`: N a decimal number that
// rises by one from entry to entry, TAG the log's random name, O an origin id in base 62. Only [0-9A-Za-z-], under 128
// bytes: safe in a field, a URL, JSON, and as a CORS-safelisted value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssequel::replay {

// Numbers stay below 2^63; a log that would pass it is a bug three hundred thousand years from now.
inline constexpr std::uint64_t kMaxNumber = INT64_MAX;
// An origin id longer than this is not carried inside an id: 48 bytes take 65 digits, and 22 + 19 + 65 + 2 stay under
// 128.
inline constexpr std::size_t kMaxCarriedOrigin = 48;

// How one log spells its ids.
struct IdForm {
  std::string tag;              // Empty: plain numbers.
  bool carries_origin = false;  // With a tag: TAG-N-O where an origin id is known.
  friend bool operator==(const IdForm&, const IdForm&) = default;
};

void append_id(std::string& out, const IdForm& form, std::uint64_t number, std::string_view origin);

// A Last-Event-ID, taken apart. Views into the text it was parsed from.
struct ParsedId {
  enum class Kind { Foreign, Number, Tagged } kind = Kind::Foreign;
  std::uint64_t number = 0;
  std::string_view tag;
  std::optional<std::string> origin;  // Tagged with O: the decoded origin id.
};

// Strict: no sign, no leading zero, no space; anything that we would not have written ourselves is Foreign.
[[nodiscard]] ParsedId parse_id(std::string_view text);

// True for TAG-..., whatever follows: such an id is never shown to an origin in place of its own.
[[nodiscard]] bool has_tag_form(std::string_view text) noexcept;
// True for digits only, leading zeros too.
[[nodiscard]] bool has_number_form(std::string_view text) noexcept;

}  // namespace ssequel::replay
