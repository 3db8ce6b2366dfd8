// Bounds of the process, as shared channels meet them: who makes room, who is turned away, what goes first.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

void check_turned_away(ProxyFixture& proxy, std::string_view target) {
  auto client = proxy.get_stream(target);
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(client.content().starts_with("retry: "));
  CHECK(client.events().empty());
}

// A channel whose subscriber has left; its upstream.
OriginConnection* leave_channel(ProxyFixture& proxy, std::string_view target, std::string_view events = {}) {
  auto client = proxy.get_stream(target);
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(client.await_head());
  if (!events.empty()) {
    upstream->chunk(events);
    REQUIRE(client.await_content("\n\n"));
  }
  const auto before = proxy.counters("shared").subscribers;
  client.close();
  REQUIRE(proxy.run_until([&] { return proxy.counters("shared").subscribers < before; }));
  return upstream;
}

}  // namespace

TEST_CASE("at limits.channels the unwatched channel that was watched least recently is closed, upstream and all") {
  auto options = with_route(public_route());
  options.limits.channels = 3;
  ProxyFixture proxy(options);
  auto* oldest = leave_channel(proxy, "/events/a");
  auto* younger = leave_channel(proxy, "/events/b");
  auto watching = proxy.get_stream("/events/c");
  auto* watched = proxy.origin.next();
  watched->begin_stream();
  REQUIRE(watching.await_head());
  auto fresh = proxy.get_stream("/events/d");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(fresh.await_head());
  CHECK(oldest->await_gone());
  CHECK_FALSE(younger->is_gone());
  CHECK(proxy.worker().channels().size() == 3);
  watched->chunk("data: one\n\n");
  CHECK(watching.await_events(1));
}

TEST_CASE("only when every channel is watched is a newcomer turned away") {
  auto route = public_route();
  route.match.accept = relay::Accept::Any;
  auto options = with_route(route);
  options.limits.channels = 1;
  SharedStory story(options);
  check_turned_away(story.proxy, "/events/b");
  auto other = story.proxy.request("GET /events/b HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(other.await_complete());
  CHECK(other.status() == 503);
  CHECK(other.field("Retry-After") == "1");
  CHECK(story.proxy.origin.requests() == 1);
  // Its own channel is open to everyone all the same.
  auto second = story.join();
  story.say("one");
  CHECK(second.await_events(1));
}

TEST_CASE("a channel whose opener waits for the upstream's answer counts as watched") {
  auto options = with_route(public_route());
  options.limits.channels = 1;
  ProxyFixture proxy(options);
  auto waiting = proxy.get_stream("/events/a");
  auto* upstream = proxy.origin.next();
  check_turned_away(proxy, "/events/b");
  CHECK(proxy.worker().channels().size() == 1);
  upstream->begin_stream();
  REQUIRE(waiting.await_head());
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("at limits.upstream_connections an unwatched channel makes room, else the newcomer is turned away") {
  auto options = with_route(public_route());
  options.limits.upstream_connections = 1;
  ProxyFixture proxy(options);
  auto* unwatched = leave_channel(proxy, "/events/a");
  auto client = proxy.get_stream("/events/b");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.target() == "/events/b");
  CHECK(unwatched->await_gone());
  upstream->begin_stream();
  REQUIRE(client.await_head());
  check_turned_away(proxy, "/events/c");
  upstream->chunk("data: one\n\n");
  CHECK(client.await_events(1));
}

TEST_CASE("what is over store_bytes goes oldest first, from unwatched channels first") {
  auto options = with_route(public_route());
  options.limits.store_bytes = 256 * 1024;
  ProxyFixture proxy(options);
  std::string events;
  for (int i = 0; i < 10; ++i) events += "data: " + std::to_string(i) + std::string(10'000, 'x') + "\n\n";
  leave_channel(proxy, "/events/a", events);
  REQUIRE(proxy.run_until([&] { return proxy.counters("shared").events_emitted == 10; }));
  auto watching = proxy.get_stream("/events/b");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(watching.await_head());
  for (int round = 0; round < 2; ++round) upstream->chunk(events);
  REQUIRE(watching.await_events(20));
  CHECK(proxy.worker().channels().bytes() <= 256 * 1024);
  const auto held = [&](std::string_view target) {
    std::uint64_t count = 0;
    proxy.worker().channels().for_each([&](gateway::ChannelHost& host) {
      if (host.channel().setup().target == target) count = host.channel().log()->window_events();
    });
    return count;
  };
  CHECK(held("/events/b") == 20);
  CHECK(held("/events/a") < 10);
  CHECK(held("/events/a") > 0);
}
