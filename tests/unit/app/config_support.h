// Verbs for the tests of the configuration.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "app/config.h"

namespace ssequel::app {

using Variables = std::map<std::string, std::string>;

inline Environment environment(Variables variables = {}) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

inline Result<Config> parse(std::string_view yaml, Variables variables = {}) {
  return parse_config(yaml, "f", environment(std::move(variables)));
}

// The options of a file that is well; throws what is wrong otherwise, which fails the test.
inline gateway::Options options(std::string_view yaml, Variables variables = {}) {
  const auto config = parse(yaml, std::move(variables));
  if (!config) throw std::runtime_error(config.error().context);
  return config->options;
}

// The one route of a file that consists of this route alone, given in flow style: "mode: shared, retain: 5m".
inline relay::Route route(const std::string& keys, Variables variables = {}) {
  return options("routes: [{" + keys + "}]", std::move(variables)).routes.at(0);
}

inline std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return out;
}

// What is wrong with the file, line by line; empty if nothing is.
inline std::vector<std::string> errors(std::string_view yaml, Variables variables = {}) {
  const auto config = parse(yaml, std::move(variables));
  return config ? std::vector<std::string>() : lines(config.error().context);
}

// The one problem of the file; else all of them.
inline std::string error(std::string_view yaml, Variables variables = {}) {
  std::string out;
  for (const auto& line : errors(yaml, std::move(variables))) out += (out.empty() ? "" : "\n") + line;
  return out;
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

inline std::filesystem::path config_folder() { return std::filesystem::path(SSEQUEL_SOURCE_FOLDER) / "config"; }

inline std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace ssequel::app
