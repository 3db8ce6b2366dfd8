// The effective configuration, as `ssequel check` prints it.

#include "app/config.h"
#include "app/config_json.h"
#include "app/config_table.h"

namespace ssequel::app {
namespace {

using namespace config;

bool applies(Scope scope, relay::Mode mode) {
  switch (scope) {
    case Scope::Every:
      return true;
    case Scope::Session:
      return mode == relay::Mode::Session;
    case Scope::Shared:
      return mode == relay::Mode::Shared;
  }
  return true;
}

// One key a line, sections indented. indent: of the keys; in a list, first replaces the first line's.
template <class Owner, class Applies>
void append_settings(std::string& out, const Table<Owner>& table, const Owner& owner, std::string_view first,
                     std::string_view indent, Applies is_shown) {
  std::string_view open;
  for (const auto& setting : table.settings) {
    if (!is_shown(setting)) continue;
    const auto value = setting.json(owner);
    if (value == "null") continue;
    const auto section = section_of(setting.key);
    if (!section.empty() && section != open) {
      out.append(first).append(section).append(":\n");
      first = indent;
    }
    open = section;
    out.append(first).append(section.empty() ? "" : "  ").append(name_in_section(setting.key)).append(": ");
    out.append(yaml_flow(value)).append("\n");
    first = indent;
  }
}

}  // namespace

std::string to_yaml(const gateway::Options& options) {
  std::string out;
  append_settings(out, option_table(), options, "", "", [](const auto&) { return true; });
  if (options.routes.empty()) return out += "routes: []\n";
  out += "routes:\n";
  for (auto route : options.routes) {
    route.window.events = route.window_events();
    append_settings(out, route_table(), route, "  - ", "    ",
                    [&](const auto& setting) { return applies(setting.scope, route.mode); });
  }
  return out;
}

}  // namespace ssequel::app
