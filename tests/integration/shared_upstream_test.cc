// The upstream connection of a shared channel: one for all, opened by need, kept, let go, opened again; gaps told; what
// a final answer does; whose fields go along.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using Strings = std::vector<std::string>;

Strings kinds(TestClient& client) {
  Strings all;
  for (const auto& event : client.events()) {
    if (!event.data.empty()) all.push_back(event.event.empty() ? event.data : event.event);
  }
  return all;
}

}  // namespace

TEST_CASE("subscribers that come while the upstream is being asked share its one answer") {
  ProxyFixture proxy(public_route());
  auto first = proxy.get_stream("/events/a");
  auto* upstream = proxy.origin.next();
  auto second = proxy.get_stream("/events/a");
  auto third = proxy.resume("/events/a", "no-such-id");
  proxy.settle();
  CHECK(proxy.origin.requests() == 1);
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(first.await_events(1));
  REQUIRE(second.await_events(1));
  REQUIRE(third.await_events(2));
  CHECK(proxy.origin.requests() == 1);
  CHECK(first.content() == second.content());
}

TEST_CASE("the upstream request is a GET of the target, without conditions, ranges, codings or connection fields") {
  ProxyFixture proxy(public_route());
  auto client =
      proxy.get_stream("/events/a?q=1",
                       "X-Extra: 1\r\nRange: bytes=0-\r\nIf-None-Match: \"a\"\r\nIf-Modified-Since: x\r\n"
                       "Accept-Encoding: gzip\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\n");
  auto* upstream = proxy.origin.next();
  const auto& request = upstream->request;
  CHECK(request.line() == "GET /events/a?q=1 HTTP/1.1");
  CHECK(request.field("Host") == "example.test");
  CHECK(request.field("Accept") == "text/event-stream");
  CHECK(request.field("X-Extra") == "1");
  CHECK(request.field("X-Forwarded-For") == "127.0.0.1");
  CHECK(request.field("X-Forwarded-Proto") == "http");
  for (const auto* name : {"Range", "If-None-Match", "If-Modified-Since", "Accept-Encoding", "X-Hop", "TE"}) {
    INFO(name);
    CHECK(request.count(name) == 0);
  }
}

TEST_CASE("identity fields go upstream only where the key or authorize tells identities apart") {
  auto route = public_route();
  bool goes = false;
  SUBCASE("neither") {}
  SUBCASE("the key") {
    route.key.push_back({relay::KeyPart::Kind::Identity, ""});
    goes = true;
  }
  SUBCASE("probe") {
    route.authorize.kind = relay::Authorize::Kind::Probe;
    goes = true;
  }
  ProxyFixture proxy(route);
  auto client = proxy.get_stream("/events/a", "Authorization: Bearer a\r\nCookie: sid=1\r\n");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.count("Authorization") == (goes ? 1 : 0));
  CHECK(upstream->request.count("Cookie") == (goes ? 1 : 0));
}

TEST_CASE("upstream_fields are sent always, in the place of a client's of the same name") {
  auto route = public_route();
  route.upstream_fields = {{"Authorization", "Bearer ours"}, {"X-Tenant", "7"}};
  ProxyFixture proxy(route);
  auto client = proxy.get_stream("/events/a", "Authorization: Bearer a\r\nX-Tenant: 8\r\n");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.count("Authorization") == 1);
  CHECK(upstream->request.field("Authorization") == "Bearer ours");
  CHECK(upstream->request.count("X-Tenant") == 1);
  CHECK(upstream->request.field("X-Tenant") == "7");
}

TEST_CASE("however the upstream's response ends, the proxy connects again and the subscribers stay") {
  SharedStory story(public_route());
  story.upstream->chunk("id: o1\ndata: one\n\n");
  REQUIRE(story.first.await_events(1));
  SUBCASE("cleanly") { story.upstream->end_stream(); }
  SUBCASE("in the middle") { story.upstream->close(); }
  SUBCASE("by a reset") { story.upstream->reset(); }
  story.upstream = story.proxy.origin.next();
  CHECK(story.upstream->request.field("Last-Event-ID") == "o1");
  story.upstream->begin_stream();
  story.upstream->chunk("data: two\n\n");
  REQUIRE(story.first.await_content("data: two\n\n"));
  CHECK(kinds(story.first) == Strings{"one", "sync-required", "two"});
  CHECK_FALSE(story.first.has_ended());
}

