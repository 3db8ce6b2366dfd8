// Requests and responses that no route matches pass through: what of them stays, goes and is added (RFC 9110 §7.6,
// RFC 9112).
#include <doctest/doctest.h>

#include "support/proxy_fixture.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

// The field lines of a head in their order.
std::vector<std::string> lines_of(const std::string& head) {
  std::vector<std::string> lines;
  for (auto at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const auto end = head.find("\r\n", at);
    lines.push_back(head.substr(at, end - at));
    at = end + 2;
  }
  return lines;
}

using Lines = std::vector<std::string>;

gateway::Options with_via() {
  gateway::Options options;
  options.via = true;
  return options;
}

}  // namespace

TEST_CASE("a request keeps the order, case and number of its fields, and gets the forwarding ones") {
  ProxyFixture proxy;
  auto client = proxy.request(
      "GET /a%2Fb?c=d&e HTTP/1.1\r\nhOST: example.test:8080\r\nX-b: 1\r\naCCEPT:  */* \r\nx-B: 2\r\n"
      "traceparent: 00-1-2-01\r\nX-Empty:\r\n\r\n");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.line() == "GET /a%2Fb?c=d&e HTTP/1.1");
  CHECK(lines_of(origin->request.head) == Lines{"hOST: example.test:8080", "X-b: 1", "aCCEPT: */*", "x-B: 2",
                                                "traceparent: 00-1-2-01", "X-Empty: ", "X-Forwarded-For: 127.0.0.1",
                                                "X-Forwarded-Proto: http", "X-Forwarded-Host: example.test:8080"});
}

TEST_CASE("X-Forwarded-For is appended to, -Proto and -Host stay where they are set") {
  ProxyFixture proxy;
  auto client = proxy.request(
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
      "x-forwarded-for: 10.0.0.2\r\nX-Forwarded-Host: outside.test\r\n\r\n");
  const auto request = proxy.origin.next()->request;
  CHECK(request.field("X-Forwarded-For") == "10.0.0.1, 10.0.0.2, 127.0.0.1");
  CHECK(request.count("X-Forwarded-For") == 1);
  CHECK(request.field("X-Forwarded-Proto") == "https");
  CHECK(request.count("X-Forwarded-Proto") == 1);
  CHECK(request.field("X-Forwarded-Host") == "outside.test");
  CHECK(request.count("X-Forwarded-Host") == 1);
}

TEST_CASE("hop-by-hop fields go both ways, and what Connection names, but never what says who asks for what") {
  ProxyFixture proxy;
  auto client = proxy.request(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine, Host, Cookie, authorization, Last-Event-ID, "
      "X-Forwarded-For\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nTE: trailers\r\n"
      "Cookie: c\r\nAuthorization: b\r\nLast-Event-ID: 7\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n");
  auto* origin = proxy.origin.next();
  const auto& request = origin->request;
  for (const auto* gone : {"Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"}) {
    CHECK_MESSAGE(!request.field(gone), gone);
  }
  CHECK(request.field("Host") == "a");
  CHECK(request.field("Cookie") == "c");
  CHECK(request.field("Authorization") == "b");
  CHECK(request.field("Last-Event-ID") == "7");
  CHECK(request.field("X-Forwarded-For") == "127.0.0.1");
  origin->answer("ok", 200,
                 "Connection: X-Theirs, close\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\nX-b: 1\r\nx-B: 2\r\n"
                 "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: s\r\n");
  REQUIRE(client.await_complete());
  CHECK(lines_of(client.response().head) ==
        Lines{"X-b: 1", "x-B: 2", "Set-Cookie: a=1", "Set-Cookie: b=2", "Server: s", "Content-Length: 2"});
  // The origin closes; that is no reason to close here.
  CHECK_FALSE(client.has_ended());
}

TEST_CASE("Via is added both ways if it is wanted, and not otherwise") {
  for (const bool via : {true, false}) {
    ProxyFixture proxy(via ? with_via() : gateway::Options{});
    auto client = proxy.request("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\n\r\n");
    auto* origin = proxy.origin.next();
    CHECK(origin->request.count("Via") == (via ? 2 : 1));
    CHECK(origin->request.field("Via") == "1.0 before");
    CHECK((origin->request.head.find("Via: 1.1 ssequel\r\n") != std::string::npos) == via);
    origin->answer("ok");
    REQUIRE(client.await_complete());
    CHECK(client.field("Via").has_value() == via);
  }
}

