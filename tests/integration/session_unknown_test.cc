// Ids whose channel is gone, ids that are the upstream's own affair, and requests that no session route takes.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

const std::string kGone = "0123456789012345678901";  // A tag that nobody gave.

}  // namespace

TEST_CASE("an id of a channel that is gone is told unknown, and a GET goes on with a fresh answer") {
  ProxyFixture proxy(session_route());
  auto client = proxy.resume("/events/a?x=1&lastEventId=z", kGone + "-5");
  auto* origin = proxy.origin.next();
  // What is ours never goes up in place of an origin id, nor do its stand-ins.
  CHECK_FALSE(origin->request.field("Last-Event-ID"));
  CHECK(origin->request.target() == "/events/a?x=1");
  origin->begin_stream();
  origin->chunk("data: fresh\n\n");
  REQUIRE(client.await_events(2));
  const auto events = client.events();
  CHECK(client.status() == 200);
  CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  CHECK(events[0].event == "sync-required");
  CHECK(events[0].data == "{\"reason\":\"unknown\",\"requested\":\"" + kGone + "-5\",\"oldest\":null,\"newest\":null}");
  CHECK(events[0].id == tag_of(events[1].id) + "-0");
  CHECK(events[1].id == tag_of(events[1].id) + "-1");
  CHECK(tag_of(events[1].id) != kGone);
  CHECK(proxy.counters("session").mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)] == 1);
}

TEST_CASE("an id that carries an origin id asks the upstream with that one, and nothing is told") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "id: caf\xc3\xa9 7\ndata: one\n\n");
  const auto origin_part = session.id.substr(session.id.rfind('-'));
  auto client = proxy.resume("/events/a", kGone + "-1" + origin_part);
  auto* origin = proxy.origin.next();
  CHECK(origin->request.field("Last-Event-ID") == "caf\xc3\xa9 7");
  CHECK(origin->request.count("Last-Event-ID") == 1);
  origin->begin_stream();
  origin->chunk("data: next\n\n");
  REQUIRE(client.await_events(1));
  CHECK(client.data() == Strings{"next"});
  CHECK(client.field("Ssequel-Resume") == "live");
}

TEST_CASE("an origin id that cannot stand in a field goes nowhere, and the loss is told") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "id: a\x01\ndata: one\n\n");
  auto client = proxy.resume("/events/a", kGone + session.id.substr(22));
  auto* origin = proxy.origin.next();
  CHECK_FALSE(origin->request.field("Last-Event-ID"));
  origin->begin_stream();
  REQUIRE(client.await_head());
  CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
}

TEST_CASE("an unknown id on another method than GET is told and broken off: nothing is done twice") {
  ProxyFixture proxy(post_route());
  for (const auto* rest : {"-5", "-5-0t"}) {
    auto client = proxy.request(post("/events/a", "prompt", last_event_id(kGone + rest)));
    REQUIRE(client.await_broken());
    CHECK(client.status() == 200);
    const auto events = client.events();
    REQUIRE(events.size() == 1);
    CHECK(events[0].data.find("\"unknown\"") != std::string::npos);
    CHECK(events[0].id.empty());
  }
  CHECK(proxy.origin.requests() == 0);
}

TEST_CASE("an unknown id by GET on a route for POST alone is told and broken off") {
  auto route = session_route();
  route.match.methods = {"POST"};
  ProxyFixture proxy(route);
  auto client = proxy.resume("/events/a", kGone + "-5");
  REQUIRE(client.await_broken());
  CHECK(client.content().find("\"unknown\"") != std::string::npos);
  CHECK(proxy.origin.requests() == 0);
  // But a known one is resumed by GET there (as MCP does it).
  Session session(proxy, proxy.request(post("/events/a", "prompt")), "data: one\n\ndata: two\n\n");
  auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"two"});
}

TEST_CASE("an id with a tag's form goes nowhere near a route for which it was not given") {
  auto route = session_route();
  route.match.methods = {"POST"};
  ProxyFixture proxy(route);
  // No tag: neither Accept nor method makes it the route's; it passes through untouched.
  auto client = proxy.resume("/events/a", "17");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.field("Last-Event-ID") == "17");
  origin->answer("plain");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "plain");
}

TEST_CASE("any id that is not of a tag's form goes upstream byte for byte") {
  ProxyFixture proxy(session_route());
  for (const std::string id :
       {"42", "caf\xc3\xa9", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a, b\t\"c\"",
        "0123456789012345678901", "012345678901234567890-1"}) {
    INFO(id);
    auto client = proxy.resume("/events/a?q=%2F&lastEventId=9", id);
    auto* origin = proxy.origin.next();
    CHECK(origin->request.field("Last-Event-ID") == id);
    CHECK(origin->request.target() == "/events/a?q=%2F&lastEventId=9");
    origin->begin_stream();
    origin->chunk("data: one\n\n");
    REQUIRE(client.await_events(1));
    CHECK(client.data() == Strings{"one"});
    CHECK(client.field("Ssequel-Resume") == "live");
  }
  // Connection cannot name it away.
  auto client = proxy.resume("/events/a", "42", "Connection: Last-Event-ID\r\n");
  CHECK(proxy.origin.next()->request.field("Last-Event-ID") == "42");
  // Two of them are none of ours to judge.
  auto twice = proxy.resume("/events/a", "1", last_event_id("2"));
  CHECK(proxy.origin.next()->request.count("Last-Event-ID") == 2);
}

