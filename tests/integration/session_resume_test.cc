// Session routes: each request its own upstream request and log; a reconnect by tag replays the rest and goes on live.
#include <doctest/doctest.h>

#include "support/proxy_fixture.h"

using namespace ssequel;
using namespace std::chrono_literals;
using ssequel::test::OriginConnection;
using ssequel::test::ProxyFixture;
using ssequel::test::session_route;
using ssequel::test::TestClient;

namespace {

using Strings = std::vector<std::string>;

std::string tag_of(const std::string& id) { return id.substr(0, id.find('-')); }

}  // namespace

TEST_CASE("each event of a session gets the id TAG-N, with the origin id behind it where there is one") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("data: one\n\nid: 7\nevent: x\ndata: two\nfoo: bar\n\ndata: three\r\n\r\n");
  REQUIRE(client.await_events(3));
  const auto events = client.events();
  const auto tag = tag_of(events[0].id);
  CHECK(tag.size() == 22);
  CHECK(events[0].block == "id: " + tag + "-1\ndata: one\n");
  CHECK(events[1].block == "id: " + tag + "-2-t\nevent: x\ndata: two\nfoo: bar\n");
  // The last event ID stays the same until the service gives another one (WHATWG HTML §9.2.6).
  CHECK(events[2].block == "id: " + tag + "-3-t\ndata: three\n");
  CHECK(client.field("Ssequel-Resume") == "live");
  CHECK(client.field("Content-Type") == "text/event-stream");
  CHECK(client.field("Cache-Control") == "no-cache, no-transform");
  CHECK(client.field("X-Accel-Buffering") == "no");
  CHECK(client.field("Transfer-Encoding") == "chunked");
}

TEST_CASE(
    "a client that dropped resumes by its id: the rest is replayed, then live, without a second upstream request") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  origin->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  const auto id = client.last_id();
  client.close();
  origin->chunk("data: two\n\ndata: three\n\n");
  proxy.settle();
  auto again = proxy.resume("/events/a", id);
  REQUIRE(again.await_events(2));
  CHECK(again.field("Ssequel-Resume") == "suffix");
  origin->chunk("data: four\n\n");
  REQUIRE(again.await_events(3));
  CHECK(again.data() == Strings{"two", "three", "four"});
  CHECK(again.events()[0].id == tag_of(id) + "-2");
  CHECK(proxy.origin.requests() == 1);
}
