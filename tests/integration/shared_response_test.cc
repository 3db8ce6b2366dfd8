// The response of a shared route: its head, priming, the reconnection time, heartbeats, and how it ends.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

// What a browser's EventSource sends.
constexpr std::string_view kEventSource = "Cache-Control: no-cache\r\n";

}  // namespace

TEST_CASE("the response head is the upstream's own, less what belongs to one hop or one response") {
  ProxyFixture proxy(public_route());
  auto client = proxy.get_stream("/events/a");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream(
      "X-Kept: yes\r\nX-Kept: again\r\nETag: \"1\"\r\nSet-Cookie: a=b\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
      "Connection: x-hop\r\nContent-Language: en\r\n",
      "text/event-stream; charset=utf-8");
  REQUIRE(client.await_head());
  const auto& response = client.response();
  CHECK(response.status == 200);
  CHECK(response.count("X-Kept") == 2);
  CHECK(response.field("Content-Language") == "en");
  CHECK(response.field("Content-Type") == "text/event-stream; charset=utf-8");
  CHECK(response.field("Cache-Control") == "no-cache, no-transform");
  CHECK(response.field("X-Accel-Buffering") == "no");
  CHECK(response.field("Transfer-Encoding") == "chunked");
  for (const auto* name : {"ETag", "Set-Cookie", "Keep-Alive", "X-Hop", "Content-Length", "Connection"}) {
    INFO(name);
    CHECK(response.count(name) == 0);
  }
}

TEST_CASE("Cache-Control stays as the upstream set it, and the head is renewed at each connect") {
  SharedStory story(public_route());
  CHECK(story.first.field("Cache-Control") == "no-cache, no-transform");
  story.reconnect();
  story.upstream->begin_stream("Cache-Control: no-store\r\nX-New: 1\r\n");
  story.upstream->chunk("data: one\n\n");
  REQUIRE(story.first.await_content("data: one"));
  auto second = story.join();
  CHECK(second.field("Cache-Control") == "no-store");
  CHECK(second.field("X-New") == "1");
}

TEST_CASE("priming gives an EventSource an id before its first event, and nobody else") {
  SharedStory story(public_route());
  story.say("one");
  auto browser = story.join(kEventSource);
  REQUIRE(browser.await_content("\n\n"));
  CHECK(browser.content() == "retry: 3000\nid: " + story.id_of("one") + "\n\n");
  auto curl = story.join();
  CHECK(curl.content().find("id:") == std::string::npos);
  auto both = story.proxy.request(
      "GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream, */*\r\nCache-Control: no-cache\r\n\r\n");
  REQUIRE(both.await_content("retry"));
  CHECK(both.content().find("id:") == std::string::npos);
  // One with a resume point has an id already.
  auto resumed = story.join_after(story.id_of("one"), kEventSource);
  story.say("two");
  REQUIRE(resumed.await_events(1));
  CHECK(resumed.events().size() == 1);
}

TEST_CASE("the id of a priming block is a resume point from which everything follows, in an empty log too") {
  SharedStory story(public_route(), kEventSource);
  REQUIRE(story.first.await_content("\n\n"));
  const auto primed = story.first.events().at(0);
  CHECK(primed.data.empty());
  story.say("one");
  auto again = story.join_after(primed.id);
  CHECK(again.field("Ssequel-Resume") == "suffix");
  REQUIRE(again.await_events(1));
  CHECK(again.data().at(0) == "one");
}

TEST_CASE("prime: always and never") {
  auto route = public_route();
  SUBCASE("always") {
    route.prime = relay::Prime::Always;
    SharedStory story(route);
    REQUIRE(story.first.await_content("\n\n"));
    CHECK_FALSE(story.first.last_id().empty());
  }
  SUBCASE("never") {
    route.prime = relay::Prime::Never;
    SharedStory story(route, kEventSource);
    REQUIRE(story.first.await_content("retry"));
    story.proxy.settle();
    CHECK(story.first.content() == "retry: 3000\n");
  }
}