TEST_CASE("absolute-form goes up in origin-form, and its authority replaces the Host field") {
  ProxyFixture proxy;
  auto client = proxy.request("GET http://other.test:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto request = proxy.origin.next()->request;
  CHECK(request.line() == "GET /p?q HTTP/1.1");
  CHECK(request.field("Host") == "other.test:81");
  CHECK(request.count("Host") == 1);
  auto bare = proxy.request("GET http://other.test HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(proxy.origin.next()->request.line() == "GET / HTTP/1.1");
}

TEST_CASE("any method passes, OPTIONS with an asterisk too") {
  ProxyFixture proxy;
  for (const std::string line : {"OPTIONS * HTTP/1.1", "OPTIONS /a HTTP/1.1", "DELETE /a HTTP/1.1",
                                 "PROPFIND /a HTTP/1.1", "M-ake.IT_so! /a HTTP/1.1", "get /a HTTP/1.1"}) {
    auto client = proxy.request(line + "\r\nHost: a\r\n\r\n");
    auto* origin = proxy.origin.next();
    CHECK(origin->request.line() == line);
    origin->answer("ok");
    REQUIRE(client.await_complete());
  }
}

TEST_CASE("content with a length and content in chunks pass with their framing, trailers too") {
  ProxyFixture proxy;
  auto sized = proxy.request("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.field("Content-Length") == "5");
  CHECK(origin->request.content == "hello");
  origin->answer("", 201);
  REQUIRE(sized.await_complete());
  auto chunked = proxy.request(
      "POST /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      "2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 7\r\n\r\n");
  origin = proxy.origin.next();
  CHECK(origin->request.field("Transfer-Encoding") == "chunked");
  CHECK_FALSE(origin->request.field("Content-Length"));
  CHECK(origin->request.content == "hello");
  CHECK(origin->request.trailers == "X-Sum: 7\r\n");
  CHECK(origin->received().find("ext") == std::string::npos);
  origin->send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      "2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 8\r\nX-More: 1\r\n\r\n");
  REQUIRE(chunked.await_complete());
  CHECK(chunked.content() == "hello");
  CHECK(chunked.response().trailers == "X-Sum: 8\r\nX-More: 1\r\n");
  CHECK(chunked.socket.receive().find("ext") == std::string::npos);
}

TEST_CASE("a GET with content passes with it") {
  ProxyFixture proxy;
  auto client = proxy.request("GET /q HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
  CHECK(proxy.origin.next()->request.content == "ok");
}

TEST_CASE("HEAD, 204 and 304 have no content whatever their fields say, and the connection goes on") {
  ProxyFixture proxy;
  auto client = proxy.request("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
  client.is_head_request = true;
  auto* origin = proxy.origin.next();
  origin->send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.field("Content-Length") == "12345");
  client.next_response();
  client.send("HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n");
  origin = proxy.origin.next();
  origin->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  REQUIRE(client.await_complete());
  client.next_response();
  client.is_head_request = false;
  client.send("GET /c HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n");
  origin = proxy.origin.next();
  CHECK(origin->request.field("If-None-Match") == "\"x\"");
  origin->send("HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 304);
  client.next_response();
  client.send("GET /d HTTP/1.1\r\nHost: a\r\n\r\n");
  origin = proxy.origin.next();
  // RFC 9110 §8.6: a 204 has no Content-Length, and what claims one is not passed on as if it had.
  origin->send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK_FALSE(client.field("Content-Length"));
  CHECK_FALSE(client.field("Transfer-Encoding"));
  client.next_response();
  client.send("GET /e HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.origin.next()->answer("still here");
  REQUIRE(client.await_complete());
  CHECK(client.content() == "still here");
  CHECK(proxy.origin.connections() == 1);
}

TEST_CASE("HTTP/1.0 clients get what they can read: no chunks, no interim responses, keep-alive if they asked") {
  ProxyFixture proxy;
  auto client = proxy.request("GET /a HTTP/1.0\r\n\r\n");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.line() == "GET /a HTTP/1.1");
  CHECK(origin->request.field("Host"));
  origin->send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  origin->send("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(client.content() == "hello");
  CHECK(client.field("Connection") == "close");
  CHECK(client.end() == RawSocket::End::Eof);

  auto kept = proxy.request("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  proxy.origin.next()->answer("one");
  REQUIRE(kept.await_complete());
  CHECK(kept.field("Connection") == "keep-alive");
  kept.next_response();
  kept.send("GET /b HTTP/1.0\r\n\r\n");
  proxy.origin.next()->answer("two");
  REQUIRE(kept.await_complete());
  CHECK(kept.content() == "two");
  REQUIRE(kept.await_end());
}

TEST_CASE("an HTTP/1.0 upstream without a length is delimited by its end, and chunked for us") {
  ProxyFixture proxy;
  auto client = proxy.request("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  origin->send("HTTP/1.0 200 Fine\r\nX-A: 1\r\n\r\nhel");
  REQUIRE(client.await_content("hel"));
  CHECK(client.field("Transfer-Encoding") == "chunked");
  CHECK(client.response().head.starts_with("HTTP/1.1 200 Fine\r\n"));
  origin->send("lo");
  origin->close();
  REQUIRE(client.await_complete());
  CHECK(client.content() == "hello");
  CHECK_FALSE(client.has_ended());
}

TEST_CASE("a Last-Event-ID passes through byte for byte where no route matches, tags of ours too") {
  ProxyFixture proxy;
  auto client = proxy.resume("/a?lastEventId=1", "0123456789012345678901-7");
  const auto request = proxy.origin.next()->request;
  CHECK(request.field("Last-Event-ID") == "0123456789012345678901-7");
  CHECK(request.target() == "/a?lastEventId=1");
  CHECK_FALSE(request.field("Accept-Encoding"));
}

TEST_CASE("a client that leaves in the middle of an answer has its access line and is counted, once") {
  ProxyFixture proxy{gateway::Options()};
  for (const char* version : {"HTTP/1.1", "HTTP/1.0"}) {
    const auto before = proxy.logger.count("path=/download");
    auto client = proxy.request("GET /download " + std::string(version) + "\r\nHost: a\r\n\r\n");
    auto* origin = proxy.origin.next();
    origin->send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    REQUIRE(client.await_head());
    SUBCASE("it leaves") { client.close(); }
    SUBCASE("the upstream breaks off") { origin->close(); }
    REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 0; }, Millis(5000)));
    CHECK(proxy.logger.count("path=/download") == before + 1);
    CHECK(proxy.logger.lines.back().find("status=200") != std::string::npos);
    client.close();
  }
  CHECK(proxy.worker().counters().requests[{"", 200}] == 2);
}
