#include "app/config_texts.h"

#include <algorithm>

#include "app/config_grammar.h"
#include "base/ascii.h"
#include "redis/url.h"

namespace ssequel::app::config {
namespace {

constexpr std::size_t kMax = 256;

template <class Test>
bool all(std::string_view text, Test test) {
  return !text.empty() && text.size() <= kMax && std::all_of(text.begin(), text.end(), test);
}

bool is_one_of(char c, std::string_view set) { return set.find(c) != set.npos; }

// RFC 3986 §3.3 and §3.4: what paths and queries consist of.
bool is_path_character(char c) { return ascii::is_alnum(c) || is_one_of(c, "-._~%!$&'()*+,;=:@/"); }
bool is_query_character(char c) { return is_path_character(c) || c == '?'; }

bool is_url(std::string_view text, std::string_view scheme) {
  return ascii::starts_with(text, scheme) && text.size() > scheme.size() && text.size() <= 2048 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

bool is_token(std::string_view text) {
  return all(text, [](char c) { return ascii::is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~"); });
}

bool is_field_pattern(std::string_view text) {
  return is_token(text) && text != "*" && text.find('*') >= text.size() - 1;
}

bool is_method(std::string_view text) {
  return is_token(text) && text != "CONNECT" && text != "TRACE" &&
         std::none_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_name(std::string_view text) {
  return all(text, [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\'' && c != '\\'; });
}

bool is_path(std::string_view text) { return text.starts_with('/') && all(text, is_path_character); }

bool is_target(std::string_view text) {
  const auto query = text.find('?');
  return is_path(text.substr(0, query)) &&
         (query == text.npos || query + 1 == text.size() || all(text.substr(query + 1), is_query_character));
}

bool is_path_pattern(std::string_view text) {
  if (!is_path(text)) return false;
  while (!text.empty()) {
    text.remove_prefix(1);
    const auto segment = text.substr(0, text.find('/'));
    if (segment.find('*') != segment.npos && segment != "*" && segment != "**") return false;
    text.remove_prefix(segment.size());
  }
  return true;
}

bool is_parameter(std::string_view text) {
  return all(text, [](char c) { return is_query_character(c) && c != '&' && c != '='; });
}

bool is_sse_field(std::string_view text) {
  const auto is_taken = [&](std::string_view name) { return text == name; };
  return all(text, [](char c) { return c > ' ' && c < 0x7F && c != ':'; }) && !is_taken("id") && !is_taken("data") &&
         !is_taken("event") && !is_taken("retry");
}

bool is_sql_name(std::string_view text) {
  const auto dot = text.find('.');
  const auto is_identifier = [](std::string_view name) {
    return name.size() <= 63 && all(name, [](char c) { return ascii::is_alnum(c) || c == '_'; }) &&
           !ascii::is_digit(name.front());
  };
  return is_identifier(text.substr(0, dot)) && (dot == text.npos || is_identifier(text.substr(dot + 1)));
}

bool is_redis_prefix(std::string_view text) {
  return text.size() <= 64 && all(text, [](char c) { return c > ' ' && c < 0x7F && c != '{' && c != '}'; });
}

bool is_redis_url(std::string_view text) {
  // The parser reads any bytes; a line of the configuration is visible ASCII.
  return is_url(text, "") && redis::parse_url(text).has_value();
}

bool is_postgres_url(std::string_view text) { return is_url(text, "postgresql://") || is_url(text, "postgres://"); }

std::string mask_url(std::string_view url) {
  const auto scheme = url.find("://");
  const auto start = scheme == url.npos ? 0 : scheme + 3;
  const auto authority_end = std::min(url.find_first_of("/?#", start), url.size());
  // A password may hold an @ by mistake; the last one ends it. It may hold a slash, too: then better too much is
  // masked.
  auto at = url.substr(0, authority_end).rfind('@');
  if (at == url.npos) at = url.rfind('@');
  std::string out(url);
  std::size_t from = start;
  if (at != url.npos && at >= start) {
    const auto colon = url.find(':', start);
    if (colon < at) {
      out = std::string(url.substr(0, colon + 1)).append(kMask).append(url.substr(at));
      from = colon + 1 + kMask.size();
    }
  }
  for (auto place = out.find("password=", from); place != out.npos; place = out.find("password=", from)) {
    from = place + 9;
    const auto end = std::min(out.find_first_of("&#", from), out.size());
    out.replace(from, end - from, kMask);
    from += kMask.size();
  }
  return out;
}

bool is_credential(std::string_view field_name, std::string_view field_value) {
  const auto name = ascii::to_lower(field_name);
  for (const std::string_view part :
       {"auth", "cookie", "token", "secret", "password", "passwd", "api-key", "apikey", "access-key", "private",
        "credential", "session", "signature", "jwt", "assertion"}) {
    if (name.find(part) != name.npos) return true;
  }
  if (name.ends_with("-key") || name == "key") return true;
  return ascii::starts_with(field_value, "Bearer ") || ascii::starts_with(field_value, "Basic ") ||
         ascii::starts_with(field_value, "eyJ");
}

}  // namespace ssequel::app::config
