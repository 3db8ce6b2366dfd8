// A changed configuration and shared channels: living ones keep their route, new requests get the new one, and what
// decides how ids read begins new logs.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

// The same upstream and listener, other routes.
void reload(ProxyFixture& proxy, std::vector<relay::Route> routes) {
  auto options = proxy.worker().settings().options;
  options.routes = std::move(routes);
  proxy.worker().apply(gateway::make_settings(std::move(options)));
}

}  // namespace

TEST_CASE("a route that changes otherwise keeps its logs, and its living channels their settings") {
  auto route = public_route();
  SharedStory story(route);
  story.say("one");
  route.retry = Millis(700);
  route.window.events = 5;
  reload(story.proxy, {route});
  auto again = story.join_after(story.id_of("one"));
  CHECK(again.field("Ssequel-Resume") == "live");
  story.say("two");
  CHECK(again.await_events(1));
  CHECK(story.proxy.origin.requests() == 1);
  // Another target's channel is new.
  auto other = story.proxy.get_stream("/events/b");
  story.proxy.origin.next()->begin_stream();
  REQUIRE(other.await_content("\n"));
  CHECK(other.content() == "retry: 700\n");
}

TEST_CASE("a changed key, ids or place begins a new log, and the living channel goes on for those who have it") {
  auto route = public_route();
  route.key = {{relay::KeyPart::Kind::Path, ""}, {relay::KeyPart::Kind::Header, "X-A"}};
  const std::string fields = "X-A: same\r\nX-B: same\r\n";
  SharedStory story(route, fields);
  story.say("one");
  SUBCASE("key") { route.key.back().name = "X-B"; }
  SUBCASE("ids") { route.ids.origin.kind = sse::OriginStyle::Kind::Comment; }
  SUBCASE("tag") { route.ids.always_tag = true; }
  SUBCASE("place") { route.ids.place = sse::IdPlace::Last; }
  reload(story.proxy, {route});
  auto fresh = story.proxy.resume("/events/a", story.id_of("one"), fields);
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(fresh.await_head());
  CHECK(fresh.field("Ssequel-Resume") == "sync-required; reason=unknown");
  upstream->chunk("data: new\n\n");
  REQUIRE(fresh.await_content("data: new\n"));
  story.say("two");
  CHECK(number_of(story.id_of("two")) == number_of(story.id_of("one")) + 1);
}

TEST_CASE("a route that goes leaves its streams alone, and its path is proxied as it is") {
  SharedStory story(public_route());
  story.say("one");
  reload(story.proxy, {});
  story.say("two");
  auto plain = story.proxy.resume("/events/a", story.id_of("one"));
  auto* upstream = story.proxy.origin.next();
  CHECK(upstream->request.field("Last-Event-ID") == story.id_of("one"));
  upstream->answer("plain");
  REQUIRE(plain.await_complete());
  CHECK(plain.content() == "plain");
}

TEST_CASE("an eager target that a reload brings is connected") {
  auto route = public_route();
  ProxyFixture proxy(route);
  route.eager = {"/events/b"};
  reload(proxy, {route});
  CHECK(proxy.origin.next()->request.target() == "/events/b");
}
