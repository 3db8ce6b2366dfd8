// Ids and frames on shared routes, as clients see them: where ids begin, when they carry a tag, where the id line
// stands, how the origin id travels, and what becomes of blocks that are no ordinary event.
#include <doctest/doctest.h>

#include <chrono>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using Strings = std::vector<std::string>;

std::uint64_t unix_micros() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

bool has_tag(std::string_view id) { return id.size() > 23 && id.at(22) == '-'; }

}  // namespace

TEST_CASE("a log without a past begins at the time in microseconds and goes up by one") {
  const auto before = unix_micros();
  SharedStory story(public_route());
  for (const auto* data : {"one", "two", "three"}) story.say(data);
  const auto first = number_of(story.id_of("one"));
  CHECK(first >= before);
  CHECK(first <= unix_micros());
  CHECK(number_of(story.id_of("two")) == first + 1);
  CHECK(number_of(story.id_of("three")) == first + 2);
}

TEST_CASE("a frame is the id line, the event's own lines as they came, and an empty line, with LF only") {
  SharedStory story(public_route());
  story.upstream->chunk("event: a\r\nid: x\r\nretry: 77\r\nunknown:  y\r\ndata:z\rdata\r\n: remark\r\n\r\n");
  REQUIRE(story.first.await_content("\n\n"));
  const auto event = story.first.events().at(0);
  CHECK(event.block == "retry: 3000\nid: " + event.id + "\nevent: a\nunknown:  y\ndata:z\ndata\n");
  CHECK(story.first.content().find('\r') == std::string::npos);
}

TEST_CASE("all subscribers see the same ids with the same bytes") {
  SharedStory story(public_route());
  auto second = story.join();
  story.say("one");
  story.say("two");
  REQUIRE(second.await_events(2));
  auto replayed = story.join_after(std::to_string(number_of(story.id_of("one")) - 1));
  REQUIRE(replayed.await_events(2));
  CHECK(second.content() == story.first.content());
  CHECK(replayed.content() == story.first.content());
}

TEST_CASE("ids.start begins the first log of a key there, a later one two above all earlier ids") {
  auto route = public_route();
  route.ids.start = 1;
  route.retain = Millis(1);
  route.linger = Millis(1);
  SharedStory story(route);
  for (const auto* data : {"one", "two"}) story.say(data);
  CHECK(story.id_of("one") == "1");
  CHECK(story.id_of("two") == "2");
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
  auto later = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: three\n\n");
  REQUIRE(later.await_events(1));
  CHECK(later.last_id() == "4");
  // Another key's first log is its own affair.
  auto other = story.proxy.get_stream("/events/b");
  upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(other.await_events(1));
  CHECK(other.last_id() == "1");
}

TEST_CASE("an id of a lost log is never given again: it is unknown to the next one") {
  auto route = public_route();
  route.retain = Millis(1);
  route.linger = Millis(1);
  SharedStory story(route);
  for (const auto* data : {"one", "two"}) story.say(data);
  const auto last = story.id_of("two");
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
  auto later = story.proxy.resume("/events/a", last);
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: three\n\n");
  REQUIRE(later.await_events(2));
  CHECK(says(later.events().at(0), "unknown"));
  CHECK(number_of(later.last_id()) > number_of(last) + 1);
}

TEST_CASE("ids have a tag where the request had an identity that is part of the key, and begin at 1") {
  auto route = shared_route();
  SUBCASE("with an identity") {
    SharedStory story(route, "Authorization: Bearer a\r\n");
    story.say("one");
    CHECK(has_tag(story.id_of("one")));
    CHECK(number_of(story.id_of("one")) == 1);
  }
  SUBCASE("without one") {
    SharedStory story(route);
    story.say("one");
    CHECK_FALSE(has_tag(story.id_of("one")));
  }
  SUBCASE("an identity that is no part of the key") {
    SharedStory story(public_route(), "Authorization: Bearer a\r\n");
    story.say("one");
    CHECK_FALSE(has_tag(story.id_of("one")));
  }
  SUBCASE("a path that looks like a key's part") {
    ProxyFixture proxy(route);
    auto client = proxy.get_stream("/events/i32:x");
    auto* upstream = proxy.origin.next();
    upstream->begin_stream();
    upstream->chunk("data: one\n\n");
    REQUIRE(client.await_events(1));
    CHECK_FALSE(has_tag(client.last_id()));
  }
  SUBCASE("tag: always") {
    auto tagged = public_route();
    tagged.ids.always_tag = true;
    SharedStory story(tagged);
    story.say("one");
    CHECK(has_tag(story.id_of("one")));
    CHECK(number_of(story.id_of("one")) == 1);
  }
}

TEST_CASE("an identity that the authoriser gave is one: its ids have a tag") {
  auto route = shared_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  route.identity.authorize = "X-User-Id";
  ProxyFixture proxy(route);
  auto client = proxy.get_stream("/events/a", "Authorization: Bearer a\r\n");
  auto* question = proxy.origin.next();
  CHECK(question->request.target() == "/auth");
  question->answer("", 200, "X-User-Id: alice\r\n");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  CHECK(has_tag(client.last_id()));
}

TEST_CASE("the tags of two channels differ, and the id of one is unknown to the other") {
  SharedStory story(shared_route(), "Authorization: Bearer a\r\n");
  story.say("one");
  auto other = story.proxy.resume("/events/a", story.id_of("one"), "Authorization: Bearer b\r\n");
  auto* upstream = story.proxy.origin.next();
  CHECK_FALSE(upstream->request.field("Last-Event-ID"));
  upstream->begin_stream();
  upstream->chunk("data: two\n\n");
  REQUIRE(other.await_events(2));
  CHECK(says(other.events().at(0), "unknown"));
  CHECK(other.last_id().substr(0, 22) != story.id_of("one").substr(0, 22));
}

