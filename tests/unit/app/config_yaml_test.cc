// What `check` prints, the schema, the reference, and the examples beside it.

#include <doctest/doctest.h>

#include <cstdlib>

#include "app/config_schema.h"
#include "app/config_table.h"
#include "config_support.h"

using namespace ssequel;
using namespace ssequel::app;

namespace {

// The file as it should be; with SSEQUEL_UPDATE in the environment it is written instead.
void check_file(const std::filesystem::path& path, const std::string& expected) {
  if (std::getenv("SSEQUEL_UPDATE") != nullptr) std::ofstream(path, std::ios::binary) << expected;
  CAPTURE(path.string());
  const bool is_up_to_date = content(path) == expected;
  CHECK_MESSAGE(is_up_to_date, "run unit_app with SSEQUEL_UPDATE=1 and look at what changed");
}

std::string round_trip(const gateway::Options& from) { return to_yaml(options(to_yaml(from))); }

}  // namespace

TEST_CASE("the printed configuration reads as the same") {
  for (const auto text : {
           "",
           "routes: []",
           "listen: ['[::1]:80', 'unix:/run/a b.sock']\nthreads: auto\nlimits: {store_bytes: 3GiB, event_bytes: 1001}",
           "routes: [{linger: forever, retry: 0, at_end: 204, match: {path: /a, methods: [POST, GET]}}, {mode: "
           "shared}]",
           "routes: [{ids: {origin: {field: x}, start: 12}, on_gap: {event: 'a \"b\" \\\\ # é: $${x} \xE2\x80\xA8'}}]",
           "routes: [{ids: {origin: {json: 'no'}, counter: '5'}, identity: {cookies: [a, 'true']}}]",
           "routes: [{mode: shared, key: ['header:A', 'query:b c', path], start_at: {last: 4}}]",
           "routes: [{mode: shared, key: [path], eager: ['/a?b=c'], upstream_fields: {X-A: 'b: ${V:-c}', X-B: ''}}]",
           "routes: [{authorize: {path: /a}, identity: {authorize: X-U, fields: []}, name: 'a:b#c'}]",
       }) {
    CAPTURE(text);
    const auto config = parse(text);
    if (!config) {
      CHECK(has(text, "b c"));  // A query parameter has no blank: the file above that is wrong.
      continue;
    }
    const auto yaml = to_yaml(config->options);
    CAPTURE(yaml);
    CHECK(error(yaml) == "");
    CHECK(options(yaml) == config->options);
  }
}

TEST_CASE("the printed configuration has every key of its routes' modes") {
  const auto yaml = to_yaml(options("routes: [{name: a, match: {path: /a}}, {name: b, mode: shared}]"));
  for (const auto& setting : config::option_table().settings) {
    CHECK(has("\n" + yaml, std::string(config::name_in_section(setting.key)) + ": "));
  }
  for (const auto& setting : config::route_table().settings) {
    CHECK(has("\n" + yaml, std::string(config::name_in_section(setting.key)) + ": "));
  }
}

TEST_CASE("passwords and credentials are masked, and the rest still reads") {
  const auto o = options(R"(
redis: {url: "redis://u:pa55@h:1/0"}
postgres: {url: "postgresql://u:pa55@h/d?password=pa55"}
routes: [{mode: shared, upstream_fields: {Authorization: "Bearer pa55", X-Tenant: acme, X-Thing: "Basic pa55"}}]
)");
  const auto yaml = to_yaml(o);
  CHECK_FALSE(has(yaml, "pa55"));
  CHECK(has(yaml, "redis://u:***@h:1/0"));
  CHECK(has(yaml, "acme"));
  CHECK(error(yaml) == "");
  CHECK(round_trip(o) == yaml);
}

TEST_CASE("the schema in the folder is the one of the program") {
  check_file(config_folder() / "ssequel.schema.json", config_schema());
}

TEST_CASE("the reference in the folder is the one of the program") {
  const auto path = config_folder() / "README.md";
  const auto text = content(path);
  constexpr std::string_view kBegin = "<!-- reference -->\n", kEnd = "<!-- /reference -->";
  const auto begin = text.find(kBegin), end = text.find(kEnd);
  REQUIRE(begin != text.npos);
  REQUIRE(end != text.npos);
  check_file(path, text.substr(0, begin) + std::string(kBegin) + "\n" + config::reference() + "\n" + text.substr(end));
}

TEST_CASE("every example is valid as it stands, without a warning and without a variable") {
  for (const auto name : {"minimal.yaml", "shared-feed.yaml", "llm-session.yaml", "mcp.yaml", "full.yaml"}) {
    CAPTURE(name);
    const auto config = load_config((config_folder() / name).string(), environment());
    const auto problems = config ? std::string() : config.error().context;
    CHECK(problems == "");
    REQUIRE(config);
    CHECK(config->warnings.empty());
  }
}

TEST_CASE("the full example has every key, each with its default") {
  const auto text = content(config_folder() / "full.yaml");
  const auto o = options(text);
  REQUIRE(o.routes.size() == 2);
  gateway::Options expected;
  auto shared = relay::shared_route("/shared/**");
  shared.name = "shared";
  shared.match.accept = relay::Accept::EventStream;
  expected.routes = {shared, relay::built_in_route()};
  CHECK(o == expected);
  const auto has_key = [&](std::string_view key) {
    const auto name = std::string(config::name_in_section(key));
    return has(text, " " + name + ":") || has(text, "\n" + name + ":") || has(text, "{" + name + ":");
  };
  for (const auto& setting : config::option_table().settings) CHECK(has_key(setting.key));
  for (const auto& setting : config::route_table().settings) CHECK(has_key(setting.key));
}

TEST_CASE("the minimal example is the built-in route") {
  gateway::Options expected;
  expected.routes = {relay::built_in_route()};
  CHECK(options(content(config_folder() / "minimal.yaml")) == expected);
}
