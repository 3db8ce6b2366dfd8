// What a session's log keeps: nothing that nobody was sent is evicted but by the limits on memory and channels.
#include <doctest/doctest.h>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route small_window(std::uint64_t events) {
  auto route = post_route();
  route.window.events = events;
  route.window.bytes = 8 * 1024;
  route.event_bytes = 2 * 1024;
  return route;
}

std::string numbered(std::size_t number, std::size_t size = 0) {
  return "data: " + std::to_string(number) + (size == 0 ? "" : " " + std::string(size, '.')) + "\n\n";
}

}  // namespace

TEST_CASE("nothing that no subscriber was sent is evicted: reading stops when the window is full, and goes on") {
  for (const std::uint64_t events : {4, 0}) {  // By number, by bytes.
    ProxyFixture proxy(small_window(events));
    Session session(proxy);
    session.drop(proxy);
    for (std::size_t i = 2; i <= 101; ++i) session.origin->chunk(numbered(i, 1000));
    proxy.settle();
    auto* host = proxy.worker().channels().find(tag_of(session.id));
    REQUIRE(host);
    CHECK(host->channel().is_upstream_paused());
    CHECK(host->channel().log()->window_bytes() <= 9 * 1024);
    auto again = proxy.resume("/events/a", session.id);
    REQUIRE(again.await_events(100));
    const auto data = again.data();
    for (std::size_t i = 0; i < 100; ++i) CHECK(data[i].starts_with(std::to_string(i + 2) + " "));
    CHECK(again.content().find("sync-required") == std::string::npos);
    session.origin->chunk(numbered(102));
    REQUIRE(again.await_events(101));
  }
}

TEST_CASE("a client that reads slowly loses nothing, and the upstream waits for it") {
  ProxyFixture proxy(small_window(0));
  proxy.origin.set_buffers(256 * 1024);
  auto client = proxy.connect();
  client.socket.set_buffers(256 * 1024);
  client.send("GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  const std::size_t count = 20'000;
  std::string all;
  for (std::size_t i = 1; i <= count; ++i) all += numbered(i, 1000);
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", all.size());
  all = size + all + "\r\n0\r\n\r\n";
  std::string_view left = all;
  const auto feed = [&] { left.remove_prefix(origin->send_some(left)); };
  // It reads nothing: what is in flight is bounded by windows and sockets.
  static_cast<void>(proxy.run_until(
      [&] {
        feed();
        return false;
      },
      150ms));
  CHECK(left.size() > all.size() / 2);
  REQUIRE(proxy.run_until([&] {
    feed();
    return client.socket.end() != RawSocket::End::None || client.socket.receive().ends_with("0\r\n\r\n");
  }));
  const auto data = client.data();
  REQUIRE(data.size() == count);
  for (std::size_t i = 0; i < count; ++i) REQUIRE(data[i].starts_with(std::to_string(i + 1) + " "));
}

TEST_CASE("only store_bytes takes more: who was reading there is told lagged, and on POST broken off") {
  for (const bool by_post : {false, true}) {
    gateway::Options options;
    auto route = post_route();
    options.routes = {route};
    options.limits.store_bytes = 64 * 1024;
    ProxyFixture proxy(options);
    Session session(proxy, by_post ? proxy.request(post("/events/a", "x")) : proxy.get_stream("/events/a"));
    session.drop(proxy);
    for (std::size_t i = 2; i <= 301; ++i) session.origin->chunk(numbered(i, 1000));
    REQUIRE(proxy.run_until([&] {
      auto* host = proxy.worker().channels().find(tag_of(session.id));
      return host && host->channel().log()->appended() == 301;
    }));
    CHECK(proxy.worker().channels().bytes() <= 64 * 1024);
    auto again = proxy.resume("/events/a", session.id);
    REQUIRE(again.await_events(1));
    CHECK(again.field("Ssequel-Resume") == "sync-required; reason=window");
    CHECK(again.events()[0].id == tag_of(session.id) + "-301");
  }
}

TEST_CASE("a reader that memory limits overtook is told lagged by GET, and broken off by POST") {
  for (const bool by_post : {false, true}) {
    gateway::Options options;
    options.routes = {post_route()};
    options.limits.store_bytes = 64 * 1024;
    ProxyFixture proxy(options);
    auto opened = proxy.connect();
    opened.socket.set_buffers(256 * 1024);
    opened.send(by_post ? post("/events/a", "x")
                        : "GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    Session session(proxy, std::move(opened));
    std::string all;
    const std::size_t count = 8000;
    for (std::size_t i = 2; i <= count; ++i) {
      const auto event = numbered(i, 1000);
      all += "400\r\n" + event + std::string(1024 - event.size(), '\n') + "\r\n";
    }
    // Read by nobody for a while.
    std::string_view left = all;
    REQUIRE(proxy.run_until([&] {
      left.remove_prefix(session.origin->send_some(left));
      return proxy.worker().channels().find(tag_of(session.id))->channel().log()->appended() == count;
    }));
    if (by_post) {
      REQUIRE(session.client.await_broken());
    } else {
      REQUIRE(session.client.await_content("lagged"));
      session.origin->chunk(numbered(count + 1));
      REQUIRE(session.client.await_content(std::to_string(count + 1) + "\n\n"));
    }
    // Contiguous up to the gap, and behind it.
    std::uint64_t before = 0;
    bool has_lagged = false;
    for (const auto& event : session.client.events()) {
      const auto number = std::stoull(event.id.substr(event.id.find('-') + 1));
      if (event.event == "sync-required") {
        CHECK(event.data.find("\"lagged\"") != std::string::npos);
        CHECK(number == count);  // It goes on live.
        has_lagged = true;
      } else {
        CHECK(number == before + 1);
      }
      before = number;
    }
    CHECK(has_lagged);
    CHECK(before == (by_post ? count : count + 1));
  }
}

TEST_CASE("at limits.channels the session that was watched least recently makes room, upstream and all") {
  gateway::Options options;
  options.routes = {session_route()};
  options.limits.channels = 2;
  ProxyFixture proxy(options);
  Session first(proxy);
  Session second(proxy);
  second.client.close();
  REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 1; }));
  static_cast<void>(proxy.run_until([] { return false; }, 5ms));
  first.drop(proxy);
  Session third(proxy);
  REQUIRE(second.origin->await_gone());
  CHECK_FALSE(first.origin->is_gone());
  auto again = proxy.resume("/events/a", first.id);
  REQUIRE(again.await_head());
  CHECK(again.field("Ssequel-Resume") == "live");
  // Every one is watched now: a newcomer is turned away, an EventSource so that it comes again.
  auto turned_away = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  REQUIRE(turned_away.await_broken());
  CHECK(turned_away.status() == 200);
  CHECK(turned_away.content().starts_with("retry: "));
  REQUIRE(origin->await_gone());
}

TEST_CASE("at limits.channels a POST stream is turned away with 503 and Retry-After") {
  gateway::Options options;
  options.routes = {post_route()};
  options.limits.channels = 1;
  ProxyFixture proxy(options);
  Session first(proxy);
  auto turned_away = proxy.request(post("/events/a", "x"));
  proxy.origin.next()->begin_stream();
  REQUIRE(turned_away.await_complete());
  CHECK(turned_away.status() == 503);
  CHECK(turned_away.field("Retry-After"));
}
