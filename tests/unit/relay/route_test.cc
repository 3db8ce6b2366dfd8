#include "relay/route.h"

#include <doctest/doctest.h>

namespace ssequel::relay {
namespace {

TEST_CASE("the built-in route is a session route for what asks for an event stream by name") {
  const auto route = built_in_route();
  CHECK(route.mode == Mode::Session);
  CHECK(route.match == Match{.path = "/**", .methods = {"GET"}, .accept = Accept::EventStream});
  CHECK(route.window_events() == 0);
}

TEST_CASE("a shared path is a route of its own for whatever a GET accepts") {
  const auto route = shared_route("/feed");
  CHECK(route.mode == Mode::Shared);
  CHECK(route.match == Match{.path = "/feed", .methods = {"GET"}, .accept = Accept::Any});
  CHECK(route.window_events() == 1000);
  CHECK(route.key_has_identity());
}

TEST_CASE("a window's events: what the configuration says, else any number in sessions and 1000 in shared channels") {
  Route route;
  CHECK(route.window_events() == 0);
  route.mode = Mode::Shared;
  CHECK(route.window_events() == 1000);
  route.window.events = 7;
  CHECK(route.window_events() == 7);
}

TEST_CASE("a key may leave the identity out") {
  Route route;
  route.key = {{KeyPart::Kind::Host, ""}, {KeyPart::Kind::Path, ""}};
  CHECK_FALSE(route.key_has_identity());
}

}  // namespace
}  // namespace ssequel::relay
