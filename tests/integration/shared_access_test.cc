// Who may read what on shared routes: keys, the upstream's verdict, probes, an authoriser's path, what is held and for
// how long; where no verdict comes, nobody is let in.
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using Strings = std::vector<std::string>;

constexpr std::string_view kAlice = "Authorization: Bearer alice\r\n";
constexpr std::string_view kBob = "Authorization: Bearer bob\r\n";

relay::Route with_authorize(relay::Authorize::Kind kind) {
  auto route = public_route();
  route.authorize = {.kind = kind, .path = kind == relay::Authorize::Kind::Path ? "/auth" : ""};
  route.authorize_cache = Millis(0);
  return route;
}

void check_without_data(TestClient& client) {
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(client.content().starts_with("retry: "));
  CHECK(client.events().empty());
}

}  // namespace

TEST_CASE("nobody is given a channel that other credentials opened") {
  ProxyFixture proxy(shared_route());
  std::vector<TestClient> clients;
  const Strings fields = {"",
                          "Authorization: Bearer alice\r\n",
                          "Authorization: Bearer bob\r\n",
                          "Cookie: sid=1\r\n",
                          "Cookie: sid=2\r\n",
                          "X-Api-Key: k\r\n",
                          "X-Auth-Token: k\r\n",
                          "Connection: x-api-key\r\nX-Api-Key: l\r\n"};
  for (const auto& own : fields) {
    INFO(own);
    clients.push_back(proxy.get_stream("/events/a", own));
    proxy.origin.next()->begin_stream();
    REQUIRE(clients.back().await_head());
  }
  CHECK(proxy.worker().channels().size() == fields.size());
}

TEST_CASE("what says nothing of who is asking makes no other channel") {
  SharedStory story(shared_route(), "Authorization: Bearer alice\r\nCookie: sid=1\r\n");
  auto second = story.join("Authorization: Bearer alice\r\nCookie: sid=1; _ga=GA1.2\r\nX-Other: 1\r\n");
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("the host is lower-cased and a default port dropped in a key, path and query count as raw bytes") {
  SharedStory story(shared_route());
  const auto get = [&](std::string_view target, std::string_view host) {
    return story.proxy.request("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                               "\r\nAccept: text/event-stream\r\n\r\n");
  };
  auto same = get("/events/a", "EXAMPLE.test:80");
  REQUIRE(same.await_head());
  CHECK(story.proxy.origin.requests() == 1);
  std::vector<TestClient> others;
  others.push_back(get("/events/a", "other.test"));
  others.push_back(get("/events/%61", "example.test"));
  others.push_back(get("/events/a?", "example.test"));
  others.push_back(get("/events/a?b", "example.test"));
  // An empty query is none.
  REQUIRE(story.proxy.run_until([&] { return story.proxy.origin.requests() >= 4; }));
}

TEST_CASE("a key of header, cookie and query parts tells channels apart by these alone") {
  auto route = shared_route();
  using Kind = relay::KeyPart::Kind;
  route.key = {{Kind::Header, "X-Tenant"}, {Kind::Cookie, "room"}, {Kind::QueryParameter, "topic"}};
  SharedStory story(route, "X-Tenant: 1\r\nCookie: a=b; room=2\r\n");
  auto same = story.join("Cookie: room=2; c=d\r\nx-tenant: 1\r\nAuthorization: x\r\n");
  auto path = story.proxy.get_stream("/events/b?x=1", "X-Tenant: 1\r\nCookie: room=2\r\n");
  REQUIRE(path.await_head());
  CHECK(story.proxy.origin.requests() == 1);
  for (const auto* fields : {"X-Tenant: 1\r\n", "X-Tenant: 12\r\nCookie: room=2\r\n", "Cookie: room=2\r\n",
                             "X-Tenant: 1\r\nX-Tenant: 1\r\nCookie: room=2\r\n"}) {
    INFO(fields);
    auto other = story.proxy.get_stream("/events/a", fields);
    story.proxy.origin.next()->begin_stream();
    REQUIRE(other.await_head());
  }
  auto topic = story.proxy.get_stream("/events/a?topic=t", "X-Tenant: 1\r\nCookie: room=2\r\n");
  story.proxy.origin.next()->begin_stream();
  REQUIRE(topic.await_head());
}

TEST_CASE("auto: while the channel's own upstream connection stands, its identity is let in") {
  SharedStory story(shared_route(), kAlice);
  story.say("one");
  auto again = story.join_after(story.id_of("one"), kAlice);
  CHECK(again.field("Ssequel-Resume") == "live");
  CHECK(story.proxy.origin.requests() == 1);
}

TEST_CASE("auto: where it does not stand, nothing is replayed before a connect with the own fields brought its 200") {
  auto route = shared_route();
  route.reconnect_min = route.reconnect_max = std::chrono::seconds(30);
  SharedStory story(route, kAlice);
  for (const auto* data : {"one", "two"}) story.say(data);
  const auto id = story.id_of("one");
  story.upstream->close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.counters("shared").upstream_connected == 0; }));
  SUBCASE("a 200 lets it in, and is the channel's connection") {
    auto again = story.proxy.resume("/events/a", id, kAlice);
    auto* upstream = story.proxy.origin.next();
    CHECK(upstream->request.field("Authorization") == "Bearer alice");
    story.proxy.settle();
    CHECK_FALSE(again.response().has_head);
    upstream->begin_stream();
    REQUIRE(again.await_events(1));
    CHECK(again.data().at(0) == "two");
    upstream->chunk("data: three\n\n");
    CHECK(again.await_content("data: three\n"));
    CHECK(story.first.await_content("data: three\n"));
  }
  SUBCASE("a refusal is passed on, the log is not") {
    auto again = story.proxy.resume("/events/a", id, kAlice);
    story.proxy.origin.next()->answer("login again", 401, "WWW-Authenticate: Bearer\r\n");
    REQUIRE(again.await_complete());
    CHECK(again.status() == 401);
    CHECK(again.content() == "login again");
    CHECK(again.field("WWW-Authenticate") == "Bearer");
    CHECK(story.first.await_complete());
  }
  SUBCASE("no answer is no verdict") {
    auto again = story.proxy.resume("/events/a", id, kAlice);
    story.proxy.origin.next()->answer("", 503);
    check_without_data(again);
    CHECK_FALSE(story.first.has_ended());
  }
}

