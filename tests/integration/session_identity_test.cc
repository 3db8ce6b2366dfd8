// Who a session belongs to: where the authoriser says who is asking, and what somebody else learns, which is nothing.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route named_by_authorizer() {
  auto route = post_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  route.authorize_cache = 0ms;
  route.identity.authorize = "X-User-Id";
  return route;
}

void admit(ProxyFixture& proxy, std::string_view user) {
  auto* question = proxy.origin.next();
  REQUIRE(question);
  CHECK(question->request.target() == "/auth");
  question->answer("", 200, user.empty() ? std::string() : "X-User-Id: " + std::string(user) + "\r\n");
}

Session open_as(ProxyFixture& proxy, TestClient client, std::string_view user, std::string_view events) {
  admit(proxy, user);
  return {proxy, std::move(client), events};
}

// What tells one answer from another: everything but what is random or echoed.
std::string shape(TestClient& client, const std::string& id) {
  std::string text = client.response().head + client.response().content;
  for (auto at = text.find(id); at != std::string::npos; at = text.find(id)) text.replace(at, id.size(), "ID");
  const auto tag = tag_of(client.last_id());
  for (auto at = text.find(tag); !tag.empty() && at != std::string::npos; at = text.find(tag)) {
    text.replace(at, tag.size(), "TAG");
  }
  return text;
}

}  // namespace

TEST_CASE("identity.authorize: a session outlives its user's token, and is nobody else's") {
  ProxyFixture proxy(named_by_authorizer());
  auto session =
      open_as(proxy, proxy.get_stream("/events/a", "Authorization: old\r\n"), "alice", "data: one\n\ndata: two\n\n");
  const auto first = tag_of(session.id) + "-1";
  auto renewed = proxy.resume("/events/a", first, "Authorization: new\r\n");
  admit(proxy, "alice");
  REQUIRE(renewed.await_events(1));
  CHECK(renewed.data() == Strings{"two"});
  // The same token may be another user's by now.
  auto other = proxy.resume("/events/a", first, "Authorization: old\r\n");
  admit(proxy, "bob");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_events(1));
  CHECK(other.data().front().find("\"unknown\"") != std::string::npos);
}

TEST_CASE("identity.authorize: who one token is says nothing of another, even if no field counts as an identity") {
  auto route = named_by_authorizer();
  route.authorize_cache = 10s;
  route.identity.fields = {};
  ProxyFixture proxy(route);
  auto session = open_as(proxy, proxy.get_stream("/events/a", "Authorization: a\r\n"), "alice", "data: one\n\n");
  auto same = proxy.resume("/events/a", session.id, "Authorization: a\r\n");
  REQUIRE(same.await_head());
  CHECK(same.field("Ssequel-Resume") == "live");
  auto other = proxy.resume("/events/a", session.id, "Authorization: b\r\n");
  admit(proxy, "bob");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "sync-required; reason=unknown");
}

TEST_CASE("identity.authorize: the content that came while the authoriser was asked goes upstream") {
  ProxyFixture proxy(named_by_authorizer());
  auto client = proxy.request(post("/events/a", "question"));
  admit(proxy, "alice");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.method() == "POST");
  CHECK(origin->request.content == "question");
  origin->answer("{}", 200, "Content-Type: application/json\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "{}");
}

TEST_CASE("identity.authorize: without the field the request's own fields say who is asking") {
  ProxyFixture proxy(named_by_authorizer());
  auto session = open_as(proxy, proxy.get_stream("/events/a", "Authorization: a\r\n"), "", "data: one\n\n");
  auto same = proxy.resume("/events/a", session.id, "Authorization: a\r\n");
  admit(proxy, "");
  REQUIRE(same.await_head());
  CHECK(same.field("Ssequel-Resume") == "live");
  auto other = proxy.resume("/events/a", session.id, "Authorization: b\r\n");
  admit(proxy, "");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "sync-required; reason=unknown");
}

