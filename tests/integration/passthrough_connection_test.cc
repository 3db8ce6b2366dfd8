// Connections of passed requests: kept alive on both sides, pooled, pipelined, continued, upgraded.
#include <doctest/doctest.h>

#include "support/proxy_fixture.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

std::string get(std::string_view target, std::string_view fields = {}) {
  return std::string("GET ").append(target).append(" HTTP/1.1\r\nHost: a\r\n").append(fields).append("\r\n");
}

}  // namespace

TEST_CASE("requests in a row share one connection on either side") {
  ProxyFixture proxy;
  auto client = proxy.connect();
  for (int i = 0; i < 5; ++i) {
    client.send(get("/" + std::to_string(i)));
    auto* origin = proxy.origin.next();
    CHECK(origin->request.target() == "/" + std::to_string(i));
    origin->answer("answer " + std::to_string(i));
    REQUIRE(client.await_complete());
    CHECK(client.content() == "answer " + std::to_string(i));
    client.next_response();
  }
  CHECK(proxy.origin.connections() == 1);
  // Other clients use it too.
  auto other = proxy.request(get("/other"));
  proxy.origin.next()->answer("x");
  REQUIRE(other.await_complete());
  CHECK(proxy.origin.connections() == 1);
}

TEST_CASE("a pooled connection that the upstream closed while idle is not used again") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/1"));
  auto* origin = proxy.origin.next();
  origin->answer("one");
  REQUIRE(client.await_complete());
  client.next_response();
  origin->close();
  REQUIRE(proxy.run_until([&] { return proxy.worker().pool().connections() == 0; }));
  client.send(get("/2"));
  proxy.origin.next()->answer("two");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "two");
}

TEST_CASE("a pooled connection that fails before a byte of its answer is replaced by a fresh one") {
  for (const bool by_reset : {false, true}) {
    ProxyFixture proxy;
    auto client = proxy.request(get("/1"));
    auto* origin = proxy.origin.next();
    origin->answer("one");
    REQUIRE(client.await_complete());
    client.next_response();
    client.send(get("/2"));
    REQUIRE(origin->await_request());
    if (by_reset) {
      origin->reset();
    } else {
      origin->close();
    }
    auto* fresh = proxy.origin.next();
    CHECK(fresh->request.target() == "/2");
    fresh->answer("two");
    REQUIRE(client.await_complete());
    CHECK(client.content() == "two");
    CHECK(proxy.origin.connections() == 2);
  }
}

TEST_CASE("what must not be sent twice is not: methods with an effect, content, an answer begun, a fresh connection") {
  struct Case {
    const char* name;
    std::string request;
    std::string answer;
    bool is_pooled;
  };
  for (const auto& [name, request, answer, is_pooled] :
       {Case{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", "", true},
        Case{"POST without content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "", true},
        Case{"POST without a length", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "", true},
        Case{"PATCH", "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", "", true},
        Case{"an answer begun", get("/2"), "HTTP/1.1 200 O", true}, Case{"a fresh connection", get("/2"), "", false}}) {
    INFO(name);
    ProxyFixture proxy;
    auto client = proxy.connect();
    if (is_pooled) {
      client.send(get("/1"));
      proxy.origin.next()->answer("one");
      REQUIRE(client.await_complete());
      client.next_response();
    }
    client.send(request);
    auto* origin = proxy.origin.next();
    if (!answer.empty()) origin->send(answer);
    origin->close();
    REQUIRE(client.await_complete());
    CHECK(client.status() == 502);
    CHECK(proxy.origin.connections() == 1);
  }
}

TEST_CASE("a pooled connection that the upstream speaks on unasked is dropped: no answer goes to the wrong request") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/1"));
  auto* origin = proxy.origin.next();
  // More than asked for: in the same segment, and later.
  origin->send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "one");
  client.next_response();
  client.send(get("/2"));
  auto* second = proxy.origin.next();
  CHECK(second != origin);
  second->answer("two");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "two");
  client.next_response();
  second->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  REQUIRE(second->await_gone());
  client.send(get("/3"));
  auto* third = proxy.origin.next();
  CHECK(third != second);
  third->answer("three");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "three");
}

