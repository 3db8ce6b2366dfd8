// Every key of the configuration file, once, in the order of the reference: what it is for, what it allows, where its
// value goes. Parsing, suggestions, the JSON Schema, the reference in config/README.md and `ssequel check` all read it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_reading.h"
#include "gateway/options.h"
#include "relay/route.h"

namespace ssequel::app::config {

enum class Scope { Every, Session, Shared };  // The routes that a key is for.

template <class Owner>
struct Setting {
  std::string_view key;  // At most one section deep: "window.events".
  std::string_view about;
  Scope scope = Scope::Every;
  std::string allowed;                                      // In words.
  std::string schema;                                       // JSON
  std::function<void(const Node&, Reading&, Owner&)> read;  // Leaves the owner as it is after a problem.
  std::function<std::string(const Owner&)> json;            // The value, secrets masked; null: decided elsewhere.
  std::string_view default_note = {};                       // Instead of the default's value, for people.
};

struct Section {
  std::string_view key;
  std::string_view about;
};

template <class Owner>
struct Table {
  std::vector<Setting<Owner>> settings;
  std::vector<Section> sections;
};

// "window" of "window.events"; empty for a key that stands in no section.
[[nodiscard]] inline std::string_view section_of(std::string_view key) {
  const auto dot = key.find('.');
  return dot == key.npos ? std::string_view() : key.substr(0, dot);
}
[[nodiscard]] inline std::string_view name_in_section(std::string_view key) { return key.substr(key.find('.') + 1); }

// Everything but `routes`.
[[nodiscard]] const Table<gateway::Options>& option_table();
[[nodiscard]] const Table<relay::Route>& route_table();
inline constexpr std::string_view kRoutesAbout =
    "rules in order, the first match wins; without this key the built-in session route, with [] none";
inline constexpr std::size_t kRoutesMax = 1000;

}  // namespace ssequel::app::config
