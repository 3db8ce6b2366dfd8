// What a client's leaving means: linger at its ends, and clients that close one half of their connection only.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route lingering(Millis linger) {
  auto route = post_route();
  route.linger = linger;
  return route;
}

}  // namespace

TEST_CASE("linger 0: a client that only closed its sending side is still there, and gets the whole answer") {
  for (const bool is_post : {false, true}) {
    ProxyFixture proxy(lingering(0ms));
    Session session(proxy, is_post ? proxy.request(post("/events/a", "x")) : proxy.get_stream("/events/a"));
    session.client.socket.finish_sending();
    // Longer than it takes to tell it from one that is gone.
    static_cast<void>(proxy.run_until([] { return false; }, 500ms));
    CHECK_FALSE(session.origin->is_gone());
    session.origin->chunk("data: two\n\n");
    session.origin->end_stream();
    REQUIRE(session.client.await_complete());
    CHECK(session.client.data() == Strings{"one", "two"});
  }
}

TEST_CASE("linger 0: a client that is gone is gone at once, by FIN or RST, though its stream is silent") {
  for (const bool by_reset : {false, true}) {
    ProxyFixture proxy(lingering(0ms));
    Session session(proxy);
    const auto before = std::chrono::steady_clock::now();
    if (by_reset) {
      session.client.reset();
    } else {
      session.client.close();
    }
    REQUIRE(session.origin->await_gone());
    CHECK(std::chrono::steady_clock::now() - before < 5s);
    CHECK(proxy.counters("session").orphaned_events == 0);
  }
}

TEST_CASE("linger 0: one that leaves before the answer's head cancels its request, and nothing is kept of it") {
  ProxyFixture proxy(lingering(0ms));
  auto client = proxy.request(post("/events/a", "x"));
  auto* origin = proxy.origin.next();
  client.close();
  CHECK(origin->await_gone());
  CHECK(proxy.worker().channels().size() == 0);
}

TEST_CASE("linger 0 counts readers, not requests: as long as one of them reads, the upstream goes on") {
  ProxyFixture proxy(lingering(0ms));
  Session session(proxy);
  auto second = proxy.resume("/events/a", session.id);
  REQUIRE(second.await_head());
  session.client.close();
  REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 1; }));
  proxy.settle();
  CHECK_FALSE(session.origin->is_gone());
  second.close();
  REQUIRE(session.origin->await_gone());
}

TEST_CASE("linger forever: the answer is read to its end though nobody is there, and replayed whole") {
  ProxyFixture proxy(lingering(relay::kForever));
  Session session(proxy, proxy.request(post("/events/a", "x")));
  session.drop(proxy);
  session.origin->chunk("data: two\n\n");
  session.origin->end_stream();
  proxy.settle();
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_complete());
  CHECK(again.data() == Strings{"two"});
}

TEST_CASE("one that closes its sending side in the middle of its upload has cut its request short") {
  ProxyFixture proxy(post_route());
  auto client = proxy.request(
      "POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\none\r\n");
  auto* origin = proxy.origin.next_head();
  origin->begin_stream();
  origin->chunk("data: 1\n\n");
  REQUIRE(client.await_events(1));
  client.socket.finish_sending();
  REQUIRE(client.await_end());
  REQUIRE(origin->await_gone());
}

TEST_CASE("at_end upstream asks by GET only: anything else would be done twice, and gets 204") {
  auto route = post_route();
  route.at_end = relay::AtEnd::Upstream;
  ProxyFixture proxy(route);
  Session session(proxy, proxy.request(post("/events/a", "x")));
  session.origin->end_stream();
  REQUIRE(session.client.await_complete());
  auto by_post = proxy.request(post("/events/a", "x", last_event_id(session.id)));
  REQUIRE(by_post.await_complete());
  CHECK(by_post.status() == 204);
  CHECK(proxy.origin.requests() == 1);
  auto by_get = proxy.resume("/events/a", session.id);
  auto* origin = proxy.origin.next();
  CHECK(origin->request.method() == "GET");
  origin->begin_stream();
  origin->chunk("data: two\n\n");
  REQUIRE(by_get.await_events(1));
  CHECK(by_get.last_id() == tag_of(session.id) + "-2");
}

TEST_CASE("what is no event stream on a session route is relayed as it is, to whoever asks") {
  ProxyFixture proxy(post_route());
  struct Answer {
    int status;
    std::string fields;
  };
  for (const auto& [status, fields] :
       {Answer{200, "Content-Type: application/json\r\nX-Request-Id: 1\r\nSet-Cookie: a=1\r\n"},
        Answer{401, "WWW-Authenticate: Bearer\r\n"},
        Answer{429, "Retry-After: 7\r\nContent-Type: application/json\r\n"}, Answer{503, "Retry-After: 3\r\n"},
        Answer{204, ""}}) {
    CAPTURE(status);
    auto client = proxy.request(post("/events/a", "{\"stream\":false}"));
    auto* origin = proxy.origin.next();
    if (status == 204) {
      origin->send("HTTP/1.1 204 No Content\r\n\r\n");
    } else {
      origin->answer("{\"a\":1}", status, fields);
    }
    REQUIRE(client.await_complete());
    CHECK(client.status() == status);
    CHECK(client.content() == (status == 204 ? "" : "{\"a\":1}"));
    CHECK(client.response().head.find(fields) != std::string::npos);
    CHECK_FALSE(client.field("Ssequel-Resume"));
  }
  CHECK(proxy.worker().channels().size() == 0);
}