TEST_CASE("identity.authorize: who is refused opens nothing, and without a verdict nobody does") {
  ProxyFixture proxy(named_by_authorizer());
  auto refused = proxy.request(post("/events/a", "question"));
  proxy.origin.next()->answer("", 401, "WWW-Authenticate: Bearer\r\n");
  REQUIRE(refused.await_complete());
  CHECK(refused.status() == 401);
  CHECK(refused.field("WWW-Authenticate") == "Bearer");
  auto without = proxy.request(post("/events/a", "question"));
  proxy.origin.next()->answer("", 500);
  REQUIRE(without.await_complete());
  CHECK(without.status() == 503);
  auto browser = proxy.get_stream("/events/a");
  proxy.origin.next()->answer("", 503, "Retry-After: 7\r\n");
  REQUIRE(browser.await_broken());
  CHECK(browser.status() == 200);
  CHECK(browser.content().starts_with("retry: "));
  CHECK(proxy.origin.requests() == 3);
}

TEST_CASE("identity.authorize: a repeated request joins by the user, not by the token") {
  auto route = named_by_authorizer();
  route.reattach = {"Idempotency-Key"};
  ProxyFixture proxy(route);
  const std::string key = "Idempotency-Key: k1\r\n";
  auto session = open_as(proxy, proxy.request(post("/events/a", "question", key + "Authorization: old\r\n")), "alice",
                         "data: one\n\n");
  auto again = proxy.request(post("/events/a", "question", key + "Authorization: new\r\n"));
  admit(proxy, "alice");
  REQUIRE(again.await_events(1));
  CHECK(again.data() == Strings{"one"});
  auto other = proxy.request(post("/events/a", "question", key + "Authorization: old\r\n"));
  admit(proxy, "bob");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_head());
  CHECK(other.field("Ssequel-Resume") == "live");
}

TEST_CASE("somebody else's tag and one that never was get the same answer, byte for byte") {
  ProxyFixture proxy(post_route());
  Session session(proxy, proxy.request(post("/events/a", "x", "Authorization: a\r\nOrigin: http://a\r\n")),
                  "data: one\n\ndata: two\n\n");
  const auto known = tag_of(session.id) + "-1";
  const auto unknown = std::string(tag_of(session.id).size(), 'A') + "-1";
  struct Attempt {
    std::string_view target, fields;
  };
  for (const auto& attempt :
       {Attempt{"/events/a", "Authorization: b\r\nOrigin: http://a\r\n"},
        Attempt{"/events/a", "Authorization: a\r\nOrigin: http://b\r\n"},
        Attempt{"/events/a", "Authorization: a\r\nCookie: x=1\r\nOrigin: http://a\r\n"},
        Attempt{"/events/b", "Authorization: a\r\nOrigin: http://a\r\n"}, Attempt{"/events/a", ""}}) {
    INFO(attempt.target, " ", attempt.fields);
    Strings by_get;
    Strings by_post;
    Strings asked;
    for (const auto& id : {known, unknown}) {
      auto get = proxy.resume(attempt.target, id, attempt.fields);
      auto* origin = proxy.origin.next();
      asked.push_back(origin->request.head);
      origin->begin_stream();
      REQUIRE(get.await_events(1));
      by_get.push_back(shape(get, id));
      auto by_content = proxy.request(post(attempt.target, "x", std::string(attempt.fields) + last_event_id(id)));
      REQUIRE(by_content.await_broken());
      by_post.push_back(shape(by_content, id));
    }
    CHECK(by_get[0] == by_get[1]);
    CHECK(by_post[0] == by_post[1]);
    CHECK(asked[0] == asked[1]);
  }
  // One request is one mismatch.
  const auto& mismatches = proxy.counters("session").mismatches;
  CHECK(mismatches[static_cast<std::size_t>(relay::Mismatch::Identity)] == 10);
  CHECK(mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)] == 10);
}