TEST_CASE("an upstream gap is an entry of the log, before the first event of the new connection") {
  SharedStory story(public_route());
  story.say("one");
  story.reconnect();
  story.upstream->begin_stream();
  story.proxy.settle();
  CHECK(kinds(story.first) == Strings{"one"});  // Not before there is an event.
  story.say("two");
  const auto told = story.first.events().at(1);
  REQUIRE(says(told, "upstream-gap"));
  CHECK(told.data.find("\"requested\":null") != std::string::npos);
  CHECK(number_of(told.id) == number_of(story.id_of("one")) + 1);
  CHECK(number_of(story.id_of("two")) == number_of(told.id) + 1);
  // Everyone who reads across that place gets the same bytes.
  auto again = story.join_after(story.id_of("one"));
  REQUIRE(again.await_events(2));
  CHECK(again.events().at(0).block.ends_with(told.block));
}

TEST_CASE("no gap is told before the first event of a log") {
  SharedStory story(public_route());
  story.reconnect();
  story.upstream->begin_stream();
  story.say("one");
  CHECK(kinds(story.first) == Strings{"one"});
}

TEST_CASE("on_upstream_gap: none tells none") {
  auto route = public_route();
  route.on_upstream_gap = relay::OnUpstreamGap::None;
  SharedStory story(route);
  story.say("one");
  story.reconnect();
  story.upstream->begin_stream();
  story.say("two");
  CHECK(kinds(story.first) == Strings{"one", "two"});
}

TEST_CASE("a refused, failing or odd reconnect is tried again, and the subscribers stay") {
  auto route = public_route();
  SharedStory story(route);
  story.say("one");
  story.reconnect();
  for (const int status : {500, 503, 302, 200}) {
    INFO(status);
    story.upstream->answer("no stream", status, "Content-Type: text/plain\r\n");
    story.upstream = story.proxy.origin.next();
  }
  story.upstream->send("this is no HTTP\r\n\r\n");
  story.upstream = story.proxy.origin.next();
  story.upstream->close();
  story.upstream = story.proxy.origin.next();
  story.upstream->begin_stream();
  story.say("two");
  CHECK_FALSE(story.first.has_ended());
}

TEST_CASE("an upstream that cannot be reached is tried again until it can") {
  SharedStory story(public_route());
  story.say("one");
  story.proxy.origin.stop_listening();
  story.upstream->close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.logger.count("no connection to the upstream") >= 2; }));
  story.proxy.origin.listen_again();
  story.upstream = story.proxy.origin.next();
  story.upstream->begin_stream();
  story.say("two");
  CHECK_FALSE(story.first.has_ended());
}

TEST_CASE("upstream_idle: a silent upstream is dropped and asked again") {
  auto route = public_route();
  route.upstream_idle = Millis(50);
  SharedStory story(route);
  auto* silent = story.upstream;
  story.upstream = story.proxy.origin.next();
  CHECK(silent->await_gone());
  story.upstream->begin_stream();
  story.say("one");
}

TEST_CASE("linger keeps the upstream after the last subscriber, then lets it go, retain keeps the log") {
  auto route = public_route();
  route.linger = Millis(60);
  route.retain = Millis(400);
  SharedStory story(route);
  story.say("one");
  const auto id = story.id_of("one");
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 0; }));
  // Still read while it lingers.
  story.upstream->chunk("data: two\n\n");
  REQUIRE(story.proxy.run_until([&] { return story.proxy.counters("shared").events_emitted == 2; }));
  REQUIRE(story.upstream->await_gone());
  // Its coming opens the upstream again: the log is replayed at once, the gap is told at that connect.
  auto again = story.proxy.resume("/events/a", id);
  REQUIRE(again.await_events(1));
  CHECK(again.data().at(0) == "two");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(again.await_events(2));
  CHECK(says(again.events().at(1), "upstream-gap"));
  again.close();
  REQUIRE(upstream->await_gone());
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
}

