// How the upstream's response ended is part of a session's log; what a resume point at the very end gets.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route at_end_route(relay::AtEnd at_end) {
  auto route = post_route();
  route.at_end = at_end;
  return route;
}

// A session whose upstream ended after two events.
struct EndedSession : Session {
  EndedSession(ProxyFixture& proxy, bool is_clean, std::string_view events = "data: one\n\ndata: two\n\n")
      : Session(proxy, events) {
    finish(is_clean);
  }
  EndedSession(ProxyFixture& proxy, TestClient opened, bool is_clean)
      : Session(proxy, std::move(opened), "data: one\n\ndata: two\n\n") {
    finish(is_clean);
  }

 private:
  void finish(bool is_clean) {
    if (is_clean) {
      origin->end_stream();
      REQUIRE(client.await_complete());
    } else {
      origin->close();
      REQUIRE(client.await_broken());
    }
    id = client.last_id();
  }
};

}  // namespace

TEST_CASE("what the upstream ended cleanly ends cleanly, now and in every replay") {
  ProxyFixture proxy(session_route());
  EndedSession session(proxy, true);
  for (int i = 0; i < 2; ++i) {
    auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
    REQUIRE(again.await_complete());
    CHECK(again.data() == Strings{"two"});
    CHECK_FALSE(again.has_ended());  // The connection may be used again.
  }
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("what broke off breaks off, now and in every replay") {
  for (const bool by_reset : {false, true}) {
    ProxyFixture proxy(session_route());
    Session session(proxy, "data: one\n\ndata: two\n\ndata: unfini");
    REQUIRE(session.client.await_events(2));
    if (by_reset) {
      session.origin->reset();
    } else {
      session.origin->close();
    }
    REQUIRE(session.client.await_broken());
    for (int i = 0; i < 2; ++i) {
      auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
      REQUIRE(again.await_broken());
      CHECK(again.data() == Strings{"two"});
    }
  }
}

TEST_CASE("from a close-delimited upstream a FIN is a clean end and a reset a broken one") {
  for (const bool by_reset : {false, true}) {
    ProxyFixture proxy(session_route());
    auto client = proxy.get_stream("/events/a");
    auto* origin = proxy.origin.next();
    origin->send("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
    REQUIRE(client.await_events(1));
    if (by_reset) {
      origin->reset();
      REQUIRE(client.await_broken());
    } else {
      origin->close();
      REQUIRE(client.await_complete());
    }
  }
}

TEST_CASE("a close-delimited client sees a clean end as FIN and a broken one as a reset") {
  for (const bool is_clean : {true, false}) {
    ProxyFixture proxy(session_route());
    auto client = proxy.request("GET /events/a HTTP/1.0\r\nHost: example.test\r\nAccept: text/event-stream\r\n\r\n");
    auto* origin = proxy.origin.next();
    origin->begin_stream();
    origin->chunk("data: one\n\n");
    REQUIRE(client.await_events(1));
    CHECK_FALSE(client.field("Transfer-Encoding"));
    CHECK(client.field("Connection") == "close");
    if (is_clean) {
      origin->end_stream();
    } else {
      origin->close();
    }
    REQUIRE(client.await_end());
    CHECK(client.end() == (is_clean ? RawSocket::End::Eof : RawSocket::End::Reset));
  }
}

TEST_CASE("an end that comes while nobody reads is replayed too") {
  ProxyFixture proxy(session_route());
  Session session(proxy);
  session.drop(proxy);
  session.origin->chunk("data: two\n\n");
  session.origin->end_stream();
  proxy.settle();
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_complete());
  CHECK(again.data() == Strings{"two"});
}

TEST_CASE("at_end upstream asks again with the last origin id, and the channel goes on with the answer") {
  for (const auto at_end : {relay::AtEnd::Upstream, relay::AtEnd::Auto}) {
    ProxyFixture proxy(at_end_route(at_end));
    EndedSession session(proxy, true, "id: a 1\ndata: one\n\ndata: two\n\n");
    auto again = proxy.resume("/events/a?x=1&lastEventId=u", session.id);
    auto* origin = proxy.origin.next();
    CHECK(origin->request.field("Last-Event-ID") == "a 1");
    origin->begin_stream();
    origin->chunk("data: three\n\n");
    REQUIRE(again.await_events(1));
    // After a clean end nothing is told: the service said that was all.
    CHECK(again.data() == Strings{"three"});
    CHECK(again.events()[0].id.starts_with(tag_of(session.id) + "-3"));
    CHECK(again.field("Ssequel-Resume") == "live");
    origin->end_stream();
    REQUIRE(again.await_complete());
    // Somebody who reads across the first end reads through: it ends no response that began before it and went on.
    auto from_first = proxy.resume("/events/a", tag_of(session.id) + "-0");
    REQUIRE(from_first.await_complete());
    CHECK(from_first.data() == Strings{"one", "two"});
    auto behind_end = proxy.resume("/events/a", session.id);
    REQUIRE(behind_end.await_complete());
    CHECK(behind_end.data() == Strings{"three"});
  }
}

TEST_CASE("at_end upstream after an answer that broke off tells the gap, unless on_upstream_gap is none") {
  for (const bool tells : {true, false}) {
    auto route = at_end_route(relay::AtEnd::Auto);
    route.on_upstream_gap = tells ? relay::OnUpstreamGap::Tell : relay::OnUpstreamGap::None;
    ProxyFixture proxy(route);
    EndedSession session(proxy, false);
    auto again = proxy.resume("/events/a", session.id);
    auto* origin = proxy.origin.next();
    CHECK_FALSE(origin->request.field("Last-Event-ID"));
    origin->begin_stream();
    origin->chunk("data: three\n\n");
    REQUIRE(again.await_content("three"));
    const auto events = again.events();
    REQUIRE(events.size() == (tells ? 2 : 1));
    if (tells) {
      CHECK(events[0].event == "sync-required");
      CHECK(events[0].data.find("\"upstream-gap\"") != std::string::npos);
      CHECK(events[0].id == tag_of(session.id) + "-3");
    }
    CHECK(events.back().id == tag_of(session.id) + (tells ? "-4" : "-3"));
  }
}

TEST_CASE("at_end upstream relays an answer of another kind and keeps the log") {
  ProxyFixture proxy(at_end_route(relay::AtEnd::Upstream));
  EndedSession session(proxy, true);
  auto again = proxy.resume("/events/a", session.id);
  proxy.origin.next()->answer("", 204);
  REQUIRE(again.await_complete());
  CHECK(again.status() == 204);
  auto replay = proxy.resume("/events/a", tag_of(session.id) + "-1");
  REQUIRE(replay.await_complete());
  CHECK(replay.data() == Strings{"two"});
}

TEST_CASE("at_end upstream where two come at once asks once, and both go on with the answer from where they were") {
  for (const bool is_clean : {true, false}) {
    ProxyFixture proxy(at_end_route(relay::AtEnd::Upstream));
    EndedSession session(proxy, is_clean);
    auto first = proxy.resume("/events/a", session.id);
    auto* origin = proxy.origin.next();
    auto second = proxy.resume("/events/a", session.id);
    auto third = proxy.resume("/events/a", tag_of(session.id) + "-1");
    proxy.settle();
    CHECK(proxy.origin.requests() == 2);
    CHECK_FALSE(second.response().has_head);
    // Who has something to read does not wait.
    REQUIRE(third.await_events(1));
    origin->begin_stream();
    origin->chunk("data: three\n\n");
    // After an answer that broke off, each of them is told.
    for (auto* client : {&first, &second}) {
      REQUIRE(client->await_content("three"));
      const auto events = client->events();
      REQUIRE(events.size() == (is_clean ? 1 : 2));
      CHECK(events.front().id == tag_of(session.id) + "-3");
      CHECK((events.front().event == "sync-required") == !is_clean);
    }
    origin->end_stream();
    REQUIRE(first.await_complete());
    REQUIRE(second.await_complete());
    CHECK(proxy.origin.requests() == 2);
  }
}

TEST_CASE("at_end upstream where two come at once and the answer is over at once skips nothing") {
  ProxyFixture proxy(at_end_route(relay::AtEnd::Upstream));
  EndedSession session(proxy, true);
  auto first = proxy.resume("/events/a", session.id);
  auto* origin = proxy.origin.next();
  auto second = proxy.resume("/events/a", session.id);
  proxy.settle();
  origin->begin_stream();
  origin->chunk("data: three\n\ndata: four\n\n");
  origin->end_stream();
  for (auto* client : {&first, &second}) {
    REQUIRE(client->await_complete());
    CHECK(client->data() == Strings{"three", "four"});
  }
}

TEST_CASE("at_end upstream where the first has no stream for an answer lets the next one ask") {
  ProxyFixture proxy(at_end_route(relay::AtEnd::Upstream));
  EndedSession session(proxy, true);
  auto first = proxy.resume("/events/a", session.id);
  auto* for_first = proxy.origin.next();
  auto second = proxy.resume("/events/a", session.id);
  auto third = proxy.resume("/events/a", session.id);
  proxy.settle();
  SUBCASE("another kind") {
    for_first->answer("", 204);
    REQUIRE(first.await_complete());
    CHECK(first.status() == 204);
  }
  SUBCASE("trouble") {
    for_first->answer("", 503);
    REQUIRE(first.await_broken());
    CHECK(first.content().find("retry: ") == 0);
  }
  SUBCASE("none") {
    for_first->send("nonsense\r\n\r\n");
    REQUIRE(first.await_broken());
  }
  SUBCASE("it has left") { first.close(); }
  auto* for_second = proxy.origin.next();
  CHECK_FALSE(third.response().has_head);
  for_second->begin_stream();
  for_second->chunk("data: three\n\n");
  for (auto* client : {&second, &third}) {
    REQUIRE(client->await_events(1));
    CHECK(client->last_id() == tag_of(session.id) + "-3");
  }
  CHECK(proxy.origin.requests() == 3);
}

TEST_CASE("at_end upstream whose channel goes while it asks is answered as unknown, unless the id has an origin id") {
  for (const bool has_origin : {false, true}) {
    auto route = at_end_route(relay::AtEnd::Upstream);
    route.retain = Millis(100);
    ProxyFixture proxy(route);
    EndedSession session(proxy, true, has_origin ? "id: a\ndata: one\n\n" : "data: one\n\n");
    auto first = proxy.resume("/events/a", session.id);
    auto* origin = proxy.origin.next();
    auto second = proxy.resume("/events/a", session.id);
    REQUIRE(proxy.run_until([&] { return proxy.worker().channels().size() == 0; }));
    // The second one is no longer bound to the first.
    auto* for_second = proxy.origin.next();
    for (auto* upstream : {origin, for_second}) {
      upstream->begin_stream();
      upstream->chunk("data: fresh\n\n");
    }
    for (auto* client : {&first, &second}) {
      REQUIRE(client->await_content("fresh"));
      CHECK(client->field("Ssequel-Resume") == (has_origin ? "live" : "sync-required; reason=unknown"));
      CHECK(tag_of(client->last_id()) != tag_of(session.id));
    }
  }
}

TEST_CASE("a drain sends on who waits for another one's question at a session's end") {
  ProxyFixture proxy(at_end_route(relay::AtEnd::Upstream));
  EndedSession session(proxy, true);
  auto first = proxy.resume("/events/a", session.id);
  static_cast<void>(proxy.origin.next());
  auto second = proxy.resume("/events/a", session.id);
  proxy.settle();
  proxy.worker().set_drain(gateway::DrainPhase::Ending);
  REQUIRE(second.await_broken());
  CHECK(second.content().find("retry: ") == 0);
}

TEST_CASE("at_end 204 stops an EventSource, and close gives an empty stream") {
  {
    ProxyFixture proxy(at_end_route(relay::AtEnd::NoContent));
    EndedSession session(proxy, true);
    auto again = proxy.resume("/events/a", session.id);
    REQUIRE(again.await_complete());
    CHECK(again.status() == 204);
    CHECK_FALSE(again.field("Content-Length"));
    CHECK(proxy.origin.requests() == 1);
  }
  for (const bool is_clean : {true, false}) {
    ProxyFixture proxy(at_end_route(relay::AtEnd::Close));
    EndedSession session(proxy, is_clean);
    auto again = proxy.resume("/events/a", session.id);
    if (is_clean) {
      REQUIRE(again.await_complete());
    } else {
      REQUIRE(again.await_broken());
    }
    CHECK(again.status() == 200);
    CHECK(again.content().empty());
    CHECK(proxy.origin.requests() == 1);
  }
}

TEST_CASE("at_end auto gives 204 to a session that POST opened") {
  ProxyFixture proxy(post_route());
  EndedSession session(proxy, proxy.request(post("/events/a", "prompt")), true);
  auto by_post = proxy.request(post("/events/a", "prompt", last_event_id(session.id)));
  REQUIRE(by_post.await_complete());
  CHECK(by_post.status() == 204);
  auto by_get = proxy.resume("/events/a", session.id);
  REQUIRE(by_get.await_complete());
  CHECK(by_get.status() == 204);
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a POST whose upstream broke off is never sent again: the rest, upstream-lost, and it breaks off") {
  using relay::AtEnd;
  for (const auto at_end : {AtEnd::Auto, AtEnd::Upstream, AtEnd::NoContent, AtEnd::Close}) {
    ProxyFixture proxy(at_end_route(at_end));
    EndedSession session(proxy, proxy.request(post("/events/a", "prompt")), false);
    for (const auto* number : {"-1", "-2"}) {
      const auto id = tag_of(session.id) + number;
      for (const bool by_get : {false, true}) {
        auto again =
            by_get ? proxy.resume("/events/a", id) : proxy.request(post("/events/a", "prompt", last_event_id(id)));
        REQUIRE(again.await_broken());
        const auto events = again.events();
        REQUIRE(events.size() == (id == session.id ? 1 : 2));
        CHECK(events.back().event == "sync-required");
        CHECK(events.back().data == "{\"reason\":\"upstream-lost\",\"requested\":\"" + id + "\",\"oldest\":\"" +
                                        tag_of(session.id) + "-1\",\"newest\":\"" + session.id + "\"}");
        CHECK(events.back().id == session.id);  // Borrowed: the place does not move.
      }
    }
    CHECK(proxy.origin.requests() == 1);
  }
}

TEST_CASE("who was reading a POST stream when its upstream broke off is broken off as it stands") {
  ProxyFixture proxy(post_route());
  Session session(proxy, proxy.request(post("/events/a", "prompt")));
  session.origin->close();
  REQUIRE(session.client.await_broken());
  CHECK(session.client.data() == Strings{"one"});
}

TEST_CASE("the upstream is kept for linger after the last subscriber, and let go then as one that broke off") {
  auto route = post_route();
  route.linger = 40ms;
  for (const bool by_post : {false, true}) {
    ProxyFixture proxy(route);
    Session session(proxy, by_post ? proxy.request(post("/events/a", "x")) : proxy.get_stream("/events/a"));
    session.drop(proxy);
    session.origin->chunk("data: two\n\n");
    CHECK_FALSE(session.origin->is_gone());
    REQUIRE(session.origin->await_gone());
    auto again = proxy.resume("/events/a", session.id);
    REQUIRE(again.await_broken());
    CHECK(again.data()[0] == "two");
    CHECK(again.data().size() == (by_post ? 2 : 1));
    CHECK((again.content().find("upstream-lost") != std::string::npos) == by_post);
  }
}

TEST_CASE("who comes back within linger stops its clock, and its next leaving starts it anew") {
  auto route = session_route();
  route.linger = 150ms;
  ProxyFixture proxy(route);
  Session session(proxy);
  session.drop(proxy);
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_head());
  static_cast<void>(proxy.run_until([&] { return session.origin->is_gone(); }, 300ms));
  CHECK_FALSE(session.origin->is_gone());
  again.close();
  REQUIRE(session.origin->await_gone());
}

