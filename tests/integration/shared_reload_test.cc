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

TEST_CASE("a log that a reload begins anew gives none of the ids again that `ids.start` once gave") {
  auto route = public_route();
  route.ids.start = 10;
  SharedStory story(route);
  story.say("one");
  story.say("two");
  CHECK(story.id_of("two") == "11");
  route.ids.place = sse::IdPlace::Last;
  SUBCASE("nobody reads the earlier one any more: two above its last id") {
    story.first.close();
    REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().sessions() == 0; }));
    reload(story.proxy, {route});
    auto opener = story.proxy.get_stream("/events/a");
    auto* upstream = story.proxy.origin.next();
    upstream->begin_stream();
    upstream->chunk("data: new\n\n");
    REQUIRE(opener.await_events(1));
    CHECK(opener.last_id() == "13");
    auto again = story.join_after("11");
    CHECK(again.field("Ssequel-Resume") == "sync-required; reason=unknown");
  }
  SUBCASE("it is still read and goes on: out of its way") {
    reload(story.proxy, {route});
    auto opener = story.proxy.get_stream("/events/a");
    auto* upstream = story.proxy.origin.next();
    upstream->begin_stream();
    upstream->chunk("data: new\n\n");
    REQUIRE(opener.await_events(1));
    const auto begun = number_of(opener.last_id());
    for (int i = 0; i < 50; ++i) story.upstream->chunk("data: more\n\n");
    REQUIRE(story.first.await_events(52));
    CHECK(story.first.last_id() == "61");
    CHECK(begun > 1'000'000'000'000'000);
    auto again = story.join_after("12");
    CHECK(again.field("Ssequel-Resume") == "sync-required; reason=unknown");
    // And back again: above both.
    route.ids.place = sse::IdPlace::First;
    route.ids.origin.kind = sse::OriginStyle::Kind::Comment;
    reload(story.proxy, {route});
    auto third = story.proxy.get_stream("/events/a");
    auto* last = story.proxy.origin.next();
    last->begin_stream();
    last->chunk("data: third\n\n");
    REQUIRE(third.await_events(1));
    CHECK(number_of(third.last_id()) > begun + 1);
  }
}

TEST_CASE("an eager target that a reload takes away rests like any other channel") {
  auto route = public_route();
  route.linger = Millis(0);
  route.retain = Millis(0);
  route.eager = {"/events/b"};
  ProxyFixture proxy(route);
  proxy.worker().start_eager();
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  proxy.settle();
  auto changed = route;
  SUBCASE("the target") { changed.eager = {}; }
  SUBCASE("the signature") { changed.ids.place = sse::IdPlace::Last; }
  SUBCASE("the route") { changed.name = "another"; }
  reload(proxy, {changed});
  CHECK(upstream->await_gone());
  const auto kept = changed.eager.size();
  CHECK(proxy.run_until([&] { return proxy.worker().channels().size() == kept; }));
}

TEST_CASE("an eager target that a reload takes away keeps who reads it, and lingers after them") {
  auto route = public_route();
  route.linger = Millis(0);
  route.eager = {"/events/a"};
  ProxyFixture proxy(route);
  proxy.worker().start_eager();
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  auto reader = proxy.get_stream("/events/a");
  REQUIRE(reader.await_head());
  route.eager = {};
  reload(proxy, {route});
  upstream->chunk("data: on\n\n");
  REQUIRE(reader.await_events(1));
  CHECK_FALSE(upstream->is_gone());
  reader.close();
  CHECK(upstream->await_gone());
}

TEST_CASE("a channel that subscribers opened becomes eager when a reload names its target") {
  auto route = public_route();
  route.linger = Millis(0);
  SharedStory story(route);
  route.eager = {"/events/a"};
  reload(story.proxy, {route});
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().sessions() == 0; }));
  story.proxy.settle();
  CHECK_FALSE(story.upstream->is_gone());
  CHECK(story.proxy.origin.requests() == 1);
}
