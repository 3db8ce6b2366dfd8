// Whose answer of the upstream counts for whom: those who wait together, those who come after a final answer, those who
// find the upstream let go.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using Strings = std::vector<std::string>;

constexpr std::string_view kAlice = "Authorization: Bearer alice\r\n";
constexpr std::string_view kBob = "Authorization: Bearer bob\r\n";

relay::Route probing() {
  auto route = public_route();
  route.authorize.kind = relay::Authorize::Kind::Probe;
  route.authorize_cache = Millis(0);
  return route;
}

// The upstream's stream has ended and the next connect was answered so.
void refuse(SharedStory& story, int status) {
  story.reconnect();
  story.upstream->answer("closed", status);
  REQUIRE(story.first.await_complete());
}

}  // namespace

TEST_CASE("probe: one who waits for the answer to somebody else's fields is asked about itself") {
  ProxyFixture proxy(probing());
  auto alice = proxy.get_stream("/events/a", kAlice);
  auto* upstream = proxy.origin.next();
  auto bob = proxy.resume("/events/a", "1", kBob);
  proxy.settle();
  upstream->begin_stream();
  upstream->chunk("data: secret\n\n");
  REQUIRE(alice.await_events(1));
  auto* probe = proxy.origin.next();
  CHECK(probe->request.field("Authorization") == "Bearer bob");
  CHECK_FALSE(bob.response().has_head);
  probe->answer("", 403);
  REQUIRE(bob.await_complete());
  CHECK(bob.status() == 403);
  CHECK(bob.events().empty());
}

TEST_CASE("an answer that is no event stream is only for the one whose fields asked") {
  ProxyFixture proxy(probing());
  auto alice = proxy.get_stream("/events/a", kAlice);
  auto* upstream = proxy.origin.next();
  auto bob = proxy.get_stream("/events/a", kBob);
  proxy.settle();
  alice.close();
  proxy.settle();
  upstream->answer("alice's own", 302, "Location: /alice\r\n");
  upstream = proxy.origin.next();
  CHECK(upstream->request.field("Authorization") == "Bearer bob");
  CHECK_FALSE(bob.response().has_head);
  upstream->begin_stream();
  REQUIRE(bob.await_head());
  CHECK(bob.status() == 200);
}

TEST_CASE("an error shown as it is, is only for the one whose fields asked, too") {
  auto route = probing();
  route.match.accept = relay::Accept::Any;
  ProxyFixture proxy(route);
  const auto get = [&](std::string_view fields) {
    return proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
  };
  auto alice = get(kAlice);
  auto* upstream = proxy.origin.next();
  auto bob = get(kBob);
  proxy.settle();
  upstream->answer("alice's own", 500);
  REQUIRE(alice.await_complete());
  CHECK(alice.content() == "alice's own");
  REQUIRE(bob.await_complete());
  CHECK(bob.status() == 500);
  CHECK(bob.content() != "alice's own");
}

TEST_CASE("probe: a closed channel's log is not replayed without a verdict either") {
  SharedStory story(probing(), kAlice);
  for (const auto* data : {"one", "two"}) story.say(data);
  const auto id = story.id_of("one");
  refuse(story, 410);
  auto bob = story.proxy.resume("/events/a", id, kBob);
  auto* probe = story.proxy.origin.next();
  CHECK_FALSE(bob.response().has_head);
  CHECK(probe->request.field("Authorization") == "Bearer bob");
  SUBCASE("refused") {
    probe->answer("", 403);
    REQUIRE(bob.await_complete());
    CHECK(bob.status() == 403);
    CHECK(bob.events().empty());
  }
  SUBCASE("admitted") {
    probe->begin_stream();
    REQUIRE(bob.await_complete());
    CHECK(bob.data() == Strings{"two"});
  }
}

TEST_CASE("while a closed channel is retained, its log is there whoever asks the upstream meanwhile") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two"}) story.say(data);
  refuse(story, 410);
  for (const auto* id : {"", "no-such-id"}) {
    INFO(id);
    auto fresh = story.proxy.resume("/events/a", id);
    story.proxy.origin.next()->answer("own answer", 404);
    REQUIRE(fresh.await_complete());
    CHECK(fresh.status() == 404);
    CHECK(fresh.content() == "own answer");
  }
  auto inside = story.proxy.resume("/events/a", story.id_of("one"));
  REQUIRE(inside.await_complete());
  CHECK(inside.data() == Strings{"two"});
  CHECK(story.proxy.origin.requests() == 4);
}

TEST_CASE("after a final answer, each of several newcomers gets the upstream's own answer, and one inside the rest") {
  SharedStory story(public_route());
  for (const auto* data : {"one", "two"}) story.say(data);
  refuse(story, 410);
  auto first = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  auto second = story.proxy.get_stream("/events/a");
  auto inside = story.proxy.resume("/events/a", story.id_of("one"));
  REQUIRE(inside.await_complete());
  CHECK(inside.data() == Strings{"two"});
  upstream->answer("one's", 404);
  REQUIRE(first.await_complete());
  CHECK(first.content() == "one's");
  story.proxy.origin.next()->answer("two's", 403);
  REQUIRE(second.await_complete());
  CHECK(second.status() == 403);
  CHECK(second.content() == "two's");
}

TEST_CASE("where the upstream streams again after a final answer, a newcomer gets that stream") {
  SharedStory story(public_route());
  story.say("one");
  refuse(story, 404);
  auto fresh = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  REQUIRE(fresh.await_head());
  upstream->chunk("data: two\n\n");
  REQUIRE(fresh.await_events(1));
  CHECK(fresh.data() == Strings{"two"});
  auto again = story.proxy.get_stream("/events/a");
  REQUIRE(again.await_head());
  upstream->chunk("data: three\n\n");
  CHECK(again.await_content("data: three\n"));
  CHECK(fresh.await_content("data: three\n"));
}

TEST_CASE("auto: an upstream that was let go is opened with the own fields before anything is replayed") {
  auto route = shared_route();
  route.linger = Millis(1);
  SharedStory story(route, kAlice);
  for (const auto* data : {"one", "two"}) story.say(data);
  const auto id = story.id_of("one");
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  auto again = story.proxy.resume("/events/a", id, kAlice);
  auto* upstream = story.proxy.origin.next();
  story.proxy.settle();
  CHECK_FALSE(again.response().has_head);
  SUBCASE("a 200 lets it in") {
    upstream->begin_stream();
    REQUIRE(again.await_events(2));
    CHECK(again.data().at(0) == "two");
    CHECK(says(again.events().at(1), "upstream-gap"));
  }
  SUBCASE("a refusal is passed on") {
    upstream->answer("login", 401);
    REQUIRE(again.await_complete());
    CHECK(again.status() == 401);
    CHECK(again.content() == "login");
  }
  SUBCASE("no verdict admits nobody") {
    upstream->close();
    REQUIRE(again.await_complete());
    CHECK(again.status() == 200);
    CHECK(again.events().empty());
  }
}
