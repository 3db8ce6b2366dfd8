// `reattach`: a request that is sent again joins the answer to the first one, instead of being paid for twice.
#include <doctest/doctest.h>

#include "support/session_story.h"
#include "support/temporary_folder.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

constexpr std::string_view kKey = "Idempotency-Key: k1\r\n";

relay::Route reattach_route() {
  auto route = post_route();
  route.reattach = {"Idempotency-Key"};
  return route;
}

std::string keyed(std::string_view content, std::string_view more = {}, std::string_view target = "/events/a") {
  return post(target, content, std::string(kKey).append(more));
}

std::string in_chunks(std::string_view content) {
  return std::string(
             "POST /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\n"
             "Transfer-Encoding: chunked\r\n")
      .append(kKey)
      .append("\r\n")
      .append(content);
}

// More than a socket takes at once.
TestClient send_large(ProxyFixture& proxy, std::string_view bytes) {
  auto client = proxy.connect();
  REQUIRE(proxy.run_until([&] {
    bytes.remove_prefix(client.send_some(bytes));
    return bytes.empty();
  }));
  return client;
}

}  // namespace

TEST_CASE("a request that is sent again joins its running answer from the beginning, and the upstream hears once") {
  ProxyFixture proxy(reattach_route());
  Session session(proxy, proxy.request(keyed("question")), "data: one\n\ndata: two\n\n");
  auto again = proxy.request(keyed("question"));
  REQUIRE(again.await_events(2));
  CHECK(again.data() == Strings{"one", "two"});
  CHECK(again.field("Ssequel-Resume") == "suffix");
  CHECK(tag_of(again.last_id()) == tag_of(session.id));
  session.origin->chunk("data: three\n\n");
  session.origin->end_stream();
  REQUIRE(again.await_complete());
  CHECK(again.data() == Strings{"one", "two", "three"});
  REQUIRE(session.client.await_complete());
  CHECK(proxy.origin.requests() == 1);
  CHECK(proxy.counters("session").reattached == 1);
}

TEST_CASE("a finished answer is replayed whole as long as it is retained, and asked for anew afterwards") {
  auto route = reattach_route();
  route.retain = 300ms;
  ProxyFixture proxy(route);
  Session session(proxy, proxy.request(keyed("question")), "data: one\n\n");
  session.origin->end_stream();
  REQUIRE(session.client.await_complete());
  for (int i = 0; i < 2; ++i) {
    auto again = proxy.request(keyed("question"));
    REQUIRE(again.await_complete());
    CHECK(again.data() == Strings{"one"});
    CHECK_FALSE(again.has_ended());
  }
  CHECK(proxy.origin.requests() == 1);
  REQUIRE(proxy.run_until([&] { return proxy.worker().channels().size() == 0; }));
  auto late = proxy.request(keyed("question"));
  proxy.origin.next()->begin_stream();
  REQUIRE(late.await_head());
  CHECK(proxy.origin.requests() == 2);
}

TEST_CASE("only the same request joins: identity, method, target, Origin, content and field all count") {
  ProxyFixture proxy(reattach_route());
  Session session(proxy, proxy.request(keyed("question", "Authorization: a\r\nOrigin: http://a\r\n")));
  const std::vector<std::string> others = {
      keyed("question", "Authorization: b\r\nOrigin: http://a\r\n"),
      keyed("question", "Origin: http://a\r\n"),
      keyed("question", "Authorization: a\r\nOrigin: http://b\r\n"),
      keyed("question", "Authorization: a\r\n"),
      keyed("Question", "Authorization: a\r\nOrigin: http://a\r\n"),
      keyed("question", "Authorization: a\r\nOrigin: http://a\r\n", "/events/b"),
      keyed("question", "Authorization: a\r\nOrigin: http://a\r\n", "/events/a?x"),
      keyed("question", "Authorization: a\r\nOrigin: http://a\r\nLast-Event-ID: foreign\r\n"),
      post("/events/a", "question", "Authorization: a\r\nOrigin: http://a\r\nIdempotency-Key: k2\r\n"),
      post("/events/a", "question", "Authorization: a\r\nOrigin: http://a\r\n"),
      "GET /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\nIdempotency-Key: k1\r\n"
      "Authorization: a\r\nOrigin: http://a\r\nContent-Length: 8\r\n\r\nquestion"};
  std::vector<TestClient> clients;
  for (const auto& other : others) {
    INFO(other);
    clients.push_back(proxy.request(other));
    auto* origin = proxy.origin.next();
    origin->begin_stream();
    REQUIRE(clients.back().await_head());
  }
  auto same = proxy.request(keyed("question", "Origin: http://a\r\nUser-Agent: another\r\nAuthorization: a\r\n"));
  REQUIRE(same.await_events(1));
  CHECK(proxy.origin.requests() == others.size() + 1);
}

