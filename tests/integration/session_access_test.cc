// A replay is an access: on a session route that asks, a known id is admitted by the upstream first. And requests whose
// answer is an event stream before their content has ended.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route asking(relay::Authorize::Kind kind) {
  auto route = post_route();
  route.authorize.kind = kind;
  route.authorize.path = "/auth";
  route.authorize_cache = 0ms;
  return route;
}

std::string chunked_post(std::string_view first) {
  return std::string(
             "POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
      .append(first);
}

}  // namespace

TEST_CASE("a resume waits for the upstream's word, and is replayed to when it is admitted") {
  for (const auto kind : {relay::Authorize::Kind::Probe, relay::Authorize::Kind::Path}) {
    ProxyFixture proxy(asking(kind));
    Session session(proxy, "data: one\n\ndata: two\n\n", "Authorization: b\r\n");
    auto again = proxy.resume("/events/a?x", tag_of(session.id) + "-1", "Authorization: b\r\n");
    auto* origin = proxy.origin.next();
    CHECK(origin->request.field("Authorization") == "b");
    CHECK_FALSE(origin->request.field("Last-Event-ID"));
    if (kind == relay::Authorize::Kind::Path) {
      CHECK(origin->request.target() == "/auth");
      CHECK(origin->request.field("X-Original-URI") == "/events/a?x");
      CHECK(origin->request.field("X-Original-Method") == "GET");
    } else {
      CHECK(origin->request.line() == "GET /events/a?x HTTP/1.1");
    }
    proxy.settle();
    CHECK_FALSE(again.response().has_head);
    if (kind == relay::Authorize::Kind::Path) {
      origin->answer("", 200);
    } else {
      origin->begin_stream();
    }
    REQUIRE(again.await_events(1));
    CHECK(again.data() == Strings{"two"});
  }
}

TEST_CASE("a session's id that comes with another identity is one mismatch, wherever an authoriser is asked") {
  ProxyFixture proxy(asking(relay::Authorize::Kind::Path));
  Session session(proxy, "data: one\n\ndata: two\n\n", "Authorization: b\r\n");
  auto other = proxy.resume("/events/a", tag_of(session.id) + "-1", "Authorization: c\r\n");
  proxy.origin.next()->begin_stream();  // Nothing is known of it: no question, a fresh answer.
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "sync-required; reason=unknown");
  const auto& mismatches = proxy.counters("session").mismatches;
  CHECK(mismatches[static_cast<std::size_t>(relay::Mismatch::Identity)] == 1);
  CHECK(mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)] == 0);
}

TEST_CASE("a refusal is relayed with its fields and nothing is replayed") {
  ProxyFixture proxy(asking(relay::Authorize::Kind::Path));
  Session session(proxy, "data: one\n\ndata: two\n\n");
  for (const int status : {401, 302, 403}) {
    auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
    proxy.origin.next()->answer("secret", status, "WWW-Authenticate: Basic\r\nLocation: /login\r\nSet-Cookie: a=1\r\n");
    REQUIRE(again.await_complete());
    CHECK(again.status() == status);
    CHECK(again.field("WWW-Authenticate") == "Basic");
    CHECK(again.field("Location") == "/login");
    CHECK(again.content().find("two") == std::string::npos);
  }
}

TEST_CASE("without a verdict an EventSource is told to come back, a POST gets 503, and nothing is replayed") {
  ProxyFixture proxy(asking(relay::Authorize::Kind::Path));
  Session session(proxy, proxy.request(post("/events/a", "x")), "data: one\n\ndata: two\n\n");
  const auto id = tag_of(session.id) + "-1";
  auto stream = proxy.resume("/events/a", id);
  proxy.origin.next()->answer("", 500);
  REQUIRE(stream.await_broken());
  CHECK(stream.status() == 200);
  CHECK(stream.content().starts_with("retry: "));
  CHECK(stream.events().empty());
  auto by_post = proxy.request(post("/events/a", std::string(1000, 'x'), last_event_id(id)));
  proxy.origin.next()->close();
  REQUIRE(by_post.await_complete());
  CHECK(by_post.status() == 503);
  CHECK_FALSE(by_post.has_ended());
}

