// What the proxy answers itself: refused messages, failing upstreams, limits (RFC 9457 for the form, RFC 9112 §11.2
// for why nothing ambiguous is guessed at).
#include <doctest/doctest.h>

#include "support/proxy_fixture.h"
#include "unit/http/corpus.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

std::string get(std::string_view target, std::string_view fields = {}) {
  return std::string("GET ").append(target).append(" HTTP/1.1\r\nHost: a\r\n").append(fields).append("\r\n");
}

void serves_another(ProxyFixture& proxy) {
  auto client = proxy.request(get("/next"));
  auto* origin = proxy.origin.next();
  CHECK(origin->request.target() == "/next");
  origin->answer("next");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "next");
}

void check_problem(TestClient& client, int status) {
  REQUIRE(client.await_complete());
  CHECK(client.status() == status);
  CHECK(client.field("Content-Type") == "application/problem+json");
  CHECK(client.content().find("\"status\":" + std::to_string(status)) != std::string::npos);
}

gateway::Options limited(void (*limit)(gateway::Limits&)) {
  gateway::Options options;
  limit(options.limits);
  return options;
}

}  // namespace

TEST_CASE("of a refused request nothing reaches the origin, the answer says why, and the next client is served") {
  for (const auto& refused : http::corpus::requests()) {
    if (refused.status == 0) continue;
    INFO(refused.name);
    ProxyFixture proxy;
    auto client = proxy.request(refused.bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    // Where the head was whole before its content turned out to be malformed, the request is under way: cut short.
    const auto head_end = refused.bytes.find("\r\n\r\n");
    const bool in_content = refused.bytes.find("chunked\r\n\r\n") != std::string::npos && head_end != std::string::npos;
    REQUIRE(client.await_end());
    check_problem(client, refused.status);
    CHECK(client.field("Connection") == "close");
    CHECK(client.rest().empty());
    proxy.settle();
    const auto received = proxy.origin.received();
    CHECK(received.find("smuggled") == std::string::npos);
    if (!in_content) CHECK(received.empty());
    // No message in the origin's eyes is whole.
    CHECK(received.find("0\r\n\r\n") == std::string::npos);
    serves_another(proxy);
  }
}

TEST_CASE("accepted requests of the same table reach the origin with their content, one for one") {
  for (const auto& accepted : http::corpus::requests()) {
    if (accepted.status != 0) continue;
    INFO(accepted.name);
    if (accepted.name.starts_with("CONNECT") || accepted.name.starts_with("TRACE")) continue;
    ProxyFixture proxy;
    auto client = proxy.request(accepted.bytes.substr(0, accepted.bytes.size() - accepted.rest.size()));
    auto* origin = proxy.origin.next();
    CHECK(origin->request.content == accepted.content);
    origin->answer("ok");
    REQUIRE(client.await_complete());
    CHECK(client.status() == 200);
    CHECK(proxy.origin.requests() == 1);
  }
}

TEST_CASE("responses of the same table: what is malformed is 502 or broken off, what is not passes") {
  for (const auto& response : http::corpus::responses()) {
    if (response.method == "CONNECT" || response.bytes.starts_with("HTTP/1.1 101")) continue;
    INFO(response.name);
    ProxyFixture proxy;
    auto client = proxy.request(response.method + " / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.is_head_request = response.method == "HEAD";
    auto* origin = proxy.origin.next();
    origin->send(response.bytes);
    if (response.ends) origin->close();
    REQUIRE(proxy.run_until([&] {
      while (client.response().state == ReceivedResponse::State::Complete && client.status() < 200) {
        client.next_response();
      }
      return client.is_complete() || client.has_ended();
    }));
    if (response.is_accepted) {
      CHECK(client.is_complete());
      CHECK(client.status() != 502);
      CHECK(client.content() == response.content);
    } else {
      CHECK((client.status() == 502 || !client.is_complete()));
    }
    if (client.is_complete()) CHECK(client.rest().empty());
    // Never used for somebody else, whatever came behind the response.
    if (!response.ends && (!response.is_accepted || !response.rest.empty())) REQUIRE(origin->await_gone());
  }
}

TEST_CASE("a target may take all of header_bytes that the rest of the head leaves") {
  ProxyFixture proxy;
  const std::string target = "/" + std::string(31 * 1024, 'x');
  auto client = proxy.request("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.target() == target);
  origin->answer("one");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
}

TEST_CASE("a head over header_bytes is 431, a target that is too long 414") {
  ProxyFixture proxy;
  for (const auto& head : {get("/", "X-Big: " + std::string(33 * 1024, 'x') + "\r\n"),
                           "GET /" + std::string(33 * 1024, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    auto client = proxy.request(head);
    check_problem(client, head[5] == 'x' ? 414 : 431);
    CHECK(client.field("Connection") == "close");
    REQUIRE(client.await_end());
  }
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "A:\r\n";
  auto client = proxy.request(get("/", many));
  check_problem(client, 431);
  CHECK(proxy.origin.requests() == 0);
  serves_another(proxy);
}

TEST_CASE("a head that is still too slow is 408, an idle connection just closes") {
  auto options = limited([](gateway::Limits& limits) {
    limits.header_timeout = 60ms;
    limits.idle_timeout = 60ms;
  });
  ProxyFixture proxy(options);
  auto slow = proxy.request("GET / HTTP/1.1\r\nHost:");
  // Trickling does not put it off.
  const auto until = proxy.loop.loop().now() + 50ms;
  static_cast<void>(proxy.run_until([&] {
    slow.send(" ");
    return proxy.loop.loop().now() >= until;
  }));
  check_problem(slow, 408);
  auto idle = proxy.request(get("/"));
  proxy.origin.next()->answer("ok");
  REQUIRE(idle.await_complete());
  REQUIRE(idle.await_end());
  CHECK(idle.rest().empty());
  auto silent = proxy.connect();
  REQUIRE(silent.await_end());
  CHECK(silent.socket.receive().empty());
}

TEST_CASE("CONNECT and TRACE are 405, and the connection goes on") {
  ProxyFixture proxy;
  auto client = proxy.request("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next"));
  check_problem(client, 405);
  CHECK(client.field("Allow"));
  client.next_response();
  proxy.origin.next()->answer("next");
  REQUIRE(client.await_complete());
  auto connecting = proxy.request("CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n");
  check_problem(connecting, 405);
}

TEST_CASE("no upstream connection is 502, and the client's connection stays usable") {
  ProxyFixture proxy;
  proxy.origin.stop_listening();
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get("/2"));
  check_problem(client, 502);
  client.next_response();
  check_problem(client, 502);
  proxy.origin.listen_again();
  client.next_response();
  client.send(get("/3"));
  proxy.origin.next()->answer("three");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "three");
}

TEST_CASE("an upstream that closes without an answer is 502, HEAD gets no content with it") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/"));
  proxy.origin.next()->close();
  check_problem(client, 502);
  auto head = proxy.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  head.is_head_request = true;
  proxy.origin.next()->close();
  REQUIRE(head.await_complete());
  CHECK(head.status() == 502);
  proxy.settle();
  CHECK(head.rest().empty());
}

TEST_CASE("head_timeout makes a silent upstream 504, and counts from the end of the request") {
  auto options = limited([](gateway::Limits& limits) { limits.head_timeout = 60ms; });
  ProxyFixture proxy(options);
  auto client = proxy.request(get("/"));
  auto* origin = proxy.origin.next();
  check_problem(client, 504);
  REQUIRE(origin->await_gone());
  auto slow = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
  origin = proxy.origin.next_head();
  static_cast<void>(proxy.run_until([] { return false; }, 90ms));
  CHECK_FALSE(slow.response().has_head);
  slow.send("o");
  check_problem(slow, 504);
}

TEST_CASE("an upstream that takes no connection within connect_timeout is 504") {
  gateway::Options options;
  options.limits.connect_timeout = 60ms;
  ProxyFixture proxy(options);
  // A backlog that is full: the kernel drops what comes.
  proxy.origin.fill_backlog();
  auto client = proxy.request(get("/"));
  check_problem(client, 504);
}

TEST_CASE("content of a request that is answered with an error is drained up to 64 KiB, else the connection closes") {
  ProxyFixture proxy;
  proxy.origin.stop_listening();
  for (const std::size_t size : {60'000u, 300'000u}) {
    auto client = proxy.request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
    check_problem(client, 502);
    client.next_response();
    const std::string content(size, 'c');
    std::string_view left = content;
    static_cast<void>(proxy.run_until(
        [&] {
          left.remove_prefix(client.send_some(left));
          return left.empty() || client.has_ended();
        },
        2s));
    client.send(get("/2"));
    if (size < 64 * 1024) {
      check_problem(client, 502);
      CHECK_FALSE(client.has_ended());
    } else {
      REQUIRE(client.await_end());
      CHECK(client.rest().empty());
    }
  }
}

TEST_CASE("a large content that is refused does not cost the client its answer") {
  // Closing at once would reset the connection and could destroy the answer (RFC 9112 §9.6).
  ProxyFixture proxy;
  auto client = proxy.connect();
  const auto bytes =
      "PUT / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 500000\r\n\r\n" + std::string(500'000, 'c');
  std::string_view left = bytes;
  static_cast<void>(proxy.run_until(
      [&] {
        left.remove_prefix(client.send_some(left));
        return left.empty();
      },
      1s));
  check_problem(client, 400);
}

TEST_CASE(
    "limits.connections turns newcomers away with 503 and Retry-After, and an EventSource so that it comes again") {
  gateway::Options options;
  options.limits.connections = 2;
  options.routes = {session_route()};
  ProxyFixture proxy(options);
  auto first = proxy.get_stream("/events/a");
  proxy.origin.next()->begin_stream();
  auto second = proxy.get_stream("/events/b");
  proxy.origin.next()->begin_stream();
  REQUIRE(second.await_head());
  auto third = proxy.request(get("/x"));
  check_problem(third, 503);
  CHECK(third.field("Retry-After"));
  auto stream = proxy.get_stream("/events/c");
  REQUIRE(stream.await_broken());
  CHECK(stream.status() == 200);
  CHECK(stream.content().starts_with("retry: "));
  CHECK(proxy.origin.requests() == 2);
  second.close();
  REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 1; }));
  serves_another(proxy);
}