TEST_CASE("two at the same moment: the second waits for the first one's head, and joins") {
  ProxyFixture proxy(reattach_route());
  auto first = proxy.request(keyed("question"));
  auto* origin = proxy.origin.next();
  auto second = proxy.request(keyed("question"));
  auto third = proxy.request(keyed("question"));
  proxy.settle();
  CHECK(proxy.origin.requests() == 1);
  third.close();
  proxy.settle();
  origin->begin_stream("Set-Cookie: a=1\r\n");
  origin->chunk("data: one\n\n");
  REQUIRE(first.await_events(1));
  REQUIRE(second.await_events(1));
  CHECK(first.field("Set-Cookie") == "a=1");
  CHECK_FALSE(second.field("Set-Cookie"));
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("if the first one's answer is no stream, or fails, or it leaves, the next one asks for itself") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    ProxyFixture proxy(reattach_route());
    auto first = proxy.request(keyed("question"));
    auto* origin = proxy.origin.next();
    auto second = proxy.request(keyed("question"));
    auto third = proxy.request(keyed("question"));
    proxy.settle();
    if (how == 0) origin->answer("{}", 200, "Content-Type: application/json\r\n");
    if (how == 1) origin->close();
    if (how == 2) first.close();
    auto* next = proxy.origin.next();
    CHECK(next->request.content == "question");
    proxy.settle();
    CHECK(proxy.origin.requests() == 2);  // One at a time.
    next->begin_stream();
    next->chunk("data: one\n\n");
    REQUIRE(second.await_events(1));
    REQUIRE(third.await_events(1));
    if (how == 0) CHECK(first.content() == "{}");
    if (how == 1) CHECK(first.status() == 502);
    CHECK(proxy.origin.requests() == 2);
  }
}

TEST_CASE("content in chunks, with trailers, reaches the upstream whole, and what comes whole is the same request") {
  ProxyFixture proxy(reattach_route());
  auto client = proxy.request(in_chunks("4\r\nques\r\n"));
  proxy.settle();
  CHECK(proxy.origin.requests() == 0);  // Nothing can be decided before the content is whole.
  client.send("4\r\ntion\r\n0\r\nX-Sum: 1\r\n\r\n");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.content == "question");
  CHECK(origin->request.trailers == "X-Sum: 1\r\n");
  origin->begin_stream();
  origin->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  auto again = proxy.request(keyed("question"));
  REQUIRE(again.await_events(1));
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("Expect: 100-continue gets its 100, once, and the answer") {
  ProxyFixture proxy(reattach_route());
  auto client = proxy.request(
      "POST /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\nExpect: 100-continue\r\n"
      "Idempotency-Key: k1\r\nContent-Length: 8\r\n\r\n");
  REQUIRE(client.await_head());
  CHECK(client.status() == 100);
  client.next_response();
  client.send("question");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.content == "question");
  CHECK_FALSE(origin->request.field("Expect"));
  origin->begin_stream();
  REQUIRE(client.await_head());
  CHECK(client.status() == 200);
}