TEST_CASE("an upstream connection is not used again after Connection: close, HTTP/1.0, or a content cut off early") {
  ProxyFixture proxy;
  for (const std::string answer : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
                                   "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"}) {
    auto client = proxy.request(get("/"));
    auto* origin = proxy.origin.next();
    origin->send(answer);
    REQUIRE(client.await_complete());
    REQUIRE(origin->await_gone());
    client.next_response();
  }
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
  auto* origin = proxy.origin.next_head();
  origin->answer("enough", 413);
  REQUIRE(client.await_complete());
  CHECK(client.status() == 413);
  REQUIRE(origin->await_gone());
  // The rest of the content is taken, and the next request is the next request.
  client.next_response();
  client.send("world" + get("/next"));
  auto* fresh = proxy.origin.next();
  CHECK(fresh->request.target() == "/next");
  fresh->answer("next");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "next");
}

TEST_CASE("pipelined requests are answered in order, one upstream request at a time") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/1") + "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok" + get("/3"));
  for (const auto* target : {"/1", "/2", "/3"}) {
    auto* origin = proxy.origin.next();
    CHECK(origin->request.target() == target);
    proxy.settle();
    CHECK(proxy.origin.requests() == static_cast<std::size_t>(target[1] - '0'));
    origin->answer(target);
  }
  for (const auto* target : {"/1", "/2", "/3"}) {
    REQUIRE(client.await_complete());
    CHECK(client.content() == target);
    client.next_response();
  }
}

TEST_CASE("requests behind an unfinished one are held back without bound on their number, but not on memory") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/first"));
  auto* origin = proxy.origin.next();
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += get("/" + std::to_string(i), "X-Fill: " + std::string(200, 'x') + "\r\n");
  client.socket.set_buffers(256 * 1024);
  std::string_view left = many;
  static_cast<void>(proxy.run_until(
      [&] {
        left.remove_prefix(client.send_some(left));
        return false;
      },
      100ms));
  CHECK(left.size() > many.size() / 4);
  origin->answer("first");
  for (int i = 0; i < 100; ++i) {
    auto* next = proxy.origin.next();
    CHECK(next->request.target() == "/" + std::to_string(i));
    next->answer("x");
  }
}

TEST_CASE("nothing behind a request for Connection: close is looked at") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/1", "Connection: close\r\n") + get("/2"));
  proxy.origin.next()->answer("one");
  REQUIRE(client.await_end());
  CHECK(client.field("Connection") == "close");
  CHECK(client.content() == "one");
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a request behind an event stream's is never executed") {
  gateway::Options options;
  options.routes = {session_route(), shared_route("/shared")};
  options.routes[1].linger = 0ms;
  options.routes[1].max_age = 20ms;
  ProxyFixture proxy(options);
  auto client = proxy.request(get("/events/a", "Accept: text/event-stream\r\n") + get("/evil"));
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  client.send(get("/evil"));
  proxy.settle();
  origin->end_stream();
  REQUIRE(client.await_complete());
  REQUIRE(client.await_end());
  CHECK(client.rest().empty());
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("Expect: 100-continue goes up, its 100 comes down, and the content follows") {
  ProxyFixture proxy;
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  auto* origin = proxy.origin.next_head();
  CHECK(origin->request.field("Expect") == "100-continue");
  origin->send("HTTP/1.1 100 Continue\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 100);
  client.next_response();
  client.send("hello");
  REQUIRE(origin->await_rest("hello"));
  origin->answer("thanks");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "thanks");
  CHECK_FALSE(client.has_ended());
}

TEST_CASE("a final answer to Expect: 100-continue is passed on, and the connection is not misread") {
  ProxyFixture proxy;
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  auto* origin = proxy.origin.next_head();
  origin->answer("no", 417);
  REQUIRE(client.await_complete());
  CHECK(client.status() == 417);
  CHECK(client.content() == "no");
  client.send(get("/evil"));
  REQUIRE(client.await_end());
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("interim responses pass with their fields, in order") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/"));
  auto* origin = proxy.origin.next();
  origin->send("HTTP/1.1 102 Processing\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 102);
  client.next_response();
  origin->send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 103);
  CHECK(client.response().count("Link") == 2);
  CHECK_FALSE(client.field("X-Hop"));
  client.next_response();
  origin->answer("ok");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "ok");
}

