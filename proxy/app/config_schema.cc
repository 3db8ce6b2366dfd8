#include "app/config_schema.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/config.h"
#include "app/config_json.h"
#include "app/config_table.h"

namespace ssequel::app {
namespace config {
namespace {

using relay::Mode;
using relay::Route;

template <class Owner>
Owner defaults_for(const Setting<Owner>&) {
  return {};
}
Route defaults_for(const Setting<Route>& setting) {
  Route route;
  if (setting.scope == Scope::Shared) route.mode = Mode::Shared;
  return route;
}

// "key":{schema with description and default}
template <class Owner>
std::string property(const Setting<Owner>& setting) {
  std::string description(setting.about);
  if (setting.scope == Scope::Session) description = "Session routes only: " + description;
  if (setting.scope == Scope::Shared) description = "Shared routes only: " + description;
  auto out = fmt::format(R"({}:{{"description":{})", json_quote(name_in_section(setting.key)),
                         json_quote(fmt::format("{}. Allowed: {}.", description, setting.allowed)));
  const auto value = setting.json(defaults_for(setting));
  if (setting.default_note.empty() && value != "null") out += ",\"default\":" + value;
  return out.append(",").append(std::string_view(setting.schema).substr(1));
}

std::string object(std::string_view description, std::string_view properties, std::string_view more = {}) {
  // A section whose keys are all commented out is null in YAML.
  return fmt::format(
      R"({{"description":{},"type":["object","null"],"additionalProperties":false,"properties":{{{}}}{}}})",
      json_quote(description), properties, more);
}

template <class Owner>
std::string properties(const Table<Owner>& table) {
  std::string out;
  std::string_view open;  // The section whose properties are being collected.
  std::string inside;
  const auto append = [&](std::string_view text) { out.append(out.empty() ? "" : ",").append(text); };
  const auto close = [&] {
    if (open.empty()) return;
    const auto section =
        std::find_if(table.sections.begin(), table.sections.end(), [&](const Section& one) { return one.key == open; });
    append(json_quote(open) + ":" + object(section->about, inside));
    inside.clear();
  };
  for (const auto& setting : table.settings) {
    const auto section = section_of(setting.key);
    if (section != open) close();
    open = section;
    if (section.empty()) {
      append(property(setting));
    } else {
      inside.append(inside.empty() ? "" : ",").append(property(setting));
    }
  }
  close();
  return out;
}

// The keys of the other mode, as properties that may not be.
std::string forbidden(Scope scope) {
  std::string out;
  std::string_view last;
  for (const auto& setting : route_table().settings) {
    if (setting.scope != scope) continue;
    const auto section = section_of(setting.key);
    const auto key = section.empty() ? setting.key : section;
    if (key == last) continue;
    last = key;
    out.append(out.empty() ? "" : ",").append(json_quote(key)).append(":false");
  }
  return fmt::format(R"({{"properties":{{{}}}}})", out);
}

std::string route_schema() {
  const auto modes = fmt::format(
      R"(,"allOf":[{{"if":{{"properties":{{"mode":{{"const":"shared"}}}},"required":["mode"]}},"then":{}}},)"
      R"({{"if":{{"properties":{{"mode":{{"const":"session"}}}}}},"then":{}}}])",
      forbidden(Scope::Session), forbidden(Scope::Shared));
  return object("A route.", properties(route_table()), modes);
}

// A | in a cell would end it.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

// The page says once how durations and sizes are written.
std::string_view without_examples(std::string_view allowed) { return allowed.substr(0, allowed.find(", such as")); }

template <class Owner>
std::string rows(const Table<Owner>& table, Scope scope) {
  std::string out = "| key | default | allowed | meaning |\n|---|---|---|---|\n";
  for (const auto& setting : table.settings) {
    if (setting.scope != scope) continue;
    const auto fallback = setting.default_note.empty() ? "`" + yaml_flow(setting.json(defaults_for(setting))) + "`"
                                                       : std::string(setting.default_note);
    out += fmt::format("| `{}` | {} | {} | {} |\n", setting.key, cell(fallback),
                       cell(without_examples(setting.allowed)), cell(setting.about));
  }
  return out;
}

}  // namespace

std::string reference() {
  return fmt::format(
      "### The file\n\n{}| `routes` | the built-in route | a list of routes | {} |\n\n### A route, in either "
      "mode\n\n{}\n"
      "### A route with `mode: session` only\n\n{}\n### A route with `mode: shared` only\n\n{}",
      rows(option_table(), Scope::Every), kRoutesAbout, rows(route_table(), Scope::Every),
      rows(route_table(), Scope::Session), rows(route_table(), Scope::Shared));
}

}  // namespace config

std::string config_schema() {
  using namespace config;
  const auto routes = fmt::format(R"(,"routes":{{"description":{},"type":"array","maxItems":{},"items":{}}})",
                                  json_quote(kRoutesAbout), kRoutesMax, route_schema());
  return json_pretty(
      fmt::format(R"({{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Configuration of Ssequel",)"
                  R"("type":["object","null"],"additionalProperties":false,"properties":{{{}{}}}}})",
                  properties(option_table()), routes));
}

}  // namespace ssequel::app
