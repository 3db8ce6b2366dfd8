// Where a reader of a shared channel goes on: each row of the table of resume points, what sync-required says, and the
// settings that decide where one without a resume point begins.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using Strings = std::vector<std::string>;

std::string sync_data(std::string_view reason, std::string_view requested, std::string_view oldest,
                      std::string_view newest) {
  const auto text = [](std::string_view value) {
    return value == "null" ? std::string(value) : '"' + std::string(value) + '"';
  };
  return "{\"reason\":" + text(reason) + ",\"requested\":" + text(requested) + ",\"oldest\":" + text(oldest) +
         ",\"newest\":" + text(newest) + "}";
}

}  // namespace

TEST_CASE("one without a resume point begins live and reads on with all others") {
  SharedStory story(public_route());
  story.say("one");
  auto second = story.join();
  CHECK(second.field("Ssequel-Resume") == "live");
  story.say("two");
  REQUIRE(second.await_events(1));
  CHECK(second.data() == Strings{"two"});
  CHECK(second.last_id() == story.id_of("two"));
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("an id in the window is answered with every later event, in order, with the same bytes, then live") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two", "three"}) story.say(data);
  auto again = story.join_after(story.id_of("one"));
  CHECK(again.field("Ssequel-Resume") == "suffix");
  story.say("four");
  REQUIRE(again.await_events(3));
  CHECK(again.data() == Strings{"two", "three", "four"});
  const auto all = story.first.content();
  CHECK(all.ends_with(again.content().substr(again.content().find("id: "))));
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("the newest id is answered live, without anything in between") {
  SharedStory story(public_route());
  story.say("one");
  auto again = story.join_after(story.id_of("one"));
  CHECK(again.field("Ssequel-Resume") == "live");
  story.say("two");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"two"});
}

TEST_CASE("the log's base, the first id less one, is a resume point from which everything follows") {
  SharedStory story(public_route());
  story.say("one");
  const auto base = std::to_string(number_of(story.id_of("one")) - 1);
  auto again = story.join_after(base);
  CHECK(again.field("Ssequel-Resume") == "suffix");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"one"});
}

TEST_CASE("the last id that left the window is a resume point, one before it is told sync-required, window") {
  auto route = public_route();
  route.window.events = 2;
  SharedStory story(route);
  // A window may hold up to twice its bound: enough that the first ones have gone.
  for (int i = 0; i < 12; ++i) story.say("e" + std::to_string(i));
  auto old = story.join_after(story.id_of("e0"));
  CHECK(old.field("Ssequel-Resume") == "sync-required; reason=window");
  REQUIRE(old.await_events(1));
  const auto told = old.events().at(0);
  REQUIRE(says(told, "window"));
  // It borrows the id of the place from which it goes on: what follows is one more.
  CHECK(told.id == story.id_of("e11"));
  const auto oldest = told.data.substr(told.data.find("\"oldest\":\"") + 10, 16);
  CHECK(told.data == sync_data("window", story.id_of("e0"), oldest, story.id_of("e11")));
  // The one right before the oldest.
  auto edge = story.join_after(std::to_string(number_of(oldest) - 1));
  CHECK(edge.field("Ssequel-Resume") == "suffix");
  REQUIRE(edge.await_events(1));
  CHECK(edge.last_id() != "");
  CHECK(edge.events().at(0).id == oldest);
  story.say("e12");
  REQUIRE(old.await_events(2));
  CHECK(old.data().at(1) == "e12");
  CHECK(number_of(old.events().at(1).id) == number_of(told.id) + 1);
}

