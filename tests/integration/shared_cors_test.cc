// CORS on shared routes (Fetch §3.2): the upstream's fields count for the Origin they were given for; another Origin is
// asked for once; preflights do not know of our ids.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

constexpr std::string_view kPageA = "Origin: https://a.test\r\n";
constexpr std::string_view kPageB = "Origin: https://b.test\r\n";

std::string allowing(std::string_view origin) {
  return "Access-Control-Allow-Origin: " + std::string(origin) + "\r\nAccess-Control-Allow-Credentials: true\r\n";
}

// A channel that page A opened.
struct CorsStory {
  explicit CorsStory(relay::Route route = public_route()) : proxy(std::move(route)) {
    first = proxy.get_stream("/events/a", kPageA);
    upstream = proxy.origin.next();
    CHECK(upstream->request.field("Origin") == "https://a.test");
    upstream->begin_stream(allowing("https://a.test") + "Vary: Origin\r\n");
    REQUIRE(first.await_head());
  }
  ProxyFixture proxy;
  TestClient first{proxy.connect()};
  OriginConnection* upstream = nullptr;
};

}  // namespace

TEST_CASE("the CORS fields count for the Origin they were given for, and Ssequel-Resume is exposed") {
  CorsStory story;
  CHECK(story.first.field("Access-Control-Allow-Origin") == "https://a.test");
  CHECK(story.first.field("Access-Control-Allow-Credentials") == "true");
  CHECK(story.first.field("Access-Control-Expose-Headers") == "Ssequel-Resume");
  auto same = story.proxy.get_stream("/events/a", kPageA);
  REQUIRE(same.await_head());
  CHECK(same.field("Access-Control-Allow-Origin") == "https://a.test");
  auto none = story.proxy.get_stream("/events/a");
  REQUIRE(none.await_head());
  CHECK(none.response().count("Access-Control-Allow-Origin") == 0);
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("another Origin costs one short request to the upstream, and its answer is kept") {
  CorsStory story;
  auto second = story.proxy.get_stream("/events/a", kPageB);
  auto* question = story.proxy.origin.next();
  CHECK(question->request.target() == "/events/a");
  CHECK(question->request.field("Origin") == "https://b.test");
  CHECK_FALSE(second.response().has_head);
  question->begin_stream(allowing("https://b.test") + "Access-Control-Expose-Headers: X-A\r\n");
  REQUIRE(second.await_head());
  CHECK(question->await_gone());
  CHECK(second.field("Access-Control-Allow-Origin") == "https://b.test");
  CHECK(second.field("Access-Control-Expose-Headers") == "X-A, Ssequel-Resume");
  auto third = story.proxy.get_stream("/events/a", kPageB);
  REQUIRE(third.await_head());
  CHECK(third.field("Access-Control-Allow-Origin") == "https://b.test");
  CHECK(story.proxy.origin.requests() == 2);
  // The channel's own connection is untouched.
  story.upstream->chunk("data: one\n\n");
  CHECK(second.await_events(1));
}

TEST_CASE("several of one other Origin at once are one question") {
  CorsStory story;
  auto second = story.proxy.get_stream("/events/a", kPageB);
  auto third = story.proxy.get_stream("/events/a", kPageB);
  auto* question = story.proxy.origin.next();
  story.proxy.settle();
  CHECK(story.proxy.origin.requests() == 2);
  question->begin_stream(allowing("https://b.test"));
  REQUIRE(second.await_head());
  REQUIRE(third.await_head());
  CHECK(third.field("Access-Control-Allow-Origin") == "https://b.test");
}

TEST_CASE("the one who asked for an Origin may leave, and the others of it still get their answer") {
  CorsStory story;
  auto second = story.proxy.get_stream("/events/a", kPageB);
  auto* question = story.proxy.origin.next();
  auto third = story.proxy.get_stream("/events/a", kPageB);
  story.proxy.settle();
  second.close();
  story.proxy.settle();
  if (question->is_gone()) question = story.proxy.origin.next();
  question->begin_stream(allowing("https://b.test"));
  REQUIRE(third.await_head());
  CHECK(third.field("Access-Control-Allow-Origin") == "https://b.test");
}

TEST_CASE("if the channel went while an Origin was asked about, the reader opens the next one") {
  auto route = public_route();
  route.linger = route.retain = Millis(1);
  CorsStory story(route);
  auto second = story.proxy.get_stream("/events/a", kPageB);
  auto* question = story.proxy.origin.next();
  story.first.close();
  // Its question is of no more use: it opens the channel itself.
  auto* upstream = story.proxy.origin.next();
  CHECK(question->await_gone());
  CHECK(upstream->request.field("Origin") == "https://b.test");
  upstream->begin_stream(allowing("https://b.test"));
  REQUIRE(second.await_head());
  CHECK(second.field("Access-Control-Allow-Origin") == "https://b.test");
}

TEST_CASE("an upstream that allows every Origin is not asked again") {
  ProxyFixture proxy(public_route());
  auto first = proxy.get_stream("/events/a", kPageA);
  proxy.origin.next()->begin_stream("Access-Control-Allow-Origin: *\r\n");
  REQUIRE(first.await_head());
  auto second = proxy.get_stream("/events/a", kPageB);
  REQUIRE(second.await_head());
  CHECK(second.field("Access-Control-Allow-Origin") == "*");
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("an Origin that the upstream does not allow gets no CORS fields") {
  CorsStory story;
  auto second = story.proxy.get_stream("/events/a", kPageB);
  story.proxy.origin.next()->begin_stream();
  REQUIRE(second.await_head());
  CHECK(second.response().count("Access-Control-Allow-Origin") == 0);
}

TEST_CASE("while an Origin's answer is missing, the log is not replayed to it") {
  CorsStory story;
  story.upstream->chunk("data: one\n\n");
  REQUIRE(story.first.await_events(1));
  const auto id = story.first.last_id();
  auto second = story.proxy.resume("/events/a", id, kPageB);
  story.proxy.origin.next()->answer("", 503);
  REQUIRE(second.await_complete());
  CHECK(second.status() == 200);
  CHECK(second.content().starts_with("retry: "));
  CHECK(second.events().empty());
  CHECK(second.field("Access-Control-Allow-Origin") == "https://b.test");
}

TEST_CASE("the CORS answers are renewed with the connection") {
  CorsStory story;
  auto second = story.proxy.get_stream("/events/a", kPageB);
  story.proxy.origin.next()->begin_stream(allowing("https://b.test"));
  REQUIRE(second.await_head());
  auto third = story.proxy.get_stream("/events/a", kPageA);
  REQUIRE(third.await_head());
  story.upstream->close();
  story.upstream = story.proxy.origin.next();
  // With the fields of the one admitted last.
  CHECK(story.upstream->request.field("Origin") == "https://a.test");
  story.upstream->begin_stream(allowing("https://a.test"));
  story.upstream->chunk("data: one\n\n");
  REQUIRE(second.await_content("data: one"));
  auto fourth = story.proxy.get_stream("/events/a", kPageB);
  story.proxy.origin.next()->begin_stream();
  REQUIRE(fourth.await_head());
  CHECK(fourth.response().count("Access-Control-Allow-Origin") == 0);
}

TEST_CASE("a preflight goes upstream without last-event-id, and the answer allows it if the rest is allowed") {
  ProxyFixture proxy(public_route());
  const auto preflight = [&](std::string_view requested, std::string_view answer) {
    auto client = proxy.request(
        "OPTIONS /events/a HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n"
        "Access-Control-Request-Headers: " +
        std::string(requested) + "\r\n\r\n");
    auto* upstream = proxy.origin.next();
    std::string asked = upstream->request.method() + " " +
                        upstream->request.field("Access-Control-Request-Headers").value_or("nothing");
    upstream->answer("", 200, answer);
    REQUIRE(client.await_complete());
    return asked + " -> " + client.field("Access-Control-Allow-Headers").value_or("nothing");
  };
  const std::string allowed = "Access-Control-Allow-Origin: https://a.test\r\n";
  CHECK(preflight("last-event-id", allowed) == "OPTIONS nothing -> last-event-id");
  CHECK(preflight("authorization, Last-Event-ID", allowed + "Access-Control-Allow-Headers: Authorization\r\n") ==
        "OPTIONS authorization -> Authorization, last-event-id");
  // What the upstream refuses stays refused.
  CHECK(preflight("authorization,last-event-id", allowed + "Access-Control-Allow-Headers: X-Other\r\n") ==
        "OPTIONS authorization -> X-Other");
  CHECK(preflight("last-event-id", "") == "OPTIONS nothing -> nothing");
  CHECK(preflight("x-a", allowed + "Access-Control-Allow-Headers: x-a\r\n") == "OPTIONS x-a -> x-a");
}

TEST_CASE("a preflight for another path goes upstream as it is") {
  ProxyFixture proxy(public_route());
  auto client = proxy.request(
      "OPTIONS /other HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n"
      "Access-Control-Request-Headers: last-event-id\r\n\r\n");
  CHECK(proxy.origin.next()->request.field("Access-Control-Request-Headers") == "last-event-id");
}

TEST_CASE("an answer for an Origin says that it is for this one, and says it once") {
  ProxyFixture proxy(public_route());
  auto first = proxy.get_stream("/events/a");  // Without an Origin, so without Vary.
  proxy.origin.next()->begin_stream();
  REQUIRE(first.await_head());
  CHECK(first.response().count("Vary") == 0);
  auto second = proxy.get_stream("/events/a", kPageA);
  proxy.origin.next()->begin_stream(allowing("https://a.test"));
  REQUIRE(second.await_head());
  CHECK(second.field("Vary") == "Origin");
  auto any = proxy.get_stream("/events/b", kPageA);
  proxy.origin.next()->begin_stream("Access-Control-Allow-Origin: *\r\n");
  REQUIRE(any.await_head());
  CHECK(any.response().count("Vary") == 0);
  CorsStory story;
  CHECK(story.first.response().count("Vary") == 1);
}