TEST_CASE("each response begins with the route's retry, 3 s unless it says otherwise, none for 0") {
  auto route = public_route();
  std::string expected = "retry: 3000\n";
  SUBCASE("auto") {}
  SUBCASE("set") {
    route.retry = Millis(750);
    expected = "retry: 750\n";
  }
  SUBCASE("0") {
    route.retry = Millis(0);
    expected = "";
  }
  SharedStory story(route);
  // Out of the frame it is taken, and on shared routes passed on to nobody.
  story.upstream->chunk("retry: 99\n\nretry: 98\ndata: one\n\n");
  REQUIRE(story.first.await_events(1));
  CHECK(story.first.content() == expected + "id: " + story.id_of("one") + "\ndata: one\n\n");
}

TEST_CASE("a heartbeat is one comment line, sent when nothing else was") {
  auto route = public_route();
  route.heartbeat = Millis(40);
  SharedStory story(route);
  REQUIRE(story.first.await_content("retry: 3000\n:\n:\n"));
  story.say("one");
  REQUIRE(story.first.await_content("data: one\n\n:\n"));
  CHECK(story.first.events().size() == 1);
  CHECK(story.first.data().size() == 1);
}

TEST_CASE("heartbeat: 0 sends none") {
  auto route = public_route();
  route.heartbeat = Millis(0);
  SharedStory story(route);
  story.proxy.settle();
  CHECK(story.first.content() == "retry: 3000\n");
}

TEST_CASE("an HTTP/1.0 client gets close-delimited content with the same bytes") {
  SharedStory story(public_route());
  story.say("one");
  auto old = story.proxy.connect();
  old.send("GET /events/a HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\nLast-Event-ID: " +
           std::to_string(number_of(story.id_of("one")) - 1) + "\r\n\r\n");
  REQUIRE(old.await_content("data: one\n\n"));
  story.say("two");
  REQUIRE(old.await_content("data: two\n\n"));
  CHECK(old.content() == story.first.content());
  CHECK(old.response().count("Transfer-Encoding") == 0);
  CHECK(old.field("Connection") == "close");
}

TEST_CASE("max_age ends a response cleanly at an event's end, with the retry line first") {
  auto route = public_route();
  route.max_age = Millis(60);
  SUBCASE("an EventSource's retry is followed by an empty line") {
    SharedStory story(route, kEventSource);
    REQUIRE(story.first.await_complete());
    CHECK(story.first.content().ends_with("\n\nretry: 3000\n\n"));
  }
  SUBCASE("others get the line alone, and may use the connection again") {
    SharedStory story(route);
    story.say("one");
    REQUIRE(story.first.await_complete());
    CHECK(story.first.content().ends_with("data: one\n\nretry: 3000\n"));
    story.first.next_response();
    story.first.send("GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    REQUIRE(story.first.await_head());
    CHECK(story.first.status() == 200);
  }
  SUBCASE("our_end: cut breaks off instead") {
    route.our_end = relay::OurEnd::Cut;
    SharedStory story(route);
    REQUIRE(story.first.await_broken());
    CHECK(story.first.content().ends_with("retry: 3000\n"));
  }
  SUBCASE("a close-delimited response ends with FIN, with our_end: cut by a reset") {
    bool cut = false;
    SUBCASE("clean") {}
    SUBCASE("cut") { cut = true; }
    if (cut) route.our_end = relay::OurEnd::Cut;
    ProxyFixture proxy(route);
    auto old = proxy.request("GET /events/a HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    proxy.origin.next()->begin_stream();
    REQUIRE(old.await_end());
    CHECK(old.end() == (cut ? RawSocket::End::Reset : RawSocket::End::Eof));
    CHECK(old.content() == "retry: 3000\nretry: 3000\n");
  }
}