TEST_CASE("an upgrade becomes a tunnel for bytes both ways, with what came behind the heads") {
  ProxyFixture proxy;
  auto client = proxy.request(
      get("/chat", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n") + "early");
  auto* origin = proxy.origin.next_head();
  CHECK(origin->request.field("Upgrade") == "websocket");
  CHECK(origin->request.field("Connection") == "upgrade");
  CHECK(origin->request.field("Sec-WebSocket-Key") == "k");
  proxy.settle();
  CHECK(origin->rest().empty());  // Nothing goes before the 101 (it may be refused).
  origin->send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\nhello");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 101);
  CHECK(client.field("Upgrade") == "websocket");
  CHECK(client.field("Connection") == "upgrade");
  CHECK(client.field("X-A") == "1");
  REQUIRE(origin->await_rest("early"));
  REQUIRE(proxy.run_until([&] { return client.rest() == "hello"; }));
  client.send(std::string("\0\xff raw", 6));
  REQUIRE(origin->await_rest(std::string("\0\xff raw", 6)));
  origin->send("GET / HTTP/1.1\r\n\r\n");
  REQUIRE(proxy.run_until([&] { return client.rest() == "helloGET / HTTP/1.1\r\n\r\n"; }));
  // A FIN passes on, and the other direction stays open until its own.
  client.socket.finish_sending();
  REQUIRE(origin->await_gone());
  CHECK(origin->socket.end() == RawSocket::End::Eof);
  origin->send("bye");
  REQUIRE(proxy.run_until([&] { return client.rest().ends_with("bye"); }));
  origin->close();
  REQUIRE(client.await_end());
  CHECK(client.end() == RawSocket::End::Eof);
  REQUIRE(proxy.run_until([&] { return proxy.worker().busy_sessions() == 0; }));
  CHECK(proxy.worker().pool().connections() == 0);
}

TEST_CASE("a tunnel holds each side back while the other does not read, and loses nothing") {
  ProxyFixture proxy;
  auto client = proxy.connect();
  client.socket.set_buffers(256 * 1024);
  client.send(get("/", "Connection: Upgrade\r\nUpgrade: x\r\n"));
  auto* origin = proxy.origin.next_head();
  origin->send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  REQUIRE(client.await_complete());
  const std::string much(32 * 1024 * 1024, 'm');
  std::string_view left = much;
  std::size_t before = 0;
  REQUIRE(proxy.run_until([&] {
    before = left.size();
    left.remove_prefix(origin->send_some(left));
    static_cast<void>(proxy.run_until([] { return false; }, 50ms));
    return left.size() == before;
  }));
  CHECK(left.size() > much.size() / 2);
  REQUIRE(proxy.run_until([&] {
    left.remove_prefix(origin->send_some(left));
    return client.rest().size() == much.size();
  }));
  origin->reset();
  REQUIRE(client.await_end());
  CHECK(client.end() == RawSocket::End::Reset);
}

TEST_CASE("an upgrade that is declined is an answer like any other, and what came behind it the next request") {
  ProxyFixture proxy;
  auto client = proxy.request(get("/1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  auto* origin = proxy.origin.next_head();
  origin->answer("no", 426, "Upgrade: other\r\nConnection: Upgrade\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 426);
  CHECK(client.content() == "no");
  CHECK(client.field("Upgrade") == "other");  // RFC 9110 §15.5.22: a 426 says what to.
  client.next_response();
  client.send(get("/2"));
  proxy.origin.next()->answer("two");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "two");
}

TEST_CASE("a 101 that nobody asked for is a bad response, h2c is never asked for") {
  ProxyFixture proxy;
  auto client =
      proxy.request(get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"));
  auto* origin = proxy.origin.next();
  CHECK_FALSE(origin->request.field("Upgrade"));
  CHECK_FALSE(origin->request.field("Connection"));
  CHECK_FALSE(origin->request.field("HTTP2-Settings"));
  origin->send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 502);
}
