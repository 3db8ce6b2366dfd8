// on_gap.snapshot: what a reader with a gap is given instead of the bare sync-required, on shared routes.
#include <doctest/doctest.h>

#include "support/pump.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

relay::Route with_snapshot(relay::Route route = public_route()) {
  route.on_gap.snapshot = "/state?all=1";
  return route;
}

std::string error_of(const ReceivedEvent& event) {
  const auto at = event.data.find("\"error\":\"");
  if (at == std::string::npos) return {};
  return event.data.substr(at + 9, event.data.find('"', at + 9) - at - 9);
}

}  // namespace

TEST_CASE("a snapshot is fetched with the subscriber's own fields after its place was fixed") {
  SharedStory story(with_snapshot());
  story.say("one");
  auto client = story.proxy.resume("/events/a", "no-such-id", "Authorization: Bearer b\r\nRange: bytes=0-\r\n");
  auto* asked = story.proxy.origin.next();
  CHECK(asked->request.line() == "GET /state?all=1 HTTP/1.1");
  CHECK(asked->request.field("Authorization") == "Bearer b");
  CHECK_FALSE(asked->request.field("Last-Event-ID"));
  CHECK_FALSE(asked->request.field("Range"));
  // An event that comes meanwhile is behind the place: it may be in the snapshot, and follows in any case.
  story.say("two");
  asked->answer("{\"a\":1,\n\"b\":2}", 200, "Content-Type: application/json\r\n");
  REQUIRE(client.await_events(2));
  CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  const auto told = client.events().at(0);
  CHECK(told.event == "sync-required");
  CHECK(told.id == story.id_of("one"));
  CHECK(told.data == "{\"a\":1,\n\"b\":2}");
  CHECK(client.data().at(1) == "two");
}

