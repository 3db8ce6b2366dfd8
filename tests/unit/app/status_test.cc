#include "app/status.h"

#include <doctest/doctest.h>
#include <yaml-cpp/yaml.h>

#include "app/status_pages.h"

using namespace ssequel;
using namespace ssequel::app;

namespace {

// JSON is YAML.
YAML::Node parse(const std::string& json) { return YAML::Load(json); }

}  // namespace

TEST_CASE("the status is one line of JSON that holds every route, in the configuration's order") {
  gateway::Options options;
  relay::Route second, first;
  first.name = "z<b>\"";
  first.mode = relay::Mode::Shared;
  second.name = "a";
  options.routes = {first, second};
  CountersSnapshot counters;
  auto& counts = counters.routes[first.name];
  counts.events_emitted = 7;
  counts.sync_required[static_cast<std::size_t>(sse::SyncReason::UpstreamGap)] = 3;
  counts.resume_hour.came_back(Millis(1), 900, {0.9, relay::WindowBound::Events});
  counters.routes["gone"].channels = 1;
  counters.routes["gone and empty"];
  const auto text = status_json({.counters = counters,
                                 .options = options,
                                 .readiness = {.is_ready = true, .why = "ready"},
                                 .recent = {{LogLevel::Error, 5, 2, "it \\n broke"}},
                                 .unix_ms = 1'700'000'000'123,
                                 .now = Millis(1),
                                 .store_bytes = 1 << 20,
                                 .version = "1"});
  CHECK(text.find('\n') == std::string::npos);
  const auto json = parse(text);
  CHECK(json["at"].as<std::int64_t>() == 1'700'000'000'123);
  CHECK(json["ready"].as<bool>());
  REQUIRE(json["routes"].size() == 3);
  const auto route = json["routes"][0];
  CHECK(route["name"].as<std::string>() == first.name);
  CHECK(route["mode"].as<std::string>() == "shared");
  CHECK(route["emitted"].as<int>() == 7);
  CHECK(route["sync"]["upstream-gap"].as<int>() == 3);
  CHECK(route["need"]["verdict"].as<std::string>() == "tight");
  CHECK(route["need"]["minutes"].size() == 60);
  CHECK(route["need"]["minutes"][59][2].as<int>() == 900);
  CHECK(route["replay"].size() == relay::kReplayBounds.size() + 1);
  CHECK(json["routes"][1]["name"].as<std::string>() == "a");
  CHECK(json["routes"][2]["mode"].as<std::string>() == "gone");
  CHECK(json["recent"][0]["level"].as<std::string>() == "error");
  CHECK(json["recent"][0]["text"].as<std::string>() == "it \\n broke");
}

TEST_CASE("the page and its parts are in the program") {
  std::string all;
  for (const auto& page : status_pages()) {
    CHECK(!page.content.empty());
    all += std::string(page.path) + " " + std::string(page.type) + "\n";
  }
  CHECK(all.find("/ text/html; charset=utf-8\n") != std::string::npos);
  CHECK(all.find("/status.js text/javascript; charset=utf-8\n") != std::string::npos);
}
