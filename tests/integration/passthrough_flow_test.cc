// Content streams both ways with backpressure and bounded memory; what breaks off on one side breaks off on the other.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/proxy_fixture.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

constexpr std::size_t kMuch = 32 * 1024 * 1024;
// What sockets and the proxy may hold together while nobody reads: far less than everything.
constexpr std::size_t kHeld = 12 * 1024 * 1024;

// Bytes that differ everywhere, so that what is lost, doubled or swapped shows.
std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 12345;
  for (auto& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

}  // namespace

TEST_CASE("a response streams: each piece arrives before the next was sent") {
  ProxyFixture proxy;
  auto client = proxy.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  origin->send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
  REQUIRE(client.await_head());
  for (const std::string piece : {"on", "et", "wo"}) {
    origin->send(piece);
    REQUIRE(client.await_content(piece));
  }
  CHECK(client.is_complete());
}

TEST_CASE("a request streams: each piece arrives before the next was sent, in chunks too") {
  ProxyFixture proxy;
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  auto* origin = proxy.origin.next_head();
  client.send("3\r\none\r\n");
  REQUIRE(origin->await_rest("3\r\none\r\n"));
  client.send("3\r\ntwo\r\n");
  REQUIRE(origin->await_rest("3\r\ntwo\r\n"));
  client.send("0\r\n\r\n");
  REQUIRE(origin->await_rest("0\r\n\r\n"));
  origin->answer("ok");
  REQUIRE(client.await_complete());
}

TEST_CASE("a client that does not read holds the upstream back, and gets every byte in the end") {
  ProxyFixture proxy;
  auto client = proxy.connect();
  client.socket.set_buffers(256 * 1024);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  const auto content = pattern(kMuch);
  origin->send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kMuch) + "\r\n\r\n");
  std::string_view left = content;
  const auto feed = [&] { left.remove_prefix(origin->send_some(left)); };
  std::size_t before = 0;
  REQUIRE(proxy.run_until([&] {  // Until it takes no more for a while.
    before = left.size();
    feed();
    static_cast<void>(proxy.run_until([] { return false; }, 50ms));
    return left.size() == before;
  }));
  CHECK(kMuch - left.size() < kHeld);
  REQUIRE(proxy.run_until([&] {
    feed();
    return client.socket.receive().size() >= kMuch;
  }));
  REQUIRE(client.await_complete());
  CHECK(client.content() == content);
  CHECK_FALSE(client.has_ended());
}

TEST_CASE("an upstream that does not read holds the client back, and gets every byte in the end") {
  for (const bool in_chunks : {false, true}) {
    ProxyFixture proxy;
    proxy.origin.set_buffers(256 * 1024);
    auto content = pattern(kMuch);
    auto client = proxy.connect();
    client.socket.set_buffers(256 * 1024);
    std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\n";
    if (in_chunks) {
      bytes += "Transfer-Encoding: chunked\r\n\r\n2000000\r\n" + content + "\r\n0\r\n\r\n";
    } else {
      bytes += "Content-Length: " + std::to_string(kMuch) + "\r\n\r\n" + content;
    }
    std::string_view left = bytes;
    std::size_t before = 0;
    REQUIRE(proxy.run_until([&] {
      before = left.size();
      left.remove_prefix(client.send_some(left));
      static_cast<void>(proxy.run_until([] { return false; }, 50ms));
      return left.size() == before;
    }));
    CHECK(bytes.size() - left.size() < kHeld);
    std::size_t size = 0;
    OriginConnection* origin = proxy.origin.next_head();
    REQUIRE(proxy.run_until([&] {
      left.remove_prefix(client.send_some(left));
      const auto now = origin->rest().size();
      const bool quiet = left.empty() && now == size && now >= kMuch;
      size = now;
      return quiet;
    }));
    if (in_chunks) {
      const auto rest =
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + std::string(origin->rest());
      const auto read = read_response(rest, false, false);
      CHECK(read.state == ReceivedResponse::State::Complete);
      CHECK(read.content == content);
    } else {
      CHECK(origin->rest() == content);
    }
    origin->answer("taken");
    REQUIRE(client.await_complete());
  }
}

TEST_CASE("both sides may send at once: a response before the request's end is no end of the request") {
  ProxyFixture proxy;
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  auto* origin = proxy.origin.next_head();
  origin->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const std::string piece : {"aa", "bb"}) {
    origin->chunk(piece);
    REQUIRE(client.await_content(piece));
    client.send("2\r\n" + piece + "\r\n");
    REQUIRE(origin->await_rest(piece));
  }
  client.send("0\r\n\r\n");
  REQUIRE(origin->await_rest("0\r\n\r\n"));
  origin->end_stream();
  REQUIRE(client.await_complete());
}

TEST_CASE("a response that breaks off mid-way is seen as broken, whatever its framing and the client's") {
  struct Case {
    const char* head;
    const char* content;
  };
  for (const auto& [head, content] :
       {Case{"Content-Length: 100\r\n", "hello"}, Case{"Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"},
        Case{"Transfer-Encoding: chunked\r\n", "a\r\nhello"}}) {
    for (const bool by_reset : {false, true}) {
      for (const auto* version : {"HTTP/1.1", "HTTP/1.0"}) {
        INFO(head, content, by_reset, version);
        ProxyFixture proxy;
        auto client = proxy.request(std::string("GET / ") + version + "\r\nHost: a\r\n\r\n");
        auto* origin = proxy.origin.next();
        origin->send(std::string("HTTP/1.1 200 OK\r\n") + head + "\r\n" + content);
        REQUIRE(client.await_content("hello"));
        if (by_reset) {
          origin->reset();
        } else {
          origin->close();
        }
        REQUIRE(client.await_broken());
      }
    }
  }
}

TEST_CASE("a close-delimited response that is reset is broken off: chunked by the missing end, for HTTP/1.0 by reset") {
  for (const auto* version : {"HTTP/1.1", "HTTP/1.0"}) {
    ProxyFixture proxy;
    auto client = proxy.request(std::string("GET / ") + version + "\r\nHost: a\r\n\r\n");
    auto* origin = proxy.origin.next();
    origin->send("HTTP/1.1 200 OK\r\n\r\nhello");
    REQUIRE(client.await_content("hello"));
    origin->reset();
    REQUIRE(client.await_broken());
  }
}

TEST_CASE("garbage in the middle of a response breaks it off") {
  ProxyFixture proxy;
  auto client = proxy.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* origin = proxy.origin.next();
  origin->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n");
  REQUIRE(client.await_broken());
  CHECK(client.content() == "hello");
  REQUIRE(origin->await_gone());
}

TEST_CASE("a client that leaves cancels the upstream request") {
  ProxyFixture proxy;
  for (const bool by_reset : {false, true}) {
    for (const bool has_head : {false, true}) {
      auto client = proxy.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      auto* origin = proxy.origin.next();
      if (has_head) {
        origin->send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        REQUIRE(client.await_content("abc"));
      }
      if (by_reset) {
        client.reset();
      } else {
        client.close();
      }
      REQUIRE(origin->await_gone());
    }
  }
  REQUIRE(proxy.run_until([&] { return proxy.worker().pool().connections() == 0; }));
}

TEST_CASE("a client that leaves in the middle of its content cancels the upstream request") {
  ProxyFixture proxy;
  auto client = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello");
  auto* origin = proxy.origin.next_head();
  REQUIRE(origin->await_rest("hello"));
  client.close();
  REQUIRE(origin->await_gone());
  CHECK(origin->rest() == "hello");
}