TEST_CASE("place: last puts the id line last, in events and in sync-required") {
  auto route = public_route();
  route.ids.place = sse::IdPlace::Last;
  SharedStory story(route);
  auto client = story.join_after("no-such-id");
  story.upstream->chunk("event: a\ndata: one\n\n");
  REQUIRE(client.await_events(2));
  for (const auto& event : client.events()) CHECK(event.block.ends_with("\nid: " + event.id + "\n"));
}

TEST_CASE("the origin id travels as a comment, a field or a member of the data") {
  auto route = public_route();
  const std::string said = "id: o-1\ndata: {\"a\": 1}\n\n";
  std::string expected;
  SUBCASE("none") { expected = "data: {\"a\": 1}\n"; }
  SUBCASE("comment") {
    route.ids.origin.kind = sse::OriginStyle::Kind::Comment;
    expected = ": origin o-1\ndata: {\"a\": 1}\n";
  }
  SUBCASE("field") {
    route.ids.origin = {.kind = sse::OriginStyle::Kind::Field, .name = "origin-id"};
    expected = "data: {\"a\": 1}\norigin-id: o-1\n";
  }
  SUBCASE("json") {
    route.ids.origin = {.kind = sse::OriginStyle::Kind::Json, .name = "oid"};
    expected = "data: {\"oid\":\"o-1\",\"a\": 1}\n";
  }
  SharedStory story(route);
  story.upstream->chunk(said);
  REQUIRE(story.first.await_events(1));
  const auto event = story.first.events().at(0);
  CHECK(event.block == "retry: 3000\nid: " + event.id + "\n" + expected);
}

TEST_CASE("dedupe: id drops an event whose origin id is still in the window") {
  auto route = public_route();
  route.dedupe = relay::Dedupe::Id;
  route.on_upstream_gap = relay::OnUpstreamGap::None;
  SharedStory story(route);
  story.upstream->chunk("id: 1\ndata: one\n\nid: 2\ndata: two\n\n");
  REQUIRE(story.first.await_events(2));
  story.reconnect();
  CHECK(story.upstream->request.field("Last-Event-ID") == "2");
  story.upstream->begin_stream();
  story.upstream->chunk("id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: three\n\n");
  REQUIRE(story.first.await_content("three"));
  CHECK(story.first.data() == Strings{"one", "two", "three"});
  CHECK(number_of(story.id_of("three")) == number_of(story.id_of("two")) + 1);
  CHECK(story.proxy.counters("shared").deduplicated == 2);
}

TEST_CASE("an event over event_bytes takes its id, and the log says dropped in its place") {
  auto route = public_route();
  route.event_bytes = 64;
  SharedStory story(route);
  story.say("one");
  story.upstream->chunk("data: " + std::string(100, 'x') + "\n\n");
  story.upstream->chunk("data: two\n\n");
  REQUIRE(story.first.await_events(3));
  const auto told = story.first.events().at(1);
  REQUIRE(says(told, "dropped"));
  CHECK(number_of(told.id) == number_of(story.id_of("one")) + 1);
  CHECK(number_of(story.id_of("two")) == number_of(told.id) + 1);
  CHECK(told.data.find("\"requested\":null") != std::string::npos);
  // An entry of the log: the same bytes in every replay.
  auto again = story.join_after(story.id_of("one"));
  REQUIRE(again.await_events(2));
  CHECK(again.events().at(0).block.ends_with(told.block));
}

TEST_CASE("comments of the upstream, blocks without data and its unfinished last block reach nobody") {
  SharedStory story(public_route());
  story.upstream->chunk(": hello\n\nevent: nothing\n\nid: 9\n\ndata: one\n\ndata: unfinished\n");
  REQUIRE(story.first.await_events(1));
  story.reconnect();
  // The id of a block without data is kept all the same.
  CHECK(story.upstream->request.field("Last-Event-ID") == "9");
  story.upstream->begin_stream();
  story.upstream->chunk("data: two\n\n");
  REQUIRE(story.first.await_content("two"));
  const auto content = story.first.content();
  for (const auto* text : {"hello", "nothing", "unfinished"}) CHECK(content.find(text) == std::string::npos);
}

TEST_CASE("each line of an ndjson upstream becomes one event") {
  auto route = public_route();
  route.upstream_format = relay::UpstreamFormat::Ndjson;
  ProxyFixture proxy(route);
  auto client = proxy.get_stream("/events/a");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream({}, "application/x-ndjson");
  upstream->chunk("{\"a\":1}\n{\"b\"");
  upstream->chunk(":2}\r\n\n{\"c\":3}\n");
  REQUIRE(client.await_events(3));
  CHECK(client.field("Content-Type") == "text/event-stream");
  CHECK(client.data() == Strings{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"});
}

TEST_CASE("a compressed stream is read, a broken coding ends that upstream connection") {
  SharedStory story(public_route());
  story.reconnect();
  story.upstream->begin_stream("Content-Encoding: gzip\r\n");
  story.upstream->chunk("this is no gzip at all");
  auto* upstream = story.proxy.origin.next();
  CHECK_FALSE(upstream->request.field("Accept-Encoding"));
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(story.first.await_content("data: one\n"));
}
