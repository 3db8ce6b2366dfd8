#include "replay/event_id.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "base/base62.h"

namespace ssequel::replay {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr auto kCrockfordValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kCrockford.size(); ++i) {
    values[static_cast<unsigned char>(kCrockford[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

std::optional<Number> parse_ulid(std::string_view text) {
  if (text.size() != kUlidLength || text.front() > '7') return std::nullopt;
  Number value = 0;
  for (const char digit : text) {
    const auto bits = kCrockfordValues[static_cast<unsigned char>(digit)];
    if (bits < 0) return std::nullopt;
    value = value << 5 | static_cast<unsigned>(bits);
  }
  return value;
}

std::optional<Number> parse_decimal(std::string_view text) {
  if (text.empty() || text.size() > 19 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMaxNumber) return std::nullopt;
  return value;
}

}  // namespace

void append_number(std::string& out, Spelling spelling, Number number) {
  if (spelling == Spelling::Ulid && number != 0) {
    char digits[kUlidLength];
    for (std::size_t i = kUlidLength; i-- > 0; number >>= 5) digits[i] = kCrockford[static_cast<unsigned>(number) & 31];
    out.append(digits, kUlidLength);
    return;
  }
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, static_cast<std::uint64_t>(number));
  out.append(digits, end);
}

std::optional<Number> parse_number(std::string_view text, Spelling spelling) {
  if (spelling == Spelling::Decimal || text == "0") return parse_decimal(text);
  const auto number = parse_ulid(text);
  return number == Number{0} ? std::nullopt : number;
}

void append_id(std::string& out, const IdForm& form, Number number, std::string_view origin) {
  if (!form.tag.empty()) {
    out += form.tag;
    out += '-';
  }
  append_number(out, form.spelling, number);
  if (form.carries_origin && !form.tag.empty() && !origin.empty() && origin.size() <= kMaxCarriedOrigin) {
    out += '-';
    out += base62::encode(origin);
  }
}

ParsedId parse_id(std::string_view text) {
  const auto spelling = [](std::string_view number) {
    return number.size() == kUlidLength ? Spelling::Ulid : Spelling::Decimal;
  };
  if (const auto number = parse_number(text, spelling(text))) {
    return {ParsedId::Kind::Plain, *number, spelling(text), {}, {}};
  }
  if (!has_tag_form(text)) return {};
  const auto tag = text.substr(0, base62::kTagLength);
  auto rest = text.substr(base62::kTagLength + 1);
  const auto dash = rest.find('-');
  const auto digits = rest.substr(0, dash);
  const auto number = parse_number(digits, spelling(digits));
  if (!number) return {};
  ParsedId parsed{ParsedId::Kind::Tagged, *number, spelling(digits), tag, {}};
  if (dash != std::string_view::npos) {
    const auto carried = rest.substr(dash + 1);
    auto origin = base62::decode(carried);
    if (!origin || origin->empty() || origin->size() > kMaxCarriedOrigin || base62::encode(*origin) != carried)
      return {};
    parsed.origin = std::move(*origin);
  }
  return parsed;
}

bool has_tag_form(std::string_view text) noexcept {
  return text.size() > base62::kTagLength && text[base62::kTagLength] == '-' &&
         base62::is_tag(text.substr(0, base62::kTagLength));
}

bool has_number_form(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), ascii::is_digit);
}

bool has_ulid_form(std::string_view text) noexcept {
  return text.size() == kUlidLength && std::all_of(text.begin(), text.end(), [](char digit) {
           const auto upper = digit >= 'a' && digit <= 'z' ? digit - 'a' + 'A' : digit;
           return kCrockfordValues[static_cast<unsigned char>(upper)] >= 0;
         });
}

}  // namespace ssequel::replay