TEST_CASE("auto without an identity in the key lets in whoever has the key") {
  SharedStory story(public_route(), kAlice);
  story.say("one");
  story.proxy.origin.stop_listening();
  story.upstream->close();
  auto other = story.join_after(std::to_string(number_of(story.id_of("one")) - 1), kBob);
  REQUIRE(other.await_events(1));
  CHECK(other.data() == Strings{"one"});
}

TEST_CASE("probe asks the upstream at every reconnect, with the request's own fields, and closes at the head") {
  SharedStory story(with_authorize(relay::Authorize::Kind::Probe), kAlice);
  CHECK(story.proxy.origin.requests() == 1);  // Never for the one that opens the channel.
  story.say("one");
  auto again = story.proxy.resume("/events/a?lastEventId=1", story.id_of("one"), kBob);
  auto* probe = story.proxy.origin.next();
  CHECK(probe->request.line() == "GET /events/a HTTP/1.1");
  CHECK(probe->request.field("Authorization") == "Bearer bob");
  CHECK_FALSE(probe->request.field("Last-Event-ID"));
  CHECK_FALSE(again.response().has_head);
  probe->begin_stream();
  REQUIRE(again.await_head());
  CHECK(probe->await_gone());
  story.say("two");
  CHECK(again.await_events(1));
}

TEST_CASE("probe: another final status is relayed, a 200 of another type too, and both admit nobody") {
  SharedStory story(with_authorize(relay::Authorize::Kind::Probe), kAlice);
  story.say("one");
  for (const int status : {200, 204, 302, 401, 403, 404}) {
    INFO(status);
    auto again = story.proxy.resume("/events/a", "1", kBob);
    story.proxy.origin.next()->answer("", status, "X-Why: so\r\nContent-Type: text/html\r\n");
    REQUIRE(again.await_complete());
    CHECK(again.status() == status);
    CHECK(again.field("X-Why") == "so");
    CHECK(again.events().empty());
  }
}

