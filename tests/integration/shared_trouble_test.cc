// Trouble is not an answer: what a GET that accepts an event stream by name gets instead of an error, because any
// status but 200 ends an EventSource for ever (WHATWG HTML §9.2.3).
#include <doctest/doctest.h>

#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

constexpr std::string_view kEventSource = "Cache-Control: no-cache\r\n";

// The milliseconds of a response that is one retry line.
std::uint64_t retry_of(const std::string& content) {
  REQUIRE(content.starts_with("retry: "));
  const auto end = content.find('\n');
  return number_of(std::string_view(content).substr(7, end - 7));
}

void check_without_data(TestClient& client) {
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(client.field("Content-Type") == "text/event-stream");
  CHECK(client.content().find("data") == std::string::npos);
  CHECK(client.content().find("id:") == std::string::npos);
}

}  // namespace

TEST_CASE("what would be an error is 200, a jittered retry and the end") {
  ProxyFixture proxy(public_route());
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    INFO(status);
    auto client = proxy.get_stream("/events/a", kEventSource);
    proxy.origin.next()->answer("trouble", status);
    check_without_data(client);
    const auto retry = retry_of(client.content());
    CHECK(retry >= 3000);
    CHECK(retry <= 6000);
    // To an EventSource, the line before our own ending is followed by an empty one.
    CHECK(client.content() == "retry: " + std::to_string(retry) + "\n\n");
    CHECK(proxy.logger.lines.back().find("status=200") != std::string::npos);
    CHECK(proxy.logger.lines.back().find("cause=" + std::to_string(status)) != std::string::npos);
  }
  CHECK(proxy.counters("shared").trouble[static_cast<std::size_t>(relay::TroubleReason::Status)] == 7);
}

TEST_CASE("an upstream that is away, breaks off or talks nonsense is trouble too") {
  ProxyFixture proxy(public_route());
  const auto count = [&](relay::TroubleReason reason) {
    return proxy.counters("shared").trouble[static_cast<std::size_t>(reason)];
  };
  auto broken = proxy.get_stream("/events/a");
  proxy.origin.next()->close();
  check_without_data(broken);
  auto nonsense = proxy.get_stream("/events/a");
  proxy.origin.next()->send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  check_without_data(nonsense);
  CHECK(count(relay::TroubleReason::BadResponse) == 2);
  proxy.origin.stop_listening();
  auto refused = proxy.get_stream("/events/a");
  check_without_data(refused);
  CHECK(count(relay::TroubleReason::Connect) == 1);
}

TEST_CASE("an upstream whose head takes longer than head_timeout is trouble: 504 behind the 200") {
  gateway::Options options = with_route(public_route());
  options.limits.head_timeout = Millis(40);
  ProxyFixture proxy(options);
  auto client = proxy.get_stream("/events/a");
  auto* upstream = proxy.origin.next();
  check_without_data(client);
  CHECK(proxy.logger.count("cause=504") == 1);
  CHECK(upstream->await_gone());
}

