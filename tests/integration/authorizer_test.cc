// The authoriser under failure: slow, dead, redirecting, lying. Nobody is admitted, the answer says what is the matter,
// no verdict outlives its time, and however many ask, it hears one question at a time.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route asking(relay::Authorize::Kind kind) {
  auto route = post_route();
  route.authorize = {.kind = kind, .path = kind == relay::Authorize::Kind::Path ? "/auth" : ""};
  route.authorize_cache = 0ms;
  return route;
}

constexpr auto kPath = relay::Authorize::Kind::Path;
constexpr auto kProbe = relay::Authorize::Kind::Probe;

// A session with two events, and requests that resume behind the first one.
struct Asked {
  explicit Asked(relay::Route route) : proxy(std::move(route)), session(proxy, "data: one\n\ndata: two\n\n") {
    id = tag_of(session.id) + "-1";
  }
  TestClient come(std::string_view fields = {}) { return proxy.resume("/events/a", id, fields); }
  ProxyFixture proxy;
  Session session;
  std::string id;
};

}  // namespace

TEST_CASE("an authoriser that is slow, dead or no HTTP server admits nobody, and the client is told to come back") {
  for (const auto kind : {kPath, kProbe}) {
    for (const int how : {0, 1, 2, 3, 4}) {
      if (how == 2 && kind == kProbe) continue;  // It takes its five seconds.
      CAPTURE(how);
      Asked asked(asking(kind));
      if (how == 4) asked.proxy.origin.stop_listening();
      auto client = asked.come();
      if (how != 4) {
        auto* question = asked.proxy.origin.next();
        if (how == 0) question->close();
        if (how == 1) question->send("220 mail ESMTP\r\n");
        if (how == 2) question->send("HTTP/1.1 200 OK\r\nContent-Type: text/ev");  // And then nothing.
        if (how == 3) question->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
      }
      REQUIRE(client.await_broken());
      CHECK(client.status() == 200);
      CHECK(client.events().empty());
      CHECK(asked.proxy.logger.count("cause=authorize") == 1);
      CHECK(asked.proxy.counters("session").trouble[static_cast<std::size_t>(relay::TroubleReason::Authorizer)] == 1);
    }
  }
}

TEST_CASE("an interim answer is no verdict yet, and one after it counts") {
  Asked asked(asking(kPath));
  auto client = asked.come();
  auto* question = asked.proxy.origin.next();
  question->send("HTTP/1.1 103 Early Hints\r\n\r\n");
  asked.proxy.settle();
  CHECK_FALSE(client.response().has_head);
  question->answer("", 403);
  REQUIRE(client.await_complete());
  CHECK(client.status() == 403);
}

TEST_CASE("a redirect is relayed and never followed") {
  for (const auto kind : {kPath, kProbe}) {
    Asked asked(asking(kind));
    auto client = asked.come();
    asked.proxy.origin.next()->answer("data: secret\n\n", 302,
                                      "Location: http://elsewhere/\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
                                      "Content-Type: text/event-stream\r\n");
    REQUIRE(client.await_complete());
    CHECK(client.status() == 302);
    CHECK(client.field("Location") == "http://elsewhere/");
    CHECK_FALSE(client.field("X-Hop"));
    CHECK(client.content().empty());
    asked.proxy.settle();
    CHECK(asked.proxy.origin.requests() == 2);
  }
}

TEST_CASE("a probe that says 200 with another type lies: it is relayed and admits nobody") {
  Asked asked(asking(kProbe));
  auto client = asked.come();
  asked.proxy.origin.next()->answer("<p>login</p>", 200, "Content-Type: text/html\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(client.content().empty());
}

TEST_CASE("nothing is asked of the authoriser for an id that is not known, and it learns no id of anybody") {
  Asked asked(asking(kPath));
  auto client = asked.proxy.resume("/events/a", "AAAAAAAAAAAAAAAAAAAAAA-1");
  auto* origin = asked.proxy.origin.next();
  CHECK(origin->request.target() == "/events/a");
  origin->begin_stream();
  REQUIRE(client.await_head());
  auto known = asked.come();
  auto* question = asked.proxy.origin.next();
  CHECK(question->request.target() == "/auth");
  CHECK_FALSE(question->request.field("Last-Event-ID"));
}

TEST_CASE("a hundred that come at once are two questions, one after the other, and each is told what was true then") {
  Asked asked(asking(kPath));
  auto first = asked.come();
  auto* question = asked.proxy.origin.next();
  asked.proxy.settle();
  std::vector<TestClient> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(asked.come());
  asked.proxy.settle();
  CHECK(asked.proxy.origin.requests() == 2);
  question->answer("", 200);
  REQUIRE(first.await_events(1));
  // The login was revoked after the first question: who came since must not have its answer.
  question = asked.proxy.origin.next();
  for (auto& client : crowd) CHECK_FALSE(client.response().has_head);
  question->answer("", 401, "Set-Cookie: s=1\r\n");
  std::size_t cookies = 0;
  for (auto& client : crowd) {
    REQUIRE(client.await_complete());
    CHECK(client.status() == 401);
    cookies += client.response().count("Set-Cookie");
  }
  CHECK(cookies == 1);  // It is for the one who asked.
  CHECK(asked.proxy.origin.requests() == 3);
}

TEST_CASE("a hundred that wait for an authoriser that fails are one question: it is not asked again for each") {
  Asked asked(asking(kPath));
  auto first = asked.come();
  auto* question = asked.proxy.origin.next();
  asked.proxy.settle();
  std::vector<TestClient> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(asked.come());
  asked.proxy.settle();
  question->answer("", 503);
  for (auto& client : crowd) REQUIRE(client.await_broken());
  CHECK(asked.proxy.origin.requests() == 2);
}

TEST_CASE("each credential has its own question") {
  Asked asked(asking(kPath));
  Session other(asked.proxy, "data: one\n\n", "Authorization: b\r\n");
  auto a = asked.come();
  auto b = asked.proxy.resume("/events/a", tag_of(other.id) + "-0", "Authorization: b\r\n");
  auto* first = asked.proxy.origin.next();
  auto* second = asked.proxy.origin.next();
  auto* of_b = first->request.field("Authorization") ? first : second;
  of_b->answer("", 403);
  REQUIRE(b.await_complete());
  asked.proxy.settle();
  CHECK_FALSE(a.response().has_head);
}

TEST_CASE("an admission is as old as its question, however late the answer came") {
  auto route = asking(kPath);
  route.authorize_cache = 150ms;
  Asked asked(route);
  auto first = asked.come();
  auto* question = asked.proxy.origin.next();
  static_cast<void>(asked.proxy.run_until([] { return false; }, 160ms));
  question->answer("", 200);
  REQUIRE(first.await_events(1));
  auto second = asked.come();
  asked.proxy.origin.next()->answer("", 401);
  REQUIRE(second.await_complete());
  CHECK(second.status() == 401);
}

TEST_CASE("one who asked and left takes its cookies along") {
  Asked asked(asking(kPath));
  auto first = asked.come();
  auto* question = asked.proxy.origin.next();
  auto second = asked.come();
  asked.proxy.settle();
  first.close();
  asked.proxy.settle();
  question->answer("", 403, "Set-Cookie: s=1\r\n");
  if (!asked.proxy.run_until([&] { return second.response().has_head || asked.proxy.origin.requests() == 3; }))
    FAIL("");
  if (!second.response().has_head) asked.proxy.origin.next()->answer("", 403);
  REQUIRE(second.await_complete());
  CHECK_FALSE(second.field("Set-Cookie"));
}