TEST_CASE("probe and path: an error, a broken answer or none in time is no verdict and admits nobody") {
  const auto kind = [] {
    auto chosen = relay::Authorize::Kind::Probe;
    SUBCASE("path") { chosen = relay::Authorize::Kind::Path; }
    SUBCASE("probe") {}
    return chosen;
  }();
  ProxyFixture proxy(with_authorize(kind));
  auto first = proxy.get_stream("/events/a", kAlice);
  if (kind == relay::Authorize::Kind::Path) proxy.origin.next()->answer("");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: secret\n\n");
  REQUIRE(first.await_events(1));
  for (const int status : {408, 425, 429, 500, 503}) {
    INFO(status);
    auto again = proxy.resume("/events/a", "1", kBob);
    proxy.origin.next()->answer("", status);
    check_without_data(again);
  }
  auto broken = proxy.resume("/events/a", "1", kBob);
  proxy.origin.next()->close();
  check_without_data(broken);
  auto nonsense = proxy.resume("/events/a", "1", kBob);
  proxy.origin.next()->send("nonsense\r\n\r\n");
  check_without_data(nonsense);
  CHECK(proxy.counters("shared").trouble[static_cast<std::size_t>(relay::TroubleReason::Authorizer)] == 7);
}

TEST_CASE("path asks the authoriser, the one that opens the channel too, any 2xx admits") {
  ProxyFixture proxy(with_authorize(relay::Authorize::Kind::Path));
  auto client = proxy.get_stream("/events/a?x=1", std::string(kAlice) + "X-Original-URI: /forged\r\n");
  auto* question = proxy.origin.next();
  CHECK(question->request.line() == "GET /auth HTTP/1.1");
  CHECK(question->request.field("Authorization") == "Bearer alice");
  CHECK(question->request.field("X-Original-Method") == "GET");
  CHECK(question->request.count("X-Original-URI") == 1);
  CHECK(question->request.field("X-Original-URI") == "/events/a?x=1");
  question->answer("", 204);
  auto* upstream = proxy.origin.next();
  CHECK(upstream->request.target() == "/events/a?x=1");
  upstream->begin_stream();
  REQUIRE(client.await_head());
  // Refused: the status and its fields are theirs.
  auto refused = proxy.get_stream("/events/a?x=1", kBob);
  proxy.origin.next()->answer("denied", 403, "X-Why: so\r\n");
  REQUIRE(refused.await_complete());
  CHECK(refused.status() == 403);
  CHECK(refused.field("X-Why") == "so");
}

TEST_CASE("an admission holds for authorize_cache, each for its identity and target, a refusal is never held") {
  auto route = with_authorize(relay::Authorize::Kind::Path);
  route.authorize_cache = std::chrono::seconds(30);
  ProxyFixture proxy(route);
  const auto admitted = [&](std::string_view target, std::string_view fields, int status) {
    const auto before = proxy.origin.requests();
    auto client = proxy.get_stream(target, fields);
    REQUIRE(proxy.run_until([&] { return client.response().has_head || proxy.origin.requests() > before; }));
    if (client.response().has_head) return std::string("held");
    auto* question = proxy.origin.next();
    CHECK(question->request.target() == "/auth");
    question->answer("", status);
    if (status != 204) {
      CHECK(client.await_complete());
    } else if (!proxy.run_until([&] { return client.response().has_head || proxy.origin.requests() > before + 1; }) ||
               !client.response().has_head) {
      proxy.origin.next()->begin_stream();
    }
    return std::string("asked");
  };
  CHECK(admitted("/events/a", kAlice, 204) == "asked");
  CHECK(admitted("/events/a", kAlice, 204) == "held");
  CHECK(admitted("/events/a", kBob, 403) == "asked");
  CHECK(admitted("/events/a", kBob, 403) == "asked");
  CHECK(admitted("/events/b", kAlice, 204) == "asked");
}

TEST_CASE("a revocation takes effect within authorize_cache") {
  auto route = with_authorize(relay::Authorize::Kind::Probe);
  route.authorize_cache = Millis(50);
  SharedStory story(route, kAlice);
  auto again = story.proxy.get_stream("/events/a", kAlice);
  story.proxy.origin.next()->begin_stream();
  REQUIRE(again.await_head());
  auto held = story.join(kAlice);
  static_cast<void>(story.proxy.run_until([] { return false; }, Millis(60)));
  auto revoked = story.proxy.get_stream("/events/a", kAlice);
  story.proxy.origin.next()->answer("", 401);
  REQUIRE(revoked.await_complete());
  CHECK(revoked.status() == 401);
}

