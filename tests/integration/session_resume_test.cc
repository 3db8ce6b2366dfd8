// Session routes: each request its own upstream request and log; a reconnect by tag replays the rest and goes on live.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

TEST_CASE("each event of a session gets the id TAG-N, with the origin id behind it where there is one") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("data: one\n\nid: 7\nevent: x\ndata: two\nfoo: bar\n\ndata: three\r\n\r\n");
  REQUIRE(client.await_events(3));
  const auto events = client.events();
  const auto tag = tag_of(events[0].id);
  CHECK(tag.size() == 22);
  CHECK(events[0].block == "id: " + tag + "-1\ndata: one\n");
  CHECK(events[1].block == "id: " + tag + "-2-t\nevent: x\ndata: two\nfoo: bar\n");
  // The last event ID stays the same until the service gives another one (WHATWG HTML §9.2.6).
  CHECK(events[2].block == "id: " + tag + "-3-t\ndata: three\n");
  CHECK(client.field("Ssequel-Resume") == "live");
  CHECK(client.field("Content-Type") == "text/event-stream");
  CHECK(client.field("Cache-Control") == "no-cache, no-transform");
  CHECK(client.field("X-Accel-Buffering") == "no");
  CHECK(client.field("Transfer-Encoding") == "chunked");
}

TEST_CASE("an origin id of more than 48 bytes stays out of the id, and resuming works without it") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "id: " + std::string(48, 'x') + "\ndata: one\n\nid: " + std::string(49, 'x') +
                             "\ndata: two\n\ndata: three\n\n");
  REQUIRE(session.client.await_events(3));
  const auto events = session.client.events();
  CHECK(events[0].id.size() < 128);
  CHECK(events[0].id.find('-', 24) != std::string::npos);
  CHECK(events[1].id == tag_of(events[0].id) + "-2");
  auto again = proxy.resume("/events/a", events[1].id);
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"three"});
}

TEST_CASE("a client that dropped resumes by its id: the rest, then live, without a second upstream request") {
  ProxyFixture proxy(session_route());
  Session session(proxy);
  session.drop(proxy);
  session.origin->chunk("data: two\n\ndata: three\n\n");
  proxy.settle();
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_events(2));
  CHECK(again.field("Ssequel-Resume") == "suffix");
  session.origin->chunk("data: four\n\n");
  REQUIRE(again.await_events(3));
  CHECK(again.data() == Strings{"two", "three", "four"});
  CHECK(again.events()[0].id == tag_of(session.id) + "-2");
  CHECK(proxy.origin.requests() == 1);
  CHECK(proxy.counters("session").reconnects == 1);
}

TEST_CASE("every id of a session, and the one before its first, resumes with exactly what follows") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "data: 1\n\ndata: 2\n\nid: x\ndata: 3\n\ndata: 4\n\n");
  REQUIRE(session.client.await_events(4));
  const auto events = session.client.events();
  Strings ids = {tag_of(session.id) + "-0"};
  for (const auto& event : events) ids.push_back(event.id);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto again = proxy.resume("/events/a", ids[i]);
    INFO(i);
    REQUIRE(again.await_head());
    REQUIRE(again.await_events(4 - i));
    session.origin->chunk(":mark\n");
    REQUIRE(again.await_content("mark"));
    const auto replayed = again.events();
    REQUIRE(replayed.size() == 4 - i);
    for (std::size_t k = i; k < 4; ++k) CHECK(replayed[k - i].block == events[k].block);
  }
}