TEST_CASE("one without a resume point that opens the upstream again begins at the gap's id") {
  auto route = public_route();
  route.linger = Millis(1);
  SharedStory story(route);
  story.say("one");
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  auto again = story.proxy.get_stream("/events/a", "Cache-Control: no-cache\r\n");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(again.await_content("\n\n"));
  upstream->chunk("data: two\n\n");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"two"});
  const auto primed = again.events().at(0).id;
  CHECK(number_of(again.last_id()) == number_of(primed) + 1);
}

TEST_CASE("a subscriber that comes back within the linger finds the same upstream and no gap") {
  SharedStory story(public_route());
  story.say("one");
  const auto id = story.id_of("one");
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 0; }));
  story.upstream->chunk("data: two\n\n");
  story.first = story.proxy.resume("/events/a", id);
  REQUIRE(story.first.await_events(1));
  CHECK(story.first.data() == Strings{"two"});
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("one who leaves before the upstream has answered leaves nothing behind") {
  auto route = public_route();
  route.linger = Millis(1);
  route.retain = Millis(200);
  SharedStory story(route);
  story.say("one");
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  // It would begin live, so it waits for the upstream, which says nothing.
  auto waiting = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  waiting.close();
  CHECK(upstream->await_gone());
  CHECK(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
}

TEST_CASE("one who leaves while its Origin is asked about passes that on at once, too") {
  auto route = public_route();
  route.linger = Millis(0);
  SharedStory story(route);
  auto second = story.proxy.get_stream("/events/a", "Origin: https://b.test\r\n");
  auto* question = story.proxy.origin.next();
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  second.close();
  CHECK(question->await_gone());
}

TEST_CASE("linger: 0 passes the last one's leaving on at once") {
  auto route = public_route();
  route.linger = Millis(0);
  SharedStory story(route);
  auto second = story.join();
  story.first.close();
  story.proxy.settle();
  CHECK_FALSE(story.upstream->is_gone());
  second.close();
  CHECK(story.upstream->await_gone());
}

TEST_CASE("an eager channel connects before anyone comes, and is kept") {
  auto route = public_route("/events/**");
  route.eager = {"/events/a?x=1"};
  route.linger = Millis(1);
  ProxyFixture proxy(route);
  proxy.worker().start_eager();
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.target() == "/events/a?x=1");
  CHECK(upstream->request.field("Host") == "127.0.0.1:" + std::to_string(proxy.origin.port()));
  // Refusals do not end it.
  upstream->answer("no", 404);
  upstream = proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(proxy.run_until([&] { return proxy.counters("shared").events_emitted == 1; }));
  auto client = proxy.get_stream("/events/a?x=1");
  REQUIRE(client.await_head());
  upstream->chunk("data: two\n\n");
  REQUIRE(client.await_events(1));
  CHECK(client.data() == Strings{"two"});
  client.close();
  proxy.settle();
  CHECK_FALSE(upstream->is_gone());
}

TEST_CASE("the first answer that is no event stream is relayed as it is, and leaves no channel") {
  ProxyFixture proxy(public_route());
  for (const int status : {204, 301, 401, 403, 404, 410, 200}) {
    INFO(status);
    auto client = proxy.get_stream("/events/a");
    auto* upstream = proxy.origin.next();
    upstream->answer(status == 204 ? "" : "said so", status, "Content-Type: text/plain\r\nX-Own: 1\r\nETag: \"e\"\r\n");
    REQUIRE(client.await_complete());
    CHECK(client.status() == status);
    CHECK(client.content() == (status == 204 ? "" : "said so"));
    CHECK(client.field("X-Own") == "1");
    CHECK(client.field("ETag") == "\"e\"");
    REQUIRE(proxy.run_until([&] { return proxy.worker().channels().size() == 0; }));
  }
}

