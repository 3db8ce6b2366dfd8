// Draining where sessions are: what GET opened is sent elsewhere, what POST opened and what is in flight may finish.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;
using gateway::DrainPhase;

TEST_CASE("a session that GET opened gets a retry line and is broken off, never ended cleanly") {
  ProxyFixture proxy(post_route());
  Session session(proxy, "data: one\n\n", "Cache-Control: no-cache\r\n");
  proxy.worker().set_drain(DrainPhase::Announced);
  proxy.settle();
  CHECK_FALSE(session.client.has_ended());
  proxy.worker().set_drain(DrainPhase::Ending);
  REQUIRE(session.client.await_broken());
  const auto tail = session.client.content().substr(session.client.content().find("data: one\n\n") + 11);
  CHECK(tail.starts_with("retry: "));
  CHECK(tail.ends_with("\n\n"));
}

TEST_CASE("a POST stream finishes while its upstream still answers, and those that begin then close behind it") {
  ProxyFixture proxy(post_route());
  Session session(proxy, proxy.request(post("/events/a", "prompt")));
  proxy.worker().set_drain(DrainPhase::Ending);
  session.origin->chunk("data: two\n\n");
  REQUIRE(session.client.await_events(2));
  auto late = proxy.request(post("/events/a", "prompt"));
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("data: one\n\n");
  origin->end_stream();
  REQUIRE(late.await_complete());
  CHECK(late.field("Connection") == "close");
  REQUIRE(late.await_end());
  CHECK(proxy.worker().busy_sessions() == 1);
  session.origin->end_stream();
  REQUIRE(session.client.await_complete());
  REQUIRE(session.client.await_end());
  REQUIRE(proxy.run_until([&] { return proxy.worker().busy_sessions() == 0; }));
}

TEST_CASE("a GET for an event stream that comes while draining gets a retry and is broken off") {
  ProxyFixture proxy(session_route());
  proxy.worker().set_drain(DrainPhase::Ending);
  auto client = proxy.get_stream("/events/a");
  REQUIRE(client.await_broken());
  CHECK(client.status() == 200);
  CHECK(client.content().starts_with("retry: "));
  CHECK(proxy.origin.requests() == 0);
}

TEST_CASE("a session by GET that its service answers only during the drain is told to go, too") {
  ProxyFixture proxy(post_route());
  auto client = proxy.get_stream("/events/a", "Cache-Control: no-cache\r\n");
  auto* origin = proxy.origin.next();
  proxy.worker().set_drain(DrainPhase::Ending);
  proxy.settle();
  CHECK_FALSE(client.has_ended());  // What the service says is not known yet.
  origin->begin_stream();
  REQUIRE(client.await_broken());
  CHECK(client.content().find("retry: ") != std::string::npos);
  CHECK(client.content().ends_with("\n\n"));
  REQUIRE(proxy.run_until([&] { return proxy.worker().busy_sessions() == 0; }));
}

TEST_CASE("a POST stream that its service answers only during the drain may finish") {
  ProxyFixture proxy(post_route());
  auto client = proxy.request(post("/events/a", "prompt"));
  auto* origin = proxy.origin.next();
  proxy.worker().set_drain(DrainPhase::Ending);
  proxy.settle();
  origin->begin_stream();
  origin->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  proxy.settle();
  CHECK_FALSE(client.has_ended());
  origin->chunk("data: two\n\n");
  origin->end_stream();
  REQUIRE(client.await_complete());
}

TEST_CASE("requests in flight finish with Connection: close, idle connections close at once, tunnels stay") {
  ProxyFixture proxy;
  auto idle = proxy.request("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.origin.next()->answer("one");
  REQUIRE(idle.await_complete());
  auto busy = proxy.request("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  auto tunnel = proxy.request("GET /3 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  auto* other = proxy.origin.next();
  other->send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  REQUIRE(tunnel.await_complete());
  proxy.worker().set_drain(DrainPhase::Ending);
  REQUIRE(idle.await_end());
  origin->answer("two");
  REQUIRE(busy.await_complete());
  CHECK(busy.field("Connection") == "close");
  REQUIRE(busy.await_end());
  CHECK(proxy.worker().busy_sessions() == 1);
  other->send("still");
  REQUIRE(proxy.run_until([&] { return tunnel.rest() == "still"; }));
}

TEST_CASE("log lines show paths, statuses and causes, and nothing that is secret or foreign") {
  ProxyFixture proxy(session_route());
  const std::string secrets = "Authorization: Bearer topsecret\r\nCookie: sid=topsecret\r\nX-Api-Key: topsecret\r\n";
  Session session(proxy, "id: topsecret\ndata: topsecret\n\n", secrets, "/events/a?token=topsecret");
  auto again = proxy.resume("/events/a?token=topsecret", session.id, secrets);
  REQUIRE(again.await_head());
  auto unknown = proxy.resume("/events/a?token=topsecret", session.id, "Cookie: sid=topsecret2\r\n");
  proxy.origin.next()->answer("topsecret", 503, "X-A: topsecret\r\n");
  REQUIRE(unknown.await_end());
  auto foreign = proxy.resume("/events/a", "topsecret");
  proxy.origin.next()->close();
  REQUIRE(foreign.await_end());
  auto plain = proxy.request("GET /plain?topsecret HTTP/1.1\r\nHost: topsecret\r\n\r\n");
  proxy.origin.next()->close();
  REQUIRE(plain.await_complete());
  auto malformed = proxy.request("GET /topsecret HTTP/1.1\r\ntopsecret\r\n\r\n");
  REQUIRE(malformed.await_end());
  CHECK(proxy.logger.count("topsecret") == 0);
  CHECK(proxy.logger.count(session.id.substr(0, 22)) == 0);
  CHECK(proxy.logger.count("path=/events/a status=200") == 4);
  CHECK(proxy.logger.count("path=/plain status=502") == 1);
}