TEST_CASE("no snapshot is fetched for one that misses nothing") {
  SharedStory story(with_snapshot());
  story.say("one");
  auto known = story.join_after(story.id_of("one"));
  auto fresh = story.join();
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("only a 200 with text counts, else the JSON object says why") {
  auto route = with_snapshot();
  route.event_bytes = 1000;
  SharedStory story(route);
  struct Case {
    int status;
    std::string type;
    std::string content;
    std::string error;
  };
  const std::vector<Case> cases = {
      {200, "text/plain", "fine", ""},
      {200, "application/vnd.a+json; charset=utf-8", "fine", ""},
      {200, "image/png", "x", "the snapshot is no text"},
      {200, "text/plain", "", "the snapshot is empty"},
      {200, "text/plain\r\nContent-Encoding: gzip", "x", "the snapshot is no text"},
      {302, "text/plain\r\nLocation: /elsewhere", "x", "the snapshot was answered with status 302"},
      {503, "text/plain", "x", "the snapshot was answered with status 503"},
      {200, "text/plain", std::string(1001, 'x'), "the answer is over limits.event_bytes"}};
  for (const auto& one : cases) {
    INFO(one.status, " ", one.type);
    auto client = story.proxy.resume("/events/a", "no-such-id");
    story.proxy.origin.next()->answer(one.content, one.status, "Content-Type: " + one.type + "\r\n");
    REQUIRE(client.await_events(1));
    const auto told = client.events().at(0);
    if (one.error.empty()) {
      CHECK(told.data == "fine");
    } else {
      CHECK(says(told, "unknown"));
      CHECK(error_of(told) == one.error);
    }
  }
  auto broken = story.proxy.resume("/events/a", "no-such-id");
  story.proxy.origin.next()->close();
  if (!story.proxy.run_until([&] { return broken.response().has_head; }, Millis(50)))
    story.proxy.origin.next()->close();
  REQUIRE(broken.await_events(1));
  CHECK_FALSE(error_of(broken.events().at(0)).empty());
}

TEST_CASE("if the upstream was let go while the snapshot was fetched, it is opened again") {
  auto route = with_snapshot();
  route.linger = Millis(1);
  SharedStory story(route);
  story.say("one");
  auto client = story.proxy.resume("/events/a", "no-such-id");
  auto* asked = story.proxy.origin.next();
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  auto* upstream = story.proxy.origin.next();
  CHECK(upstream->request.target() == "/events/a");
  upstream->begin_stream();
  upstream->chunk("data: two\n\n");
  CHECK(client.await_content("data: two\n"));
}

TEST_CASE(
    "if the channel went while the snapshot was fetched, the reader begins again with the one that took its place") {
  auto route = with_snapshot();
  route.linger = route.retain = Millis(1);
  SharedStory story(route);
  story.say("one");
  auto client = story.proxy.resume("/events/a", "no-such-id");
  auto* asked = story.proxy.origin.next();
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
  auto other = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  // Its log is another, and has not even a head.
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  story.proxy.settle();
  CHECK_FALSE(client.response().has_head);
  upstream->begin_stream();
  asked = story.proxy.origin.next();
  CHECK(asked->request.target() == "/state?all=1");
  upstream->chunk("data: two\n\n");
  REQUIRE(other.await_content("data: two\n"));
  asked->answer("new state", 200, "Content-Type: text/plain\r\n");
  REQUIRE(client.await_content("data: two\n"));
  CHECK(client.data() == std::vector<std::string>{"new state", "two"});
}

TEST_CASE("if the place left the window meanwhile, the object says so and the reader goes on from where it can") {
  auto route = with_snapshot();
  route.window.events = 2;
  SharedStory story(route);
  story.say("old");
  auto client = story.proxy.resume("/events/a", "no-such-id");
  auto* asked = story.proxy.origin.next();
  for (int i = 0; i < 12; ++i) story.say("e" + std::to_string(i));
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  REQUIRE(client.await_events(1));
  const auto told = client.events().at(0);
  CHECK(says(told, "unknown"));
  CHECK(error_of(told).find("left the window") != std::string::npos);
  CHECK(told.id == story.id_of("e11"));
  story.say("live");
  REQUIRE(client.await_events(2));
  CHECK(number_of(client.events().at(1).id) == number_of(told.id) + 1);
}

TEST_CASE("one that fell out of the window while connected gets the snapshot too, and goes on from its place") {
  auto route = with_snapshot(bulk_route());
  SharedStory story(route);
  auto stalled = story.join("Authorization: Bearer slow\r\n");
  stalled.socket.set_buffers(64 * 1024);
  Pump pump(*story.upstream, 320);
  REQUIRE(story.proxy.run_until([&] { return pump.step() & has_received(story.first, 319); }, Millis(20'000)));
  OriginConnection* asked = nullptr;
  REQUIRE(story.proxy.run_until([&] {
    stalled.socket.receive();
    return story.proxy.origin.requests() == 2;
  }));
  asked = story.proxy.origin.next();
  CHECK(asked->request.target() == "/state?all=1");
  CHECK(asked->request.field("Authorization") == "Bearer slow");
  story.upstream->chunk("data: 1000 \n\n");
  REQUIRE(story.proxy.run_until([&] { return has_received(story.first, 1000); }));
  SUBCASE("it stays") {
    asked->answer("state", 200, "Content-Type: text/plain\r\n");
    REQUIRE(story.proxy.run_until([&] { return has_received(stalled, 1000); }));
    const auto events = stalled.events();
    const auto& told = events.at(events.size() - 2);
    CHECK(told.event == "sync-required");
    CHECK(told.data == "state");
    CHECK(number_of(events.back().id) == number_of(told.id) + 1);
    auto got = numbers(stalled);
    got.resize(got.size() - 2);
    CHECK(got == first_numbers(got.size()));
  }
  SUBCASE("it leaves meanwhile") {
    stalled.reset();
    REQUIRE(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 1; }));
    CHECK(asked->await_gone());
  }
  SUBCASE("the proxy drains meanwhile") {
    story.proxy.worker().set_drain(gateway::DrainPhase::Ending);
    CHECK(stalled.await_complete());
  }
}