TEST_CASE("the retry in trouble is the route's or more, no sooner than Retry-After, at most five minutes") {
  auto route = public_route();
  route.retry = Millis(100);
  ProxyFixture proxy(route);
  const auto retry_after = [&](std::string_view fields) {
    auto client = proxy.get_stream("/events/a");
    proxy.origin.next()->answer("", 503, fields);
    check_without_data(client);
    return retry_of(client.content());
  };
  const auto own = retry_after("");
  CHECK(own >= 100);
  CHECK(own <= 200);
  CHECK(retry_after("Retry-After: 7\r\n") >= 7000);
  CHECK(retry_after("Retry-After: 7\r\n") <= 7200);
  for (const char* longer : {"Retry-After: 4000\r\n", "Retry-After: Fri, 01 Jan 2999 00:00:00 GMT\r\n"}) {
    CHECK(retry_after(longer) <= 300'000);
    CHECK(retry_after(longer) >= 299'900);
  }
  CHECK(retry_after("Retry-After: Fri, 01 Jan 1999 00:00:00 GMT\r\n") <= 200);
}

TEST_CASE("the answer without data allows the request's own Origin, with credentials") {
  ProxyFixture proxy(public_route());
  auto client = proxy.get_stream("/events/a", "Origin: https://page.test\r\n");
  proxy.origin.next()->answer("", 503);
  check_without_data(client);
  CHECK(client.field("Access-Control-Allow-Origin") == "https://page.test");
  CHECK(client.field("Access-Control-Allow-Credentials") == "true");
}

TEST_CASE("our_end: cut breaks the answer without data off") {
  auto route = public_route();
  route.our_end = relay::OurEnd::Cut;
  ProxyFixture proxy(route);
  auto client = proxy.get_stream("/events/a");
  proxy.origin.next()->answer("", 503);
  REQUIRE(client.await_broken());
  CHECK(client.status() == 200);
  CHECK(client.content().starts_with("retry: "));
}

TEST_CASE("one that does not accept an event stream by name gets the true answer") {
  auto route = public_route();
  route.match.accept = relay::Accept::Any;
  ProxyFixture proxy(route);
  auto client = proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
  proxy.origin.next()->answer("try later", 503, "Retry-After: 9\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 503);
  CHECK(client.content() == "try later");
  CHECK(client.field("Retry-After") == "9");
  auto broken = proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.origin.next()->close();  // A kept connection: the request is repeated on a fresh one.
  proxy.origin.next()->close();
  REQUIRE(broken.await_complete());
  CHECK(broken.status() == 502);
  CHECK(broken.field("Content-Type") == "application/problem+json");
}

TEST_CASE("of a log it may read, a subscriber gets its replay and stays on heartbeats while the channel reconnects") {
  auto route = public_route();
  route.heartbeat = Millis(20);
  SharedStory story(route);
  for (const auto* data : {"one", "two"}) story.say(data);
  story.proxy.origin.stop_listening();
  story.upstream->close();
  auto again = story.join_after(story.id_of("one"));
  REQUIRE(again.await_content("data: two\n\n:\n:\n"));
  auto fresh = story.join();
  REQUIRE(fresh.await_content(":\n"));
  story.proxy.origin.listen_again();
  story.upstream = story.proxy.origin.next();
  story.upstream->begin_stream();
  story.say("three");
  CHECK(again.await_content("data: three\n\n"));
  CHECK(fresh.await_content("data: three\n\n"));
}

TEST_CASE("one who waits for an upstream that had a stream and is in trouble joins the log it may read") {
  auto route = public_route();
  route.linger = Millis(1);
  SharedStory story(route);
  story.say("one");
  story.first.close();
  REQUIRE(story.upstream->await_gone());
  auto again = story.proxy.get_stream("/events/a");
  story.proxy.origin.next()->answer("", 503);
  REQUIRE(again.await_head());
  CHECK(again.field("Ssequel-Resume") == "live");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: two\n\n");
  REQUIRE(again.await_content("data: two\n\n"));
  CHECK_FALSE(again.has_ended());
}

TEST_CASE("an odd answer to a reconnect is relayed to the one who waits for it, trouble to the others") {
  auto route = public_route();
  route.match.accept = relay::Accept::Any;
  route.key.push_back({relay::KeyPart::Kind::Identity, ""});
  const std::string who = "Authorization: a\r\n";
  SharedStory story(route, who);
  story.say("one");
  story.upstream->close();
  story.upstream = story.proxy.origin.next();
  auto first = story.proxy.get_stream("/events/a", who);
  auto second = story.proxy.request("GET /events/a HTTP/1.1\r\nHost: example.test\r\n" + who + "\r\n");
  story.proxy.settle();
  story.upstream->answer("elsewhere", 302, "Location: /login\r\n");
  REQUIRE(first.await_complete());
  CHECK(first.status() == 302);
  CHECK(first.content() == "elsewhere");
  REQUIRE(second.await_complete());
  CHECK(second.status() == 502);
}