TEST_CASE("an id newer than the newest is told ahead, anything else unknown, and both go on live") {
  SharedStory story(public_route());
  story.say("one");
  const auto newest = story.id_of("one");
  struct Case {
    std::string fields;
    std::string reason;
    std::string requested;
  };
  const std::string ahead = std::to_string(number_of(newest) + 5);
  const std::vector<Case> cases = {
      {"Last-Event-ID: " + ahead + "\r\n", "ahead", ahead},
      {"Last-Event-ID: no-such-id\r\n", "unknown", "no-such-id"},
      {"Last-Event-ID: 0\r\n", "unknown", "0"},
      {"Last-Event-ID: 0123\r\n", "unknown", "0123"},
      {"Last-Event-ID: 7\r\nLast-Event-ID: 8\r\n", "unknown", ""},
      {"Last-Event-ID: " + std::string(2000, 'x') + "\r\n", "unknown", std::string(128, 'x')},
      {"Last-Event-ID: 7\xff\r\n", "unknown", "7\xef\xbf\xbd"},
      {"Last-Event-ID: a\"b\\\r\n", "unknown", "a\\\"b\\\\"}};
  std::size_t number = 1;
  for (const auto& one : cases) {
    INFO(one.fields);
    auto client = story.join(one.fields);
    CHECK(client.status() == 200);
    CHECK(client.field("Ssequel-Resume") == "sync-required; reason=" + one.reason);
    REQUIRE(client.await_events(1));
    const auto told = client.events().at(0);
    CHECK(told.event == "sync-required");
    CHECK(told.id == story.id_of(number == 1 ? "one" : "live" + std::to_string(number - 1)));
    CHECK(told.data == sync_data(one.reason, one.requested, newest, told.id));
    const auto live = "live" + std::to_string(number++);
    story.say(live);
    REQUIRE(client.await_events(2));
    CHECK(client.data().at(1) == live);
  }
}

TEST_CASE("sync-required in an empty log has null for oldest and newest") {
  SharedStory story(public_route());
  auto client = story.join_after("no-such-id");
  REQUIRE(client.await_events(1));
  CHECK(client.events().at(0).data == sync_data("unknown", "no-such-id", "null", "null"));
}

TEST_CASE("an empty Last-Event-ID counts as none") {
  SharedStory story(public_route());
  story.say("one");
  auto client = story.join("Last-Event-ID: \r\n");
  CHECK(client.field("Ssequel-Resume") == "live");
  CHECK(client.content().find("sync-required") == std::string::npos);
}

TEST_CASE("on_gap: oldest goes on with the whole window, behind the id of the place before it") {
  auto route = public_route();
  route.on_gap.resume = relay::GapResume::Oldest;
  route.on_gap.event = "resync";
  SharedStory story(route);
  for (const auto* data : {"one", "two"}) story.say(data);
  auto client = story.join_after("no-such-id");
  REQUIRE(client.await_events(3));
  const auto events = client.events();
  CHECK(events.at(0).event == "resync");
  CHECK(number_of(events.at(0).id) + 1 == number_of(story.id_of("one")));
  CHECK(events.at(1).data == "one");
  CHECK(events.at(2).data == "two");
}

TEST_CASE("start_at: oldest begins with the window, last with the last so many") {
  SUBCASE("oldest") {
    auto route = public_route();
    route.start_at.kind = relay::StartAt::Kind::Oldest;
    SharedStory story(route);
    for (const auto* data : {"one", "two", "three"}) story.say(data);
    auto client = story.join();
    CHECK(client.field("Ssequel-Resume") == "suffix");
    REQUIRE(client.await_events(3));
    CHECK(client.data() == Strings{"one", "two", "three"});
  }
  SUBCASE("last") {
    auto route = public_route();
    route.start_at = {.kind = relay::StartAt::Kind::Last, .last = 2};
    SharedStory story(route);
    for (const auto* data : {"one", "two", "three"}) story.say(data);
    auto client = story.join();
    CHECK(client.field("Ssequel-Resume") == "suffix");
    REQUIRE(client.await_events(2));
    CHECK(client.data() == Strings{"two", "three"});
  }
}

