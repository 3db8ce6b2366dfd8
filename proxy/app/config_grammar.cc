#include "app/config_grammar.h"

#include <algorithm>

#include "app/config_texts.h"
#include "base/ascii.h"

namespace ssequel::app::config {
namespace {

constexpr std::string_view kVariable = R"(\\$\\{)";  // A pattern for "has ${", as it stands in JSON.

std::string joined(const std::vector<std::string>& parts, std::string_view between, std::string_view before_last) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += i + 1 == parts.size() ? before_last : between;
    out += parts[i];
  }
  return out;
}

}  // namespace

std::optional<bool> Bool::parse(std::string_view text) const {
  // YAML 1.2.2 §10.3.2.
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::string Bool::schema() const { return fmt::format(R"({{"type":["boolean","string"],"pattern":"{}"}})", kVariable); }

std::string number_schema(std::uint64_t min, std::uint64_t max) {
  return fmt::format(R"({{"type":["integer","string"],"minimum":{},"maximum":{},"pattern":"{}"}})", min, max,
                     kVariable);
}

std::optional<Millis> Duration::parse(std::string_view text) const {
  const auto value = parse_duration(text);
  if (!value) return std::nullopt;
  if (or_zero && value->count() == 0) return value;
  if (*value < min || *value > max) return std::nullopt;
  return value;
}

std::string Duration::hint(std::string_view text) {
  return parse_number(text) && text != "0" ? fmt::format("a unit is missing: {0}ms, {0}s, {0}m or {0}h", text) : "";
}

std::string Duration::allowed() const {
  const bool zero_apart = or_zero && min.count() != 0;
  return fmt::format("{}a duration from {} to {}, such as 250ms, 15s, 10m or 1h", zero_apart ? "0, or " : "",
                     print_duration(min), print_duration(max));
}

std::string Duration::schema() const {
  const bool zero = or_zero || min.count() == 0;
  return fmt::format(R"({{"type":["string","integer"],"pattern":"^([0-9]+(ms|s|m|h){})$|{}","minimum":0,"maximum":0}})",
                     zero ? "|0" : "", kVariable);
}

std::string Duration::json(Millis value) const {
  const auto text = print_duration(value);
  return text == "0" ? text : json_quote(text);
}

std::string Forever::hint(std::string_view text) {
  const auto unit = Duration::hint(text);
  return unit.empty() ? word_hint(text, {"forever"}) : unit;
}

std::string Forever::schema() const { return either_schema("forever", duration.schema()); }

std::optional<std::uint64_t> Size::parse(std::string_view text) const {
  const auto value = parse_size(text);
  if (!value || *value < min || *value > max) return std::nullopt;
  return value;
}

std::string Size::hint(std::string_view text) {
  const auto digits = text.substr(0, text.find_first_not_of("0123456789"));
  const auto unit = ascii::to_lower(ascii::trim(text.substr(digits.size())));
  if (digits.empty() || parse_size(text)) return {};
  for (const std::string_view known : {"KiB", "MiB", "GiB"}) {
    const char first = ascii::lower(known.front());
    if (unit == ascii::to_lower(known) || unit == std::string{first} || unit == std::string{first, 'b'} ||
        unit == std::string{first, 'i'}) {
      return fmt::format("did you mean {}{}?", digits, known);
    }
  }
  return {};
}

std::string Size::allowed() const {
  return fmt::format("a size from {} to {}, such as 64KiB, 16MiB, 2GiB, or bytes", print_size(min), print_size(max));
}

std::string Size::schema() const {
  return fmt::format(
      R"({{"type":["string","integer"],"pattern":"^[0-9]+(KiB|MiB|GiB)?$|{}","minimum":{},"maximum":{}}})", kVariable,
      min, max);
}

std::string Size::json(std::uint64_t value) const { return word_json(print_size(value)); }

std::string words_allowed(const std::vector<std::string_view>& words) {
  return joined({words.begin(), words.end()}, ", ", " or ");
}

std::string words_schema(const std::vector<std::string_view>& words) {
  std::vector<std::string> parts;
  for (const auto word : words) {
    const auto json = word_json(word);
    parts.push_back(json);
    if (!json.starts_with('"')) parts.push_back(json_quote(word));  // "204" means 204 here, quoted or not.
  }
  return fmt::format(R"({{"anyOf":[{{"enum":[{}]}},{{"type":"string","pattern":"{}"}}]}})", joined(parts, ",", ","),
                     kVariable);
}

std::string word_json(std::string_view word) { return parse_number(word) ? std::string(word) : json_quote(word); }

std::string word_hint(std::string_view text, const std::vector<std::string_view>& words) {
  const auto word = nearest(text, words);
  return word.empty() ? std::string() : fmt::format("did you mean {}?", json_quote(word));
}

std::string SecretUrl::json(const std::string& value) const { return json_quote(mask_url(value)); }

std::optional<net::Address> AddressText::parse(std::string_view text) const {
  auto address = net::parse_address(text);
  if (!address) return std::nullopt;
  return *std::move(address);
}

std::string AddressText::hint(std::string_view text) {
  if (parse_number(text)) return fmt::format("did you mean 127.0.0.1:{0}, or 0.0.0.0:{0} for every interface?", text);
  if (text.find("://") != text.npos) return "without a scheme";
  if (text.starts_with(':')) return fmt::format("did you mean 0.0.0.0{}?", text);
  auto address = net::parse_address(text);
  if (address) return {};
  // The context repeats the text, which the report shows already.
  const std::string_view context = address.error().context;
  const auto why = context.rfind("': ");
  return std::string(why == context.npos ? context : context.substr(why + 3));
}

std::optional<UpstreamUrl> UpstreamText::parse(std::string_view text) const {
  auto url = parse_upstream_url(text);
  if (!url) return std::nullopt;
  return *std::move(url);
}

std::string UpstreamText::hint(std::string_view text) {
  const auto url = parse_upstream_url(text);
  return url ? std::string() : url.error().context;
}

std::optional<relay::KeyPart> KeyPartText::parse(std::string_view text) const {
  using Kind = relay::KeyPart::Kind;
  if (text == "host") return relay::KeyPart{Kind::Host, ""};
  if (text == "path") return relay::KeyPart{Kind::Path, ""};
  if (text == "query") return relay::KeyPart{Kind::Query, ""};
  if (text == "identity") return relay::KeyPart{Kind::Identity, ""};
  const auto colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto kind = text.substr(0, colon);
  const auto name = text.substr(colon + 1);
  if (kind == "header" && is_token(name)) return relay::KeyPart{Kind::Header, std::string(name)};
  if (kind == "cookie" && is_token(name)) return relay::KeyPart{Kind::Cookie, std::string(name)};
  if (kind == "query" && is_parameter(name)) return relay::KeyPart{Kind::QueryParameter, std::string(name)};
  return std::nullopt;
}

std::string KeyPartText::hint(std::string_view text) { return word_hint(text, {"host", "path", "query", "identity"}); }

std::string KeyPartText::schema() const {
  return fmt::format(
      R"({{"anyOf":[{{"enum":["host","path","query","identity"]}},{{"type":"string","pattern":"^(header|cookie|query):.|{}"}}]}})",
      kVariable);
}

std::string KeyPartText::json(const relay::KeyPart& value) const {
  using enum relay::KeyPart::Kind;
  switch (value.kind) {
    case Host:
      return R"("host")";
    case Path:
      return R"("path")";
    case Query:
      return R"("query")";
    case Identity:
      return R"("identity")";
    case Header:
      return json_quote("header:" + value.name);
    case Cookie:
      return json_quote("cookie:" + value.name);
    case QueryParameter:
      return json_quote("query:" + value.name);
  }
  return "null";
}

std::string either_schema(std::string_view word, std::string_view schema) {
  return fmt::format(R"({{"anyOf":[{{"const":{}}},{}]}})", json_quote(word), schema);
}

std::string list_schema(std::string_view item, std::size_t min, bool or_one) {
  const auto list = fmt::format(R"({{"type":"array","items":{},"minItems":{},"uniqueItems":true}})", item, min);
  return or_one ? fmt::format(R"({{"anyOf":[{},{}]}})", item, list) : list;
}

}  // namespace ssequel::app::config