TEST_CASE("content that came while the upstream was asked goes along when it is asked for more") {
  ProxyFixture proxy(asking(relay::Authorize::Kind::Path));
  Session session(proxy);
  session.origin->end_stream();
  REQUIRE(session.client.await_complete());
  auto again = proxy.request("GET /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\n" +
                             last_event_id(session.id) + "Content-Length: 5\r\n\r\nquery");
  auto* auth = proxy.origin.next();
  proxy.settle();
  auth->answer("", 204);
  auto* origin = proxy.origin.next();
  CHECK(origin->request.content == "query");
  origin->begin_stream();
  origin->chunk("data: two\n\n");
  REQUIRE(again.await_events(1));
  CHECK(again.events()[0].id == tag_of(session.id) + "-2");
}

TEST_CASE("a stream that begins before its request's content has ended gets ids, and the content goes on") {
  ProxyFixture proxy(post_route());
  auto client = proxy.request(chunked_post("3\r\none\r\n"));
  auto* origin = proxy.origin.next_head();
  origin->begin_stream();
  origin->chunk("data: 1\n\n");
  REQUIRE(client.await_events(1));
  CHECK(client.last_id().size() == 24);
  client.send("3\r\ntwo\r\n");
  REQUIRE(origin->await_rest("two"));
  origin->chunk("data: 2\n\n");
  REQUIRE(client.await_events(2));
  client.send("0\r\nX-Sum: 1\r\n\r\n");
  REQUIRE(origin->await_rest("0\r\nX-Sum: 1\r\n\r\n"));
  const auto id = client.last_id();
  client.close();
  origin->chunk("data: 3\n\n");
  auto again = proxy.resume("/events/a", id);
  REQUIRE(again.await_events(1));
  CHECK(proxy.origin.connections() == 1);
}

TEST_CASE("a client that drops in the middle of its upload has cut its request short: the stream is lost") {
  ProxyFixture proxy(post_route());
  auto client = proxy.request(chunked_post("3\r\none\r\n"));
  auto* origin = proxy.origin.next_head();
  origin->begin_stream();
  origin->chunk("data: 1\n\n");
  REQUIRE(client.await_events(1));
  const auto id = client.last_id();
  client.close();
  REQUIRE(origin->await_gone());
  CHECK(origin->rest().find("0\r\n\r\n") == std::string_view::npos);
  auto again = proxy.resume("/events/a", id);
  REQUIRE(again.await_broken());
  CHECK(again.content().find("upstream-lost") != std::string::npos);
}

TEST_CASE("an upload that the upstream does not read is held back while its stream goes on") {
  ProxyFixture proxy(post_route());
  proxy.origin.set_buffers(256 * 1024);
  const std::string content(32 * 1024 * 1024, 'c');
  auto client = proxy.request(chunked_post("2000000\r\n"));
  auto* origin = proxy.origin.next_head();
  origin->begin_stream();
  origin->chunk("data: 1\n\n");
  REQUIRE(client.await_events(1));
  std::string_view left = content;
  std::size_t before = 0;
  REQUIRE(proxy.run_until([&] {
    before = left.size();
    left.remove_prefix(client.send_some(left));
    static_cast<void>(proxy.run_until([] { return false; }, 50ms));
    return left.size() == before;
  }));
  CHECK(left.size() > content.size() / 2);
  origin->chunk("data: 2\n\n");
  REQUIRE(client.await_events(2));
  REQUIRE(proxy.run_until([&] {
    left.remove_prefix(client.send_some(left));
    return origin->rest().size() >= content.size();
  }));
  client.send("\r\n0\r\n\r\n");
  REQUIRE(proxy.run_until([&] { return origin->rest().ends_with("0\r\n\r\n"); }));
}

TEST_CASE("an identity that differs is logged once a route, with the names of its cookies") {
  ProxyFixture proxy(session_route());
  Session session(proxy, "data: one\n\n", "Cookie: sid=secret; csrf=9; _ga=1\r\n");
  for (int i = 0; i < 3; ++i) {
    auto again =
        proxy.resume("/events/a", session.id, "Cookie: sid=secret; csrf=1" + std::to_string(i) + "; _ga=1\r\n");
    proxy.origin.next()->begin_stream();
    REQUIRE(again.await_head());
  }
  CHECK(proxy.logger.count("set identity.fields or identity.cookies; its cookies: sid, csrf") == 1);
  CHECK(proxy.logger.count("secret") == 0);
}