TEST_CASE("a tag belongs to its route whatever Accept says, by field and by query parameter") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "data: one\n\ndata: two\n\n");
  const auto first = tag_of(session.id) + "-1";
  auto plain =
      proxy.request("GET /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: */*\r\n" + last_event_id(first) + "\r\n");
  REQUIRE(plain.await_events(1));
  CHECK(plain.data() == Strings{"two"});
  for (const auto* name : {"lastEventId", "last_event_id", "lastEventID", "last-event-id"}) {
    auto by_query = proxy.request("GET /events/a?x=1&" + std::string(name) + "=" + first +
                                  " HTTP/1.1\r\nHost: example.test\r\n\r\n");
    REQUIRE(by_query.await_events(1));
    CHECK(by_query.data() == Strings{"two"});
  }
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a POST stream is resumed by POST, whose content is thrown away, and by GET") {
  ProxyFixture proxy(post_route());
  Session session(proxy, proxy.request(post("/events/a", "prompt")));
  CHECK(session.origin->request.content == "prompt");
  session.drop(proxy);
  session.origin->chunk("data: two\n\n");
  auto by_post = proxy.request(post("/events/a", "prompt", last_event_id(session.id)));
  REQUIRE(by_post.await_events(1));
  CHECK(by_post.data() == Strings{"two"});
  auto by_get = proxy.resume("/events/a", session.id);
  REQUIRE(by_get.await_events(1));
  session.origin->chunk("data: three\n\n");
  REQUIRE(by_post.await_events(2));
  REQUIRE(by_get.await_events(2));
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("another method than GET or the opening one does not resume a session") {
  auto route = post_route();
  route.match.methods = {"GET", "POST", "PUT"};
  ProxyFixture proxy(route);
  Session session(proxy, proxy.request(post("/events/a", "prompt")), "data: one\n\ndata: two\n\n");
  auto put = post("/events/a", "x", last_event_id(tag_of(session.id) + "-1"));
  put.replace(0, 4, "PUT");
  auto client = proxy.request(put);
  REQUIRE(client.await_end());
  CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("the answer to a resumed POST goes out while its content is still coming") {
  ProxyFixture proxy(post_route());
  Session session(proxy, proxy.request(post("/events/a", "prompt")), "data: one\n\ndata: two\n\n");
  const std::string content(300'000, 'c');
  auto request = post("/events/a", content, last_event_id(tag_of(session.id) + "-1"));
  auto client = proxy.request(request.substr(0, request.size() - 200'000));
  REQUIRE(client.await_events(1));
  CHECK(client.data() == Strings{"two"});
  // It is read to its end: a client that finishes writing before it reads is not stuck.
  auto left = std::string_view(request).substr(request.size() - 200'000);
  REQUIRE(proxy.run_until([&] {
    left.remove_prefix(client.send_some(left));
    return left.empty();
  }));
  session.origin->chunk("data: three\n\n");
  REQUIRE(client.await_events(2));
  session.origin->end_stream();
  REQUIRE(client.await_complete());
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("several clients read one session, each from its own place") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "data: one\n\ndata: two\n\n");
  REQUIRE(session.client.await_events(2));
  auto second = proxy.resume("/events/a", tag_of(session.id) + "-1");
  auto third = proxy.resume("/events/a", tag_of(session.id) + "-0");
  REQUIRE(second.await_events(1));
  REQUIRE(third.await_events(2));
  session.origin->chunk("data: three\n\n");
  REQUIRE(session.client.await_events(3));
  REQUIRE(second.await_events(2));
  REQUIRE(third.await_events(3));
  session.client.close();
  session.origin->chunk("data: four\n\n");
  session.origin->end_stream();
  for (auto* client : {&second, &third}) {
    REQUIRE(client->await_complete());
    CHECK(client->data().back() == "four");
  }
}

TEST_CASE("a half-open old connection never keeps a new one out") {
  auto route = session_route();
  route.window.bytes = 1024 * 1024;
  route.event_bytes = 256 * 1024;
  ProxyFixture proxy(route);
  Session session(proxy);
  // The old client reads nothing any more and says nothing either.
  session.client.socket.set_buffers(4096);
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_head());
  // Many times what the window and the old client's sockets hold.
  const std::string filling(200'000, '.');
  std::size_t size = again.socket.receive().size();
  for (std::size_t number = 2; number <= 100; ++number) {
    const auto event = "data: " + std::to_string(number) + filling + "\n\n";
    std::string_view left = event;
    while (!left.empty()) {
      session.origin->chunk(left.substr(0, 20'000));
      left.remove_prefix(std::min<std::size_t>(left.size(), 20'000));
    }
    size += event.size();
    REQUIRE(proxy.run_until([&] { return again.socket.receive().size() > size; }));
  }
  const auto events = again.events();
  REQUIRE(events.size() == 99);
  for (std::size_t i = 0; i < 99; ++i) CHECK(events[i].id == tag_of(session.id) + "-" + std::to_string(i + 2));
}

TEST_CASE("a session's id is bound to the identity, the path and the Origin that opened it") {
  ProxyFixture proxy(session_route());
  const std::string own = "Authorization: Bearer a\r\nCookie: sid=1; _ga=7\r\nOrigin: http://page.test\r\n";
  Session session(proxy, "data: one\n\ndata: two\n\n", own);
  const auto id = tag_of(session.id) + "-1";
  const auto is_unknown = [&](std::string_view target, std::string_view fields) {
    auto client = proxy.resume(target, id, fields);
    // Nothing is known of it, so the upstream is asked afresh, without an id that is none of its own.
    auto* origin = proxy.origin.next();
    CHECK_FALSE(origin->request.field("Last-Event-ID"));
    origin->begin_stream();
    REQUIRE(client.await_events(1));
    CHECK(client.content().find("two") == std::string::npos);
    return client.field("Ssequel-Resume") == "sync-required; reason=unknown";
  };
  CHECK(is_unknown("/events/a", "Authorization: Bearer b\r\nCookie: sid=1\r\nOrigin: http://page.test\r\n"));
  CHECK(is_unknown("/events/a", "Authorization: Bearer a\r\nCookie: sid=2\r\nOrigin: http://page.test\r\n"));
  CHECK(is_unknown("/events/a", "Cookie: sid=1\r\nOrigin: http://page.test\r\n"));
  CHECK(is_unknown("/events/a", "Authorization: Bearer a\r\nCookie: sid=1\r\nOrigin: http://other.test\r\n"));
  CHECK(is_unknown("/events/a", "Authorization: Bearer a\r\nCookie: sid=1\r\n"));
  CHECK(is_unknown("/events/b", own));
  CHECK(proxy.counters("session").mismatches[static_cast<std::size_t>(relay::Mismatch::Identity)] == 6);
  CHECK(proxy.logger.count("another identity") == 1);  // Once a route.

  // Well-known analytics cookies change without anybody's being somebody else.
  auto again =
      proxy.resume("/events/a", id, "Authorization: Bearer a\r\nCookie: sid=1; _ga=8\r\nOrigin: http://page.test\r\n");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"two"});
}

TEST_CASE("a query of another kind does not unbind a session, a tag of another route does") {
  gateway::Options options;
  options.routes = {session_route("/a/**"), session_route("/b/**")};
  options.routes[1].name = "other";
  ProxyFixture proxy(options);
  Session session(proxy, "data: one\n\ndata: two\n\n", {}, "/a/x?n=1");
  auto again = proxy.resume("/a/x?n=2", tag_of(session.id) + "-1");
  REQUIRE(again.await_events(1));
  auto other = proxy.resume("/b/x", tag_of(session.id) + "-1");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.target() == "/b/x");
  origin->begin_stream();
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "sync-required; reason=unknown");
}
