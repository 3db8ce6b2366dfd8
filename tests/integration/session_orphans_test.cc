// Upstream requests that nobody reads: how many are kept, which go first, and what is counted of them.
#include <doctest/doctest.h>

#include "app/metrics.h"
#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

relay::Route bounded(std::uint64_t per_identity, std::uint64_t total) {
  auto route = session_route();
  route.linger = relay::kForever;
  route.orphans_per_identity = per_identity;
  route.orphans_total = total;
  return route;
}

std::uint64_t orphans(ProxyFixture& proxy) { return app::take_snapshot(proxy.worker()).routes["session"].orphans; }

constexpr std::string_view kAlice = "Authorization: alice\r\n";
constexpr std::string_view kBob = "Authorization: bob\r\n";

}  // namespace

TEST_CASE("at orphans.per_identity the one that was left first is cancelled, and nobody else's") {
  ProxyFixture proxy(bounded(2, 1000));
  Session bobs(proxy, "data: one\n\n", kBob);
  bobs.drop(proxy);
  Session first(proxy, "data: one\n\n", kAlice);
  Session second(proxy, "data: one\n\n", kAlice);
  Session third(proxy, "data: one\n\n", kAlice);
  second.id = second.client.last_id();
  second.client.close();
  REQUIRE(proxy.run_until([&] { return orphans(proxy) == 2; }));
  first.id = first.client.last_id();
  first.client.close();
  REQUIRE(proxy.run_until([&] { return orphans(proxy) == 3; }));
  third.drop(proxy);
  REQUIRE(second.origin->await_gone());
  proxy.settle();
  CHECK_FALSE(first.origin->is_gone());
  CHECK_FALSE(third.origin->is_gone());
  CHECK_FALSE(bobs.origin->is_gone());
  CHECK(orphans(proxy) == 3);
  CHECK(proxy.counters("session").orphans_cancelled == 1);
  CHECK(proxy.logger.count("`orphans` are too many") == 1);
}

TEST_CASE("at orphans.total the oldest goes, whoever it belongs to, and those without an identity count there only") {
  ProxyFixture proxy(bounded(1, 3));
  Session bobs(proxy, "data: one\n\n", kBob);
  bobs.drop(proxy);
  std::vector<OriginConnection*> nobodys;
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(bobs.origin->is_gone());
    Session session(proxy);
    session.drop(proxy);
    nobodys.push_back(session.origin);
  }
  REQUIRE(bobs.origin->await_gone());
  for (auto* origin : nobodys) CHECK_FALSE(origin->is_gone());
  CHECK(orphans(proxy) == 3);
}

TEST_CASE("an orphan that was cancelled broke off: what it had is replayed, and its log rests like any other") {
  ProxyFixture proxy([] {
    auto route = bounded(16, 0);
    route.match.methods = {"GET", "POST"};
    return route;
  }());
  Session session(proxy, proxy.request(post("/events/a", "x")), "data: one\n\ndata: two\n\n");
  session.drop(proxy);
  REQUIRE(session.origin->await_gone());
  auto again = proxy.resume("/events/a", tag_of(session.id) + "-1");
  REQUIRE(again.await_broken());
  CHECK(again.data().front() == "two");
  CHECK(again.content().find("upstream-lost") != std::string::npos);
}

TEST_CASE("one that is read again, or whose upstream ends, is no orphan any more") {
  ProxyFixture proxy(bounded(1, 1000));
  Session first(proxy, "data: one\n\n", kAlice);
  first.drop(proxy);
  CHECK(orphans(proxy) == 1);
  auto again = proxy.resume("/events/a", first.id, kAlice);
  REQUIRE(again.await_head());
  CHECK(orphans(proxy) == 0);
  Session second(proxy, "data: one\n\n", kAlice);
  second.id = second.client.last_id();
  second.client.close();
  REQUIRE(proxy.run_until([&] { return orphans(proxy) == 1; }));
  second.origin->end_stream();
  REQUIRE(proxy.run_until([&] { return orphans(proxy) == 0; }));
  again.close();
  REQUIRE(proxy.run_until([&] { return orphans(proxy) == 1; }));
  proxy.settle();
  CHECK_FALSE(first.origin->is_gone());
  CHECK(proxy.counters("session").orphans_cancelled == 0);
}

TEST_CASE("what comes while nobody reads is counted, what is read is not") {
  ProxyFixture proxy(bounded(16, 1000));
  Session session(proxy, "data: one\n\n");
  session.drop(proxy);
  auto& counters = proxy.counters("session");
  CHECK(counters.orphaned_events == 0);
  session.origin->chunk("data: two\n\ndata: three\n\n");
  REQUIRE(proxy.run_until([&] { return counters.orphaned_events == 2; }));
  CHECK(counters.orphaned_bytes > std::string("data: two\n\ndata: three\n\n").size());
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_events(2));
  session.origin->chunk("data: four\n\n");
  REQUIRE(again.await_events(3));
  CHECK(counters.orphaned_events == 2);
  const auto text = app::metrics_text(app::take_snapshot(proxy.worker()), {});
  CHECK(text.find("ssequel_orphaned_events_total{route=\"session\"} 2\n") != std::string::npos);
  CHECK(text.find("ssequel_orphans{route=\"session\"} 0\n") != std::string::npos);
}
