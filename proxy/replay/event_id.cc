#include "replay/event_id.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "base/base62.h"

namespace ssequel::replay {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.empty() || text.size() > 19 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMaxNumber) return std::nullopt;
  return value;
}

}  // namespace

void append_id(std::string& out, const IdForm& form, std::uint64_t number, std::string_view origin) {
  if (!form.tag.empty()) {
    out += form.tag;
    out += '-';
  }
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
  if (form.carries_origin && !form.tag.empty() && !origin.empty() && origin.size() <= kMaxCarriedOrigin) {
    out += '-';
    out += base62::encode(origin);
  }
}

ParsedId parse_id(std::string_view text) {
  if (const auto number = parse_number(text)) return {ParsedId::Kind::Number, *number, {}, {}};
  if (!has_tag_form(text)) return {};
  const auto tag = text.substr(0, base62::kTagLength);
  auto rest = text.substr(base62::kTagLength + 1);
  const auto dash = rest.find('-');
  const auto number = parse_number(rest.substr(0, dash));
  if (!number) return {};
  ParsedId parsed{ParsedId::Kind::Tagged, *number, tag, {}};
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

}  // namespace ssequel::replay
