#include "app/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "app/config_check.h"
#include "app/config_grammar.h"
#include "app/config_table.h"
#include "app/config_texts.h"

namespace ssequel::app {
namespace {

using namespace config;
using gateway::Options;
using relay::Route;

// The keys of one level of the file, and what to call that level.
struct Level {
  std::string place;
  std::vector<std::string_view> keys;
};

template <class Owner>
void append_levels(std::vector<Level>& out, const Table<Owner>& table, std::string top, std::string_view of) {
  const auto first = out.size();
  out.push_back({std::move(top), {}});
  for (const auto& section : table.sections) out.push_back({fmt::format("{}{}", section.key, of), {}});
  for (const auto& setting : table.settings) {
    const auto section = section_of(setting.key);
    std::size_t level = first;
    for (std::size_t i = 0; i < table.sections.size(); ++i) {
      if (table.sections[i].key == section) level = first + 1 + i;
    }
    out[level].keys.push_back(name_in_section(setting.key));
  }
  for (const auto& section : table.sections) out[first].keys.push_back(section.key);
}

std::vector<Level> levels() {
  std::vector<Level> out;
  append_levels(out, option_table(), "the top level", "");
  out.front().keys.push_back("routes");
  append_levels(out, route_table(), "a route", " of a route");
  return out;
}

// What is said of a key that its level does not have.
std::string unknown(std::string_view key, std::string_view place) {
  const auto all = levels();
  const auto here = std::find_if(all.begin(), all.end(), [&](const Level& level) { return level.place == place; });
  const auto near = nearest(key, here->keys);
  if (!near.empty() && edit_distance(key, near) <= 1) return fmt::format("unknown key; did you mean \"{}\"?", near);
  std::string homes;
  for (const auto& level : all) {
    if (std::find(level.keys.begin(), level.keys.end(), key) == level.keys.end()) continue;
    homes += (homes.empty() ? "" : " or ") + level.place;
  }
  if (!homes.empty()) return fmt::format("unknown key here; \"{}\" belongs into {}", key, homes);
  if (!near.empty()) return fmt::format("unknown key; did you mean \"{}\"?", near);
  for (const auto& level : all) {
    const auto elsewhere = nearest(key, level.keys);
    if (!elsewhere.empty()) return fmt::format("unknown key; did you mean \"{}\" in {}?", elsewhere, level.place);
  }
  std::string known;
  for (const auto one : here->keys) known.append(known.empty() ? "" : ", ").append(one);
  return fmt::format("unknown key, allowed: {}", known);
}

template <class Owner>
void read_entry(const Entry& entry, const std::string& key, std::string_view place, const Table<Owner>& table,
                Reading& reading, Owner& owner) {
  const auto setting = std::find_if(table.settings.begin(), table.settings.end(),
                                    [&](const Setting<Owner>& one) { return one.key == key; });
  if (setting == table.settings.end() || entry.key.find('.') != entry.key.npos) {
    reading.problem(entry.mark, reading.problems().is_full() ? "unknown key" : unknown(entry.key, place));
  } else {
    setting->read(entry.value, reading, owner);
  }
}

// A map of settings. take(entry): true for keys that are none of the table.
template <class Owner, class Take>
void read_settings(const Node& node, const Table<Owner>& table, std::string_view place, std::string_view of,
                   Reading& reading, Owner& owner, Take take) {
  if (node.kind == Node::Kind::Null) return;  // Nothing but comments.
  if (node.kind != Node::Kind::Map) {
    reading.refuse(node.mark, described(node), "a map of keys and values");
    return;
  }
  for (const auto& entry : node.entries) {
    const auto step = reading.key(entry.key, entry.value.mark);
    if (take(entry)) continue;
    const auto section = std::find_if(table.sections.begin(), table.sections.end(),
                                      [&](const Section& one) { return one.key == entry.key; });
    if (section == table.sections.end()) {
      read_entry(entry, entry.key, place, table, reading, owner);
      continue;
    }
    if (entry.value.kind == Node::Kind::Null) continue;
    if (entry.value.kind != Node::Kind::Map) {
      reading.refuse(entry.value.mark, described(entry.value), "a map of keys and values");
      continue;
    }
    for (const auto& inner : entry.value.entries) {
      const auto inner_step = reading.key(inner.key, inner.value.mark);
      read_entry(inner, fmt::format("{}.{}", section->key, inner.key), fmt::format("{}{}", section->key, of), table,
                 reading, owner);
    }
  }
}

// A key that the route's mode has no use for is a misunderstanding, and never ignored.
void check_mode(const Node& node, const Route& route, Reading& reading) {
  const auto path = reading.path();
  if (reading.problems().has(path + ".mode")) return;
  for (const auto& entry : node.entries) {
    for (const auto& setting : route_table().settings) {
      const auto section = section_of(setting.key);
      if ((section.empty() ? setting.key : section) != entry.key || setting.scope == Scope::Every) continue;
      const bool is_session = route.mode == relay::Mode::Session;
      if (is_session == (setting.scope == Scope::Session)) continue;
      const auto step = reading.key(entry.key, entry.value.mark);
      reading.problem(entry.value.mark,
                      is_session
                          ? "found a key of shared routes, allowed only with mode: shared; this route is a session "
                            "route"
                          : "found a key of session routes, allowed only with mode: session; this route is shared");
      break;
    }
  }
}

std::vector<Route> read_routes(const Node& node, Reading& reading) {
  std::vector<Route> routes;
  if (node.kind != Node::Kind::Sequence || node.items.size() > kRoutesMax) {
    reading.refuse(node.mark, described(node), fmt::format("a list of at most {} routes; [] for none", kRoutesMax));
    return routes;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const auto& item = node.items[i];
    const auto step = reading.item(i, item.mark);
    Route route;
    if (item.kind == Node::Kind::Null) {
      reading.refuse(item.mark, described(item), "a route: a map of keys and values");
    } else {
      read_settings(item, route_table(), "a route", " of a route", reading, route, [](const Entry&) { return false; });
      check_mode(item, route, reading);
    }
    if (route.name.empty()) route.name = route.match.path;
    routes.push_back(std::move(route));
  }
  return routes;
}

// What of a route follows from elsewhere.
void complete(Options& options) {
  for (auto& route : options.routes) {
    route.window.events = route.window_events();
    route.event_bytes = options.limits.event_bytes;
  }
}

Result<Config> finish(Config config, const Problems& problems, const Problems& warnings, std::string_view file_name) {
  if (!problems.empty()) {
    std::string context;
    for (const auto& line : problems.lines(file_name)) context += (context.empty() ? "" : "\n") + line;
    return fail(ErrorCode::Misconfigured, std::move(context));
  }
  config.warnings = warnings.lines(file_name);
  return config;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

Result<Config> parse_config(std::string_view yaml, const std::string& file_name, const Environment& env) {
  Config config;
  Problems problems, warnings;
  Places places;
  const auto root = read_tree(yaml, problems);
  if (!root) return finish({}, problems, warnings, file_name);
  Reading reading(env, problems, places);
  bool has_routes = false;
  read_settings(*root, option_table(), "the top level", "", reading, config.options, [&](const Entry& entry) {
    if (entry.key != "routes") return false;
    has_routes = true;
    config.options.routes = read_routes(entry.value, reading);
    return true;
  });
  if (!has_routes) config.options.routes.push_back(relay::built_in_route());
  complete(config.options);
  review({config.options, places, env, problems, warnings});
  return finish(std::move(config), problems, warnings, file_name);
}

Result<Config> load_config(const std::string& file_name, const Environment& env) {
  std::ifstream file(file_name, std::ios::binary);
  const auto failed = [&] {
    return fail(ErrorCode::Misconfigured, fmt::format("{}: cannot be read: {}", file_name, std::strerror(errno)));
  };
  if (!file) return failed();
  std::string text(kFileMax + 1, '\0');  // One byte more shows that there is more.
  errno = 0;
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.gcount() == 0 && errno != 0)) return failed();
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_config(text, file_name, env);
}

Result<Config> short_form_config(const ShortForm& form) {
  Config config;
  Problems problems, warnings;
  // The arguments stand for values of a file: they take the same grammars and the same review, but no variables, since
  // the shell fills those in.
  const auto read = [&](std::string_view argument, const auto& grammar, const std::string& text, auto& target) {
    if (auto value = grammar.parse(text)) {
      target = *std::move(value);
      return;
    }
    const auto hint = std::string(grammar.hint(text));
    problems.add({}, argument,
                 fmt::format("found {}, allowed: {}{}{}", grammar.found(text), grammar.allowed(),
                             hint.empty() ? "" : "; ", hint));
  };
  read("--upstream", UpstreamText(), form.upstream, config.options.upstream);
  if (form.listen) read("--listen", AddressText(), *form.listen, config.options.listen.front());
  if (form.admin) read("--admin", AddressText(), *form.admin, config.options.admin);
  for (const auto& path : form.shared) {
    std::string checked;
    read("--shared", Text("a path pattern that begins with /; * and ** only as whole segments", is_path_pattern), path,
         checked);
    config.options.routes.push_back(relay::shared_route(std::move(checked)));
  }
  config.options.routes.push_back(relay::built_in_route());
  complete(config.options);
  if (problems.empty()) {
    review({config.options, {}, [](const std::string&) { return std::optional<std::string>(); }, problems, warnings});
  }
  return finish(std::move(config), problems, warnings, "");
}

}  // namespace ssequel::app