TEST_CASE("of several who wait, each gets an answer of its own where it is no event stream") {
  ProxyFixture proxy(public_route());
  auto first = proxy.get_stream("/events/a", "X-Who: 1\r\n");
  auto* upstream = proxy.origin.next();
  auto second = proxy.get_stream("/events/a", "X-Who: 2\r\n");
  proxy.settle();
  upstream->answer("for one", 404);
  REQUIRE(first.await_complete());
  CHECK(first.content() == "for one");
  upstream = proxy.origin.next();
  CHECK(upstream->request.field("X-Who") == "2");
  upstream->answer("for two", 403);
  REQUIRE(second.await_complete());
  CHECK(second.status() == 403);
  CHECK(second.content() == "for two");
}

TEST_CASE("a final answer at a reconnect ends the responses and closes the channel") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two"}) story.say(data);
  story.reconnect();
  story.upstream->answer("gone", 410);
  REQUIRE(story.first.await_complete());
  // While its log is retained, a resume point inside it gets the rest and the end.
  auto inside = story.proxy.resume("/events/a", story.id_of("one"));
  REQUIRE(inside.await_complete());
  CHECK(inside.data() == Strings{"two"});
  CHECK(story.proxy.origin.requests() == 2);
  // Everyone else gets the upstream's own answer.
  auto behind = story.proxy.resume("/events/a", story.id_of("two"));
  story.upstream = story.proxy.origin.next();
  story.upstream->answer("gone for you", 410);
  REQUIRE(behind.await_complete());
  CHECK(behind.status() == 410);
  CHECK(behind.content() == "gone for you");
}

TEST_CASE("after a final answer each other identity's fields are tried once") {
  auto route = public_route();
  route.authorize.kind = relay::Authorize::Kind::Path;
  route.authorize.path = "/auth";
  ProxyFixture proxy(route);
  std::vector<TestClient> clients;
  OriginConnection* upstream = nullptr;
  for (const auto* who : {"a", "b", "c"}) {
    clients.push_back(proxy.get_stream("/events/a", "Authorization: " + std::string(who) + "\r\n"));
    proxy.origin.next()->answer("");
    if (!upstream) {
      upstream = proxy.origin.next();
      upstream->begin_stream();
    }
    REQUIRE(clients.back().await_head());
  }
  CHECK(upstream->request.field("Authorization") == "a");
  upstream->close();
  Strings asked;
  for (int i = 0; i < 3; ++i) {
    upstream = proxy.origin.next();
    asked.push_back(upstream->request.field("Authorization").value_or(""));
    upstream->answer("", 401);
  }
  // The one admitted last first.
  CHECK(asked == Strings{"c", "b", "a"});
  for (auto& client : clients) CHECK(client.await_complete());
}

TEST_CASE("one whose fields are good keeps the channel open for all") {
  auto route = public_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  ProxyFixture proxy(route);
  auto good = proxy.get_stream("/events/a", "Authorization: good\r\n");
  proxy.origin.next()->answer("");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(good.await_head());
  auto bad = proxy.get_stream("/events/a", "Authorization: bad\r\n");
  proxy.origin.next()->answer("");
  REQUIRE(bad.await_head());
  upstream->close();
  upstream = proxy.origin.next();
  CHECK(upstream->request.field("Authorization") == "bad");
  upstream->answer("", 403);
  upstream = proxy.origin.next();
  CHECK(upstream->request.field("Authorization") == "good");
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  CHECK(good.await_events(1));
  CHECK(bad.await_events(1));
}

TEST_CASE("a GET with content and other methods are passed on as they are") {
  ProxyFixture proxy(public_route());
  auto with_content =
      proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\nhi");
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.content == "hi");
  upstream->begin_stream();
  upstream->chunk("id: own\ndata: raw\n\n");
  REQUIRE(with_content.await_content("id: own\ndata: raw\n\n"));
  auto post =
      proxy.request("POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\nhi");
  upstream = proxy.origin.next();
  upstream->answer("posted");
  REQUIRE(post.await_complete());
  CHECK(post.content() == "posted");
}