TEST_CASE("more than a mebibyte of content is passed on as it comes and joins nothing") {
  ProxyFixture proxy(reattach_route());
  const std::string most(1024 * 1024, 'x');
  for (const auto& [content, joins] : {std::pair(most, true), std::pair(most + "x", false)}) {
    const auto before = proxy.origin.requests();
    auto first = send_large(proxy, keyed(content, "", "/events/" + std::to_string(content.size())));
    auto* origin = proxy.origin.next();
    CHECK(origin->request.content == content);
    origin->begin_stream();
    origin->chunk("data: one\n\n");
    REQUIRE(first.await_events(1));
    auto again = send_large(proxy, keyed(content, "", "/events/" + std::to_string(content.size())));
    if (!joins) {
      origin = proxy.origin.next();
      origin->begin_stream();
    }
    REQUIRE(again.await_head());
    CHECK(proxy.origin.requests() == before + (joins ? 1 : 2));
  }
  // In chunks it is only known when it has come.
  auto client = send_large(proxy, in_chunks("100001\r\n" + most + "x\r\n"));
  auto* origin = proxy.origin.next_head();
  REQUIRE(origin->await_rest("xxxx"));
  client.send("3\r\nend\r\n0\r\n\r\n");
  REQUIRE(origin->await_rest("end\r\n0\r\n\r\n"));
  origin->begin_stream();
  REQUIRE(client.await_head());
}

TEST_CASE("a request with neither a reattach field nor a body is not delayed, one with an id of ours resumes by it") {
  ProxyFixture proxy(reattach_route());
  auto plain = proxy.request(
      "POST /events/a HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\nContent-Length: 8\r\n\r\nques");
  CHECK(proxy.origin.next_head() != nullptr);
  Session session(proxy, proxy.request(keyed("question")), "data: one\n\ndata: two\n\n");
  const auto before = proxy.origin.requests();
  auto resumed = proxy.request(keyed("question", last_event_id(tag_of(session.client.last_id()) + "-1")));
  REQUIRE(resumed.await_events(1));
  CHECK(resumed.data() == Strings{"two"});
  CHECK(proxy.origin.requests() == before);
}

TEST_CASE("a GET joins too, and an empty answer ends like the first one") {
  ProxyFixture proxy(reattach_route());
  auto first = proxy.get_stream("/events/a", kKey);
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->end_stream();
  REQUIRE(first.await_complete());
  auto again = proxy.get_stream("/events/a", kKey);
  REQUIRE(again.await_complete());
  CHECK(again.status() == 200);
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("an answer that broke off is never asked for again: what there is, upstream-lost, and broken off") {
  ProxyFixture proxy(reattach_route());
  Session session(proxy, proxy.request(keyed("question")));
  session.origin->close();
  REQUIRE(session.client.await_broken());
  auto again = proxy.request(keyed("question"));
  REQUIRE(again.await_broken());
  CHECK(again.data().front() == "one");
  CHECK(again.content().find("upstream-lost") != std::string::npos);
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("an answer whose beginning has left the window is joined with sync-required, and not asked for again") {
  auto route = reattach_route();
  route.window.events = 2;
  ProxyFixture proxy(route);
  Session session(proxy, proxy.request(keyed("question")), "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\ndata: 5\n\n");
  REQUIRE(session.client.await_events(5));
  auto again = proxy.request(keyed("question"));
  REQUIRE(again.await_events(1));
  CHECK(again.field("Ssequel-Resume") == "sync-required; reason=window");
  CHECK(again.data().front().find("\"requested\":null") != std::string::npos);
  session.origin->chunk("data: 6\n\n");
  REQUIRE(again.await_events(2));
  CHECK(again.data().back() == "6");
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a join is an access: the authoriser is asked, and refuses whose login was revoked") {
  auto route = reattach_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  route.authorize_cache = 0ms;
  ProxyFixture proxy(route);
  Session session(proxy, proxy.request(keyed("question")));
  auto again = proxy.request(keyed("question"));
  auto* question = proxy.origin.next();
  CHECK(question->request.target() == "/auth");
  question->answer("", 403);
  REQUIRE(again.await_complete());
  CHECK(again.status() == 403);
  auto admitted = proxy.request(keyed("question"));
  proxy.origin.next()->answer("", 204);
  REQUIRE(admitted.await_events(1));
}

TEST_CASE("after a restart with a store on disk, a kept answer is still joined") {
  TemporaryFolder folder;
  gateway::Options options;
  options.routes = {reattach_route()};
  ProxyFixture proxy(options, folder.path());
  Session session(proxy, proxy.request(keyed("question")));
  session.origin->end_stream();
  REQUIRE(session.client.await_complete());
  session.client.close();
  proxy.restart();
  auto again = proxy.request(keyed("question"));
  REQUIRE(again.await_complete());
  CHECK(again.data() == Strings{"one"});
  CHECK(proxy.origin.requests() == 1);
}