TEST_CASE("the query parameters count as the field where it is missing, and never reach the upstream or the key") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two"}) story.say(data);
  auto by_query = story.proxy.get_stream("/events/a?lastEventId=" + story.id_of("one"));
  REQUIRE(by_query.await_events(1));
  CHECK(by_query.data() == Strings{"two"});
  // The field wins.
  auto by_field = story.proxy.resume("/events/a?last_event_id=" + story.id_of("one"), story.id_of("two"));
  REQUIRE(by_field.await_head());
  CHECK(by_field.field("Ssequel-Resume") == "live");
  // Percent-decoded once; what cannot stand in a field is nobody's id.
  auto encoded = story.proxy.get_stream("/events/a?last-event-id=a%2541");
  REQUIRE(encoded.await_events(1));
  CHECK(encoded.events().at(0).data.find("\"requested\":\"a%41\"") != std::string::npos);
  auto unfit = story.proxy.get_stream("/events/a?last-event-id=a%0d%0ab");
  REQUIRE(unfit.await_events(1));
  CHECK(says(unfit.events().at(0), "unknown"));
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("the query parameters are taken out of the upstream's target, the others stay byte for byte") {
  ProxyFixture proxy(public_route());
  auto client = proxy.get_stream("/events/a?x=%41&lastEventId=9&&y");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.target() == "/events/a?x=%41&&y");
  CHECK_FALSE(upstream->request.field("Last-Event-ID"));
}

TEST_CASE("an origin id in the window is a resume point too, the newest of equals") {
  SharedStory story(public_route());
  story.upstream->chunk("id: abc\ndata: one\n\nid: abc\ndata: two\n\nid: def\ndata: three\n\n");
  REQUIRE(story.first.await_events(3));
  auto client = story.join_after("abc");
  CHECK(client.field("Ssequel-Resume") == "suffix");
  REQUIRE(client.await_events(1));
  CHECK(client.data() == Strings{"three"});
  CHECK(story.proxy.counters("shared").resumes[static_cast<std::size_t>(relay::ResumedBy::Origin)] == 1);
}

TEST_CASE("an id that may be ours or the upstream's is told unknown and warned of once") {
  auto route = public_route();
  route.ids.start = 1;
  SharedStory story(route);
  story.upstream->chunk("id: 1\ndata: one\n\nid: 2\ndata: two\n\n");
  REQUIRE(story.first.await_events(2));
  for (int i = 0; i < 2; ++i) {
    auto client = story.join_after("1");
    CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  }
  CHECK(story.proxy.logger.count("may be an id of ours or of the upstream's") == 1);
}

TEST_CASE("a foreign id of the one that opens a channel goes upstream with that request and with no reconnect") {
  ProxyFixture proxy(public_route());
  auto client = proxy.resume("/events/a", "opaque-7");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.field("Last-Event-ID") == "opaque-7");
  upstream->begin_stream();
  // Nothing proves that it was heeded.
  REQUIRE(client.await_events(1));
  CHECK(says(client.events().at(0), "unknown"));
  upstream->close();
  upstream = proxy.origin.next();
  CHECK_FALSE(upstream->request.field("Last-Event-ID"));
}

TEST_CASE("an id of the form of one of ours never goes upstream on a shared route") {
  ProxyFixture proxy(public_route());
  for (const auto* id : {"1234", "00012", "0123456789abcdefghijkl-5", "0123456789abcdefghijkl-5-zz"}) {
    INFO(id);
    auto client = proxy.resume("/events/" + std::string(id), id);
    auto* upstream = proxy.origin.next();
    CHECK(upstream->request.target() == "/events/" + std::string(id));
    CHECK_FALSE(upstream->request.field("Last-Event-ID"));
    upstream->begin_stream();
    REQUIRE(client.await_head());
  }
}

TEST_CASE("a reconnect is counted with how it was answered") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two"}) story.say(data);
  auto known = story.join_after(story.id_of("one"));
  auto unknown = story.join_after("x");
  auto ahead = story.join_after("99999999999999999");
  const auto& counters = story.proxy.counters("shared");
  CHECK(counters.reconnects == 3);
  CHECK(counters.resumes[static_cast<std::size_t>(relay::ResumedBy::Own)] == 1);
  CHECK(counters.resumes[static_cast<std::size_t>(relay::ResumedBy::None)] == 2);
  CHECK(counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)] == 1);
  CHECK(counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Ahead)] == 1);
}
