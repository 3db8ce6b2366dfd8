// The clean goodbye of shared routes: streams end at an event's end with a spread retry, who comes late is sent on.
#include <doctest/doctest.h>

#include "gateway/shared_request.h"
#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

using gateway::DrainPhase;

gateway::Options draining(relay::Route route = public_route()) {
  auto options = with_route(std::move(route));
  options.drain.retry_spread = Millis(2000);
  return options;
}

std::uint64_t last_retry(const std::string& content) {
  const auto at = content.rfind("retry: ");
  REQUIRE(at != std::string::npos);
  return number_of(std::string_view(content).substr(at + 7, content.find('\n', at) - at - 7));
}

}  // namespace

TEST_CASE("until the streams end, a draining proxy serves as before") {
  SharedStory story(draining());
  story.proxy.worker().set_drain(DrainPhase::Announced);
  story.say("one");
  auto late = story.join();
  story.say("two");
  CHECK(late.await_events(1));
}

TEST_CASE("each subscriber gets a retry spread over retry_spread and a clean end") {
  SharedStory story(draining(), "Cache-Control: no-cache\r\n");
  auto second = story.join();
  story.say("one");
  REQUIRE(second.await_events(1));
  story.proxy.worker().set_drain(DrainPhase::Ending);
  REQUIRE(story.first.await_complete());
  REQUIRE(second.await_complete());
  for (auto* client : {&story.first, &second}) {
    const auto retry = last_retry(client->content());
    CHECK(retry >= 3000);
    CHECK(retry <= 5000);
    CHECK(client->data().back() == "one");
    CHECK(client->await_end());
  }
  CHECK(story.first.content().ends_with("\n\n"));  // An EventSource's.
  CHECK(second.content().ends_with("data: one\n\nretry: " + std::to_string(last_retry(second.content())) + "\n"));
  CHECK(story.proxy.run_until([&] { return story.proxy.worker().busy_sessions() == 0; }));
}

TEST_CASE("our_end: cut breaks the streams off instead") {
  auto route = public_route();
  route.our_end = relay::OurEnd::Cut;
  SharedStory story(draining(route));
  story.say("one");
  story.proxy.worker().set_drain(DrainPhase::Ending);
  REQUIRE(story.first.await_broken());
  CHECK(story.first.content().find("data: one\n\nretry: ") != std::string::npos);
}

TEST_CASE("who comes or still waits when the streams end gets 200, a retry and the end") {
  ProxyFixture proxy(draining());
  auto waiting = proxy.get_stream("/events/a");
  static_cast<void>(proxy.origin.next());
  auto keeping = proxy.connect();
  proxy.settle();
  proxy.worker().set_drain(DrainPhase::Ending);
  auto late = proxy.get_stream("/events/a");
  for (auto* client : {&waiting, &late}) {
    REQUIRE(client->await_complete());
    CHECK(client->status() == 200);
    const auto retry = last_retry(client->content());
    CHECK(retry >= 3000);
    CHECK(retry <= 5000);
    CHECK(client->events().empty());
    CHECK(client->await_end());
  }
  CHECK(keeping.await_end());  // Idle connections are of no more use.
  CHECK(proxy.origin.requests() == 1);
  CHECK(proxy.counters("shared").trouble[static_cast<std::size_t>(relay::TroubleReason::Drain)] == 2);
}

TEST_CASE("a request that another loop sent here before the drain and that arrives within it is told, too") {
  auto options = draining();
  ProxyFixture proxy(options);
  const auto route = proxy.worker().settings().routes.front();
  const auto listener = RawSocket::listening();
  TestClient client(proxy.loop, RawSocket::connect_tcp(listener.port()));
  RawSocket accepted;
  REQUIRE(proxy.run_until([&] {
    accepted = listener.accept();
    return accepted.is_valid();
  }));
  gateway::Handover handover;
  handover.descriptor = accepted.release();
  proxy.worker().take_over(std::move(handover), [&](gateway::ClientSession& session) {
    http::RequestHead head;
    head.method = "GET";
    head.origin_form = "/events/a";
    head.minor_version = 1;
    head.fields.add("Accept", "text/event-stream");
    auto request = std::make_unique<gateway::SharedRequest>(proxy.worker(), session, route, std::move(head),
                                                            relay::LastEventId{}, gateway::AccessRecord{});
    auto& begun = *request;
    session.begin(std::move(request));
    begun.start();
  });
  proxy.worker().set_drain(DrainPhase::Ending);
  REQUIRE(client.await_complete());
  CHECK(client.status() == 200);
  CHECK(last_retry(client.content()) >= 3000);
  CHECK(proxy.run_until([&] { return proxy.worker().busy_sessions() == 0; }));
}

TEST_CASE("while draining, everything else is proxied with Connection: close") {
  SharedStory story(draining());
  auto before = story.proxy.request("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  auto* pending = story.proxy.origin.next();
  story.proxy.worker().set_drain(DrainPhase::Ending);
  auto after = story.proxy.request("POST /events/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  auto* upstream = story.proxy.origin.next();
  upstream->answer("done");
  pending->answer("done too");
  for (auto* client : {&before, &after}) {
    REQUIRE(client->await_complete());
    CHECK(client->status() == 200);
    CHECK(client->field("Connection") == "close");
    CHECK(client->await_end());
  }
}