TEST_CASE("at limits.connections an idle keep-alive connection makes room") {
  gateway::Options options;
  options.limits.connections = 2;
  ProxyFixture proxy(options);
  auto idle = proxy.request(get("/1"));
  proxy.origin.next()->answer("one");
  REQUIRE(idle.await_complete());
  auto busy = proxy.request(get("/2"));
  auto* origin = proxy.origin.next();
  serves_another(proxy);
  REQUIRE(idle.await_end());
  origin->answer("two");
  REQUIRE(busy.await_complete());
}

TEST_CASE("at limits.connections the longest idle one makes room, and none that has not sent its first request") {
  gateway::Options options;
  options.limits.connections = 3;
  ProxyFixture proxy(options);
  auto fresh = proxy.connect();
  REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 1; }));
  std::vector<TestClient> idle;
  for (const char* target : {"/1", "/2"}) {
    idle.push_back(proxy.request(get(target)));
    proxy.origin.next()->answer("one");
    REQUIRE(idle.back().await_complete());
    proxy.settle();
  }
  auto newcomer = proxy.request(get("/3"));
  proxy.origin.next()->answer("three");
  REQUIRE(newcomer.await_complete());
  CHECK(idle[0].await_end());
  CHECK_FALSE(idle[1].has_ended());
  fresh.send(get("/4"));
  auto* origin = proxy.origin.next();
  // And where nobody is idle, the newcomer is told.
  auto other = proxy.connect();
  REQUIRE(idle[1].await_end());
  auto another = proxy.connect();
  REQUIRE(newcomer.await_end());
  auto refused = proxy.request(get("/5"));
  check_problem(refused, 503);
  CHECK(refused.field("Retry-After"));
  CHECK_FALSE(other.has_ended());
  CHECK_FALSE(another.has_ended());
  origin->answer("four");
  REQUIRE(fresh.await_complete());
  CHECK(fresh.content() == "four");
}

TEST_CASE("at limits.upstream_connections a request is 503 with Retry-After, and an unwatched session makes room") {
  gateway::Options options;
  options.limits.upstream_connections = 1;
  options.routes = {session_route()};
  ProxyFixture proxy(options);
  auto stream = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  REQUIRE(stream.await_head());
  auto refused = proxy.request(get("/x"));
  check_problem(refused, 503);
  CHECK(refused.field("Retry-After"));
  auto other = proxy.get_stream("/events/b");
  REQUIRE(other.await_broken());
  CHECK(other.status() == 200);
  stream.close();
  REQUIRE(proxy.run_until([&] { return proxy.worker().busy_sessions() == 0; }));
  serves_another(proxy);
  REQUIRE(origin->await_gone());
}