TEST_CASE("a foreign id in the query is left in the target, and an empty one counts as none") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a?lastEventId=42&x=1");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.target() == "/events/a?lastEventId=42&x=1");
  CHECK_FALSE(origin->request.field("Last-Event-ID"));
  auto empty = proxy.resume("/events/a", "", "Cache-Control: no-cache\r\n");
  auto* for_empty = proxy.origin.next();
  for_empty->begin_stream();
  // Primed: it has no resume point.
  REQUIRE(empty.await_content("-0\n\n"));
}

TEST_CASE("an id ahead of its log, and one that never was, get sync-required and live") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "id: o\ndata: one\n\n");
  const std::vector<std::pair<std::string, std::string>> cases = {{tag_of(session.id) + "-9", "ahead"},
                                                                  {tag_of(session.id) + "-1-zz", "unknown"}};
  for (const auto& [id, reason] : cases) {
    auto client = proxy.resume("/events/a", id);
    REQUIRE(client.await_events(1));
    CHECK(client.field("Ssequel-Resume") == "sync-required; reason=" + reason);
    CHECK(client.events()[0].id == session.id);
  }
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("the built-in route makes any event stream resumable, and lets all else pass") {
  gateway::Options options;
  options.routes = {relay::built_in_route()};
  ProxyFixture proxy(options);
  {
    Session session(proxy, "data: one\n\ndata: two\n\n", {}, "/whatever/it?is");
    auto again = proxy.resume("/whatever/it?is", tag_of(session.id) + "-1");
    REQUIRE(again.await_events(1));
    CHECK(again.data() == Strings{"two"});
  }
  // */* does not name it.
  auto any = proxy.request("GET /feed HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("id: 1\ndata: raw\n\n");
  REQUIRE(any.await_content("id: 1\ndata: raw\n\n"));
  CHECK_FALSE(any.field("Ssequel-Resume"));
  CHECK(proxy.worker().counters().unrouted_event_streams == 1);
  // Named among others it does, whatever its parameters and case.
  auto named = proxy.request("GET /feed HTTP/1.1\r\nHost: a\r\nAccept: text/html, TEXT/Event-Stream;q=0.9\r\n\r\n");
  proxy.origin.next()->begin_stream();
  REQUIRE(named.await_head());
  CHECK(named.field("Ssequel-Resume") == "live");
  // An answer that is no event stream is relayed as it is.
  auto page = proxy.get_stream("/page");
  proxy.origin.next()->answer("no such stream", 404, "Content-Type: text/plain\r\nX-A: 1\r\nX-a: 2\r\n");
  REQUIRE(page.await_complete());
  CHECK(page.status() == 404);
  CHECK(page.content() == "no such stream");
  CHECK(page.response().count("X-A") == 2);
}

TEST_CASE("with no routes at all everything passes, event streams uncounted as ours") {
  ProxyFixture proxy(gateway::Options{});
  for (int i = 0; i < 2; ++i) {
    auto client = proxy.get_stream("/events/a?secret=1");
    auto* origin = proxy.origin.next();
    origin->begin_stream();
    origin->chunk("id: 1\ndata: raw\n\n");
    REQUIRE(client.await_content("id: 1\ndata: raw\n\n"));
  }
  CHECK(proxy.worker().counters().unrouted_event_streams == 2);
  CHECK(proxy.logger.count("no route matches") == 1);  // Once a path.
  CHECK(proxy.logger.count("secret") == 0);
}

TEST_CASE("two Last-Event-ID fields are unknown where one has a tag's form, which never goes upstream") {
  ProxyFixture proxy(session_route());
  Session session(proxy);
  const auto tag = last_event_id(session.id);
  for (const auto& fields : {tag + tag, tag + last_event_id("foreign"), last_event_id("") + tag}) {
    auto client = proxy.get_stream("/events/a", fields);
    auto* origin = proxy.origin.next();
    CHECK(origin->request.count("Last-Event-ID") == 0);
    origin->begin_stream();
    REQUIRE(client.await_head());
    CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  }
  // By another method nothing is done twice.
  auto post_again = proxy.request(post("/events/a", "x", tag + last_event_id("foreign")));
  auto foreign = proxy.get_stream("/events/a", last_event_id("a") + last_event_id("b"));
  CHECK(proxy.origin.next()->request.count("Last-Event-ID") == 2);
}

TEST_CASE("HEAD on a session route opens no channel and gets no content, and our ids stay here") {
  auto route = session_route();
  route.match.methods = {"GET", "HEAD"};
  ProxyFixture proxy(route);
  Session session(proxy);
  for (const auto& fields : {std::string(), last_event_id(session.id), last_event_id("foreign")}) {
    auto client =
        proxy.request("HEAD /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n" + fields + "\r\n");
    client.is_head_request = true;
    auto* origin = proxy.origin.next();
    CHECK(origin->request.method() == "HEAD");
    CHECK(origin->request.field("Last-Event-ID").value_or("none") ==
          (fields.find("foreign") == std::string::npos ? "none" : "foreign"));
    origin->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 500\r\n\r\n");
    REQUIRE(client.await_complete());
    proxy.settle();
    CHECK(client.rest().empty());
    CHECK_FALSE(client.has_ended());
    CHECK(proxy.worker().channels().size() == 1);
  }
}