TEST_CASE("one question at a time per identity, and those who wait share its verdict") {
  ProxyFixture proxy(with_authorize(relay::Authorize::Kind::Path));
  auto first = proxy.get_stream("/events/a", kAlice);
  auto second = proxy.get_stream("/events/a", kAlice);
  auto* question = proxy.origin.next();
  proxy.settle();
  CHECK(proxy.origin.requests() == 1);
  question->answer("");
  proxy.origin.next()->begin_stream();
  CHECK(first.await_head());
  CHECK(second.await_head());
  CHECK(proxy.origin.requests() == 2);
}

TEST_CASE("one who leaves while its question is open harms nobody") {
  ProxyFixture proxy(with_authorize(relay::Authorize::Kind::Path));
  auto first = proxy.get_stream("/events/a", kAlice);
  auto second = proxy.get_stream("/events/a", kAlice);
  auto* question = proxy.origin.next();
  proxy.settle();
  first.close();
  proxy.settle();
  question->answer("");
  proxy.origin.next()->begin_stream();
  CHECK(second.await_head());
}

TEST_CASE("identity.authorize: who the authoriser names is who is asking, whatever token says so") {
  auto route = shared_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  route.identity.authorize = "X-User-Id";
  ProxyFixture proxy(route);
  auto old_token = proxy.get_stream("/events/a", "Authorization: old\r\n");
  proxy.origin.next()->answer("", 200, "X-User-Id: alice\r\n");
  auto* upstream = proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(old_token.await_events(1));
  auto new_token = proxy.resume("/events/a", old_token.last_id(), "Authorization: new\r\n");
  proxy.origin.next()->answer("", 200, "X-User-Id: alice\r\n");
  REQUIRE(new_token.await_head());
  CHECK(new_token.field("Ssequel-Resume") == "live");
  auto other = proxy.resume("/events/a", old_token.last_id(), "Authorization: other\r\n");
  proxy.origin.next()->answer("", 200, "X-User-Id: bob\r\n");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "sync-required; reason=unknown");
}

TEST_CASE("a GET with Content-Length: 0 has no content, and one with content is proxied as it is") {
  SharedStory story(public_route());
  story.say("one");
  auto empty = story.join_after(story.id_of("one"), "Content-Length: 0\r\n");
  CHECK(empty.field("Ssequel-Resume") == "live");
  story.say("two");
  CHECK(empty.await_events(1));
  CHECK(story.proxy.origin.requests() == 1);
  auto with_content = story.proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
  auto* upstream = story.proxy.origin.next();
  CHECK(upstream->request.content == "x");
}

TEST_CASE("keys that keep changing by cookies alone are logged once a route, with the cookies' names") {
  ProxyFixture proxy(shared_route());
  std::vector<TestClient> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(proxy.get_stream("/events/a", "Cookie: sid=1; csrf=token" + std::to_string(i) + "\r\n"));
    proxy.origin.next()->begin_stream();
    REQUIRE(clients.back().await_head());
  }
  CHECK(proxy.logger.count("list the ones that do in identity.cookies: csrf") == 1);
  CHECK(proxy.logger.count("token") == 0);
}

TEST_CASE("a Vary outside the key is logged with the field's name, once") {
  SharedStory story(public_route());
  story.reconnect();
  for (int i = 0; i < 2; ++i) {
    story.upstream->begin_stream("Vary: Accept-Encoding, X-Lang\r\nVary: Origin\r\n");
    story.say("a" + std::to_string(i));
    story.reconnect();
  }
  CHECK(story.proxy.logger.count("clients that differ in it share one stream; the field: X-Lang") == 1);
  CHECK(story.proxy.logger.count("the field: ") == 1);
}

TEST_CASE("a shared route's stream with a coding that cannot be undone is passed through, and logged once") {
  ProxyFixture proxy(public_route());
  for (int i = 0; i < 2; ++i) {
    auto client = proxy.get_stream("/events/a");
    proxy.origin.next()->answer("brotli", 200, "Content-Type: text/event-stream\r\nContent-Encoding: br\r\n");
    REQUIRE(client.await_complete());
    CHECK(client.content() == "brotli");
  }
  CHECK(proxy.logger.count("content coding that cannot be undone") == 1);
}
