// ${NAME} and ${NAME:-default} in a value, from the environment. It happens after YAML was read, in one scalar at a
// time, so that what a variable holds can never become a key, a list or another value.
#pragma once

#include <string>
#include <string_view>

#include "app/config.h"
#include "base/result.h"

namespace ssequel::app::config {

struct Substituted {
  std::string text;
  bool has_variable = false;  // True if anything was taken from the environment, or from a default in its place.
};

// NAME is [A-Za-z_][A-Za-z0-9_]*. As in the shell, `:-` stands in for an empty variable too. `$${` is a literal `${`;
// any other `$` is itself. Error: Misconfigured, naming what is unset or badly written, never what a variable holds.
[[nodiscard]] Result<Substituted> substitute(std::string_view text, const Environment& env);

// The text that substitute() gives back as `literal`.
[[nodiscard]] std::string escape_variables(std::string_view literal);

}  // namespace ssequel::app::config
