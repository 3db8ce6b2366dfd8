#include "app/config_substitute.h"

#include <fmt/format.h>

#include "base/ascii.h"

namespace ssequel::app::config {
namespace {

bool is_variable_name(std::string_view name) {
  if (name.empty() || ascii::is_digit(name.front())) return false;
  for (const char c : name) {
    if (!ascii::is_alnum(c) && c != '_') return false;
  }
  return true;
}

// inside: what stands between ${ and }.
Result<std::string> value_of(std::string_view inside, const Environment& env) {
  const auto split = inside.find(":-");
  const std::string name(inside.substr(0, split));
  if (!is_variable_name(name)) {
    return fail(ErrorCode::Misconfigured,
                "found ${ without a variable's name, allowed: ${NAME}, ${NAME:-default}, or $${ for ${");
  }
  auto value = env(name);
  if (split == inside.npos) {
    if (!value) {
      return fail(
          ErrorCode::Misconfigured,
          fmt::format("found ${{{0}}}, but the variable {0} is not set; set it, or write ${{{0}:-default}}", name));
    }
    return *std::move(value);
  }
  if (value && !value->empty()) return *std::move(value);
  const auto fallback = inside.substr(split + 2);
  if (fallback.find("${") != fallback.npos) {
    return fail(ErrorCode::Misconfigured, "found ${ in the default of a variable, allowed: plain text");
  }
  return std::string(fallback);
}

}  // namespace

Result<Substituted> substitute(std::string_view text, const Environment& env) {
  Substituted out;
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      out.text += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const auto end = text.find('}');
      if (end == text.npos)
        return fail(ErrorCode::Misconfigured, "found ${ without its }, allowed: ${NAME}, or $${ for ${");
      auto value = value_of(text.substr(2, end - 2), env);
      if (!value) return tl::unexpected(std::move(value.error()));
      out.text += *value;
      out.has_variable = true;
      text.remove_prefix(end + 1);
    } else {
      out.text += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string escape_variables(std::string_view literal) {
  std::string out;
  for (std::size_t i = 0; i < literal.size(); ++i) {
    if (literal.substr(i).starts_with("${")) out += '$';
    out += literal[i];
  }
  return out;
}

}  // namespace ssequel::app::config
