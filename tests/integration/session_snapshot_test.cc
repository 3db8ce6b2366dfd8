// on_gap.snapshot on session routes, and that however many ask for one, each credential's are fetched one at a time.
#include <doctest/doctest.h>

#include "support/session_story.h"
#include "support/shared_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route with_snapshot(relay::Route route) {
  route.on_gap.snapshot = "/state";
  return route;
}

}  // namespace

TEST_CASE("a session's gap is told with a snapshot, fetched with the request's own fields after its place was fixed") {
  ProxyFixture proxy(with_snapshot(post_route()));
  Session session(proxy, "data: one\n\n", "Authorization: a\r\n");
  auto again = proxy.resume("/events/a", tag_of(session.id) + "-99", "Authorization: a\r\n");
  auto* asked = proxy.origin.next();
  CHECK(asked->request.line() == "GET /state HTTP/1.1");
  CHECK(asked->request.field("Authorization") == "a");
  session.origin->chunk("data: two\n\n");
  REQUIRE(session.client.await_events(2));
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  REQUIRE(again.await_events(2));
  CHECK(again.field("Ssequel-Resume") == "sync-required; reason=ahead");
  CHECK(again.data() == Strings{"state", "two"});
  CHECK(again.events().front().id == session.id);
}

TEST_CASE("an unknown id by GET gets a fresh answer behind a snapshot, with all of it and its cookies") {
  ProxyFixture proxy(with_snapshot(session_route()));
  auto client = proxy.resume("/events/a", "AAAAAAAAAAAAAAAAAAAAAA-7");
  auto* origin = proxy.origin.next();
  origin->begin_stream("Set-Cookie: a=1\r\n");
  auto* asked = proxy.origin.next();
  CHECK(asked->request.target() == "/state");
  origin->chunk("data: one\n\n");
  origin->end_stream();
  proxy.settle();
  CHECK_FALSE(client.response().has_head);
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.data() == Strings{"state", "one"});
  CHECK(client.field("Set-Cookie") == "a=1");
}

TEST_CASE("a session whose snapshot's waiter leaves is let go like any other, and one that is gone is told so") {
  auto route = with_snapshot(session_route());
  route.linger = 0ms;
  ProxyFixture proxy(route);
  auto client = proxy.resume("/events/a", "AAAAAAAAAAAAAAAAAAAAAA-7");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  auto* asked = proxy.origin.next();
  SUBCASE("it leaves") {
    client.close();
    CHECK(asked->await_gone());
    CHECK(origin->await_gone());
  }
  SUBCASE("its session is closed") {
    REQUIRE(proxy.worker().channels().free_connection());
    asked->answer("state", 200, "Content-Type: text/plain\r\n");
    REQUIRE(client.await_broken());
    CHECK(client.content().starts_with("retry: "));
  }
}

TEST_CASE("a hundred with one credential fetch two snapshots, one after the other, each with another one its own") {
  SharedStory story(with_snapshot(public_route()));
  story.say("one");
  auto first = story.proxy.resume("/events/a", "none", "Authorization: a\r\n");
  auto* asked = story.proxy.origin.next();
  std::vector<TestClient> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(story.proxy.resume("/events/a", "none", "Authorization: a\r\n"));
  auto other = story.proxy.resume("/events/a", "none", "Authorization: b\r\n");
  auto* for_other = story.proxy.origin.next();
  CHECK(for_other->request.field("Authorization") == "b");
  story.proxy.settle();
  const auto before = story.proxy.origin.requests();
  // What was asked for before their places were fixed may lack what is behind them.
  asked->answer("old", 200, "Content-Type: text/plain\r\n");
  REQUIRE(first.await_events(1));
  CHECK(first.data() == Strings{"old"});
  auto* again = story.proxy.origin.next();
  CHECK(again->request.field("Authorization") == "a");
  for (auto& client : crowd) CHECK_FALSE(client.response().has_head);
  again->answer("new", 200, "Content-Type: text/plain\r\n");
  for (auto& client : crowd) {
    REQUIRE(client.await_events(1));
    CHECK(client.data() == Strings{"new"});
  }
  for_other->answer("theirs", 200, "Content-Type: text/plain\r\n");
  REQUIRE(other.await_events(1));
  CHECK(other.data() == Strings{"theirs"});
  CHECK(story.proxy.origin.requests() == before + 1);
}

TEST_CASE("nobody is given a snapshot that was fetched with another one's credential, whatever counts as identity") {
  auto route = with_snapshot(public_route());
  route.identity.fields = {};
  SharedStory story(route);
  story.say("one");
  auto first = story.proxy.resume("/events/a", "none", "Cookie: sid=a\r\n");
  auto* asked = story.proxy.origin.next();
  story.proxy.settle();
  auto second = story.proxy.resume("/events/a", "none", "Cookie: sid=b\r\n");
  auto* other = story.proxy.origin.next();
  CHECK(other->request.field("Cookie") == "sid=b");
  asked->answer("a's", 200, "Content-Type: text/plain\r\n");
  other->answer("b's", 200, "Content-Type: text/plain\r\n");
  REQUIRE(first.await_events(1));
  REQUIRE(second.await_events(1));
  CHECK(first.data() == Strings{"a's"});
  CHECK(second.data() == Strings{"b's"});
}

TEST_CASE("a snapshot that fails is told to all who wait for one, and not tried for each of them") {
  SharedStory story(with_snapshot(public_route()));
  story.say("one");
  auto first = story.proxy.resume("/events/a", "none");
  auto* asked = story.proxy.origin.next();
  std::vector<TestClient> crowd;
  for (int i = 0; i < 20; ++i) crowd.push_back(story.proxy.resume("/events/a", "none"));
  story.proxy.settle();
  asked->answer("", 500);
  for (auto& client : crowd) {
    REQUIRE(client.await_events(1));
    CHECK(client.data().front().find("\"error\"") != std::string::npos);
  }
  CHECK(story.proxy.origin.requests() == 2);
}