TEST_CASE("linger 0 passes the client's leaving on at once, linger forever never") {
  for (const bool forever : {false, true}) {
    auto route = session_route();
    route.linger = forever ? relay::kForever : 0ms;
    ProxyFixture proxy(route);
    Session session(proxy);
    session.client.close();
    if (!forever) {
      REQUIRE(session.origin->await_gone());
      CHECK(proxy.worker().channels().size() == 1);  // What was received may still be asked for.
      continue;
    }
    proxy.settle();
    CHECK_FALSE(session.origin->is_gone());
  }
}

TEST_CASE("a log is kept for retain after its upstream ended and its last subscriber left, then forgotten") {
  auto route = session_route();
  route.retain = 60ms;
  ProxyFixture proxy(route);
  EndedSession session(proxy, true);
  CHECK(proxy.worker().channels().size() == 1);
  auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
  REQUIRE(again.await_complete());
  REQUIRE(proxy.run_until([&] { return proxy.worker().channels().size() == 0; }));
  auto late = proxy.resume("/events/a", tag_of(session.id) + "-1");
  proxy.origin.next()->begin_stream();
  REQUIRE(late.await_head());
  CHECK(late.field("Ssequel-Resume") == "sync-required; reason=unknown");
}

TEST_CASE("retain does not run while the upstream still answers or somebody reads") {
  auto route = session_route();
  route.retain = 20ms;
  ProxyFixture proxy(route);
  Session session(proxy);
  session.drop(proxy);
  static_cast<void>(proxy.run_until([] { return false; }, 80ms));
  CHECK(proxy.worker().channels().size() == 1);
  session.origin->chunk("data: two\n\n");
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_events(1));
}
