// The configuration file and the command line's short form, to gateway::Options. Strict: an unknown or repeated key, a
// wrong type, a value out of range, an impossible combination is an error that names file, line, column, key, what was
// found, what is allowed, and the nearest known key for a typo. yaml-cpp's exceptions end here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/options.h"

namespace ssequel::app {

// The environment, for ${NAME} and ${NAME:-default}; nullopt if unset.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] Environment process_environment();

struct Config {
  gateway::Options options;
  std::vector<std::string> warnings;  // One line each: allowed, but think of ...
};

// Error: Misconfigured; the context holds one line for each problem, `FILE:LINE:COLUMN: KEY: what was found; what is
// allowed`, in the order of the file.
[[nodiscard]] Result<Config> parse_config(std::string_view yaml, const std::string& file_name, const Environment& env);
[[nodiscard]] Result<Config> load_config(const std::string& file_name, const Environment& env);

// --upstream URL [--listen HOST:PORT] [--admin HOST:PORT] [--shared PATH]...: defaults, a shared route for each PATH,
// then the built-in route. Error: Misconfigured, a line for each problem, `--ARGUMENT: what was found; what is
// allowed`.
struct ShortForm {
  std::string upstream;
  std::optional<std::string> listen;
  std::optional<std::string> admin;
  std::vector<std::string> shared;
};
[[nodiscard]] Result<Config> short_form_config(const ShortForm& form);

// The effective configuration as YAML that parse_config() accepts and reads as the same; passwords masked.
[[nodiscard]] std::string to_yaml(const gateway::Options& options);

// The JSON Schema (2020-12) of the file: the text that config/ssequel.schema.json holds.
[[nodiscard]] std::string config_schema();

}  // namespace ssequel::app
