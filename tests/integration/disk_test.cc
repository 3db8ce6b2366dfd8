// Channels with a journal on disk, over restarts and kills of the process: windows, ids, heads and endings are there
// again, what clients got before is what they get now, and what could have been lost is told.
#include <doctest/doctest.h>

#include "support/session_story.h"
#include "support/shared_story.h"
#include "support/temporary_folder.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

// The process ends or is killed, by turns of the test's subcases.
void end_and_begin(ProxyFixture& proxy) {
  SUBCASE("stopped") { proxy.restart(); }
  SUBCASE("killed") { proxy.kill(); }
}

struct SharedOnDisk {
  explicit SharedOnDisk(relay::Route route = public_route())
      : proxy(with_route(std::move(route)), folder.path("journal")), first(proxy.get_stream("/events/a")) {
    upstream = proxy.origin.next();
    upstream->begin_stream("X-Service: legacy\r\n");
    REQUIRE(first.await_head());
  }
  std::string say(std::string_view data, std::string_view lines = {}) {
    upstream->chunk(std::string(lines) + "data: " + std::string(data) + "\n\n");
    REQUIRE(first.await_content("data: " + std::string(data) + "\n\n"));
    for (const auto& event : first.events()) {
      if (event.data == data) return event.id;
    }
    return {};
  }
  TestClient join_after(std::string_view id, std::string_view fields = {}) {
    auto client = proxy.resume("/events/a", id, fields);
    REQUIRE(client.await_head());
    return client;
  }

  TemporaryFolder folder;
  ProxyFixture proxy;
  TestClient first;
  OriginConnection* upstream = nullptr;
};

}  // namespace

TEST_CASE("a shared channel comes back with its window, its ids and its head, and goes on at one more") {
  SharedOnDisk story;
  const auto one = story.say("one", "id: o-1\n");
  const auto two = story.say("two", "id: o-2\n");
  const auto three = story.say("three");
  end_and_begin(story.proxy);
  auto client = story.join_after(one);
  CHECK(client.response().field("X-Service") == "legacy");
  CHECK(client.response().field("Ssequel-Resume") == "suffix");
  REQUIRE(client.await_content("data: three\n\n"));
  auto events = client.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].id == two);
  CHECK(events[0].data == "two");
  CHECK(events[1].id == three);
  // The service is asked to go on where it was, and what may be missing between the two connections is told.
  auto* upstream = story.proxy.origin.next();
  CHECK(upstream->request.field("Last-Event-ID") == "o-2");
  upstream->begin_stream();
  upstream->chunk("data: four\n\n");
  REQUIRE(client.await_content("data: four\n\n"));
  events = client.events();
  REQUIRE(events.size() == 4);
  CHECK(says(events[2], "upstream-gap"));
  CHECK(number_of(events[2].id) == number_of(three) + 1);
  CHECK(number_of(events[3].id) == number_of(three) + 2);
}

TEST_CASE("the service's own ids are resume points after a restart, too") {
  SharedOnDisk story;
  story.say("one", "id: 6fa459ea-ee8a\n");
  const auto two = story.say("two", "id: 16fd2706-8baf\n");
  end_and_begin(story.proxy);
  auto client = story.join_after("6fa459ea-ee8a");
  REQUIRE(client.await_content("data: two\n\n"));
  CHECK(client.events().front().id == two);
}

TEST_CASE("a channel whose service is gone still serves its window") {
  SharedOnDisk story;
  const auto one = story.say("one");
  story.say("two");
  end_and_begin(story.proxy);
  story.upstream->close();
  story.proxy.origin.stop_listening();
  auto client = story.join_after(one);
  CHECK(client.await_content("data: two\n\n"));
}

TEST_CASE("what left the window before the restart is told apart from what never was") {
  auto route = public_route();
  route.window.events = 2;
  SharedOnDisk story(route);
  std::vector<std::string> ids;
  for (const auto* data : {"one", "two", "three", "four", "five"}) ids.push_back(story.say(data));
  story.proxy.settle();
  end_and_begin(story.proxy);
  auto from_floor = story.join_after(ids[2]);
  REQUIRE(from_floor.await_content("data: five\n\n"));
  CHECK(from_floor.events().size() == 2);
  auto too_old = story.join_after(ids[1]);
  REQUIRE(too_old.await_content("\n\n"));
  CHECK(says(too_old.events().front(), "window"));
  auto strange = story.join_after(std::to_string(number_of(ids[4]) + 7));
  REQUIRE(strange.await_content("\n\n"));
  CHECK(says(strange.events().front(), "ahead"));
}

TEST_CASE("the id that primes a stream is resumable, even if nothing followed it") {
  auto route = public_route();
  route.prime = relay::Prime::Always;
  SharedOnDisk story(route);
  REQUIRE(story.first.await_content("id: "));
  const auto primed = story.first.last_id();
  end_and_begin(story.proxy);
  auto client = story.join_after(primed);
  CHECK(client.response().field("Ssequel-Resume") == "live");
}

TEST_CASE("possible loss of power: the ids jump, and everybody is told in the log") {
  SharedOnDisk story;
  const auto one = story.say("one");
  const auto two = story.say("two");
  story.proxy.boot_id = "another boot";
  SUBCASE("after a kill") {
    story.proxy.kill();
    CHECK(story.proxy.logger.count("may have lost") == 1);
    CHECK(story.proxy.store().status().gaps == 1);
    auto client = story.join_after(one);
    REQUIRE(client.await_content("store-gap"));
    const auto events = client.events();
    REQUIRE(events.size() == 2);
    CHECK(events[0].id == two);
    CHECK(says(events[1], "store-gap"));
    CHECK(number_of(events[1].id) > number_of(two) + 1'000'000);
    // Once, not at each restart.
    story.proxy.kill();
    CHECK(story.proxy.logger.count("may have lost") == 1);
    auto again = story.join_after(two);
    REQUIRE(again.await_content("store-gap"));
    CHECK(again.events().front().id == events[1].id);
  }
  SUBCASE("after a clean stop nothing is lost") {
    story.proxy.restart();
    auto client = story.join_after(one);
    REQUIRE(client.await_content("data: two\n\n"));
    story.proxy.settle();
    CHECK(client.events().size() == 1);
    CHECK(story.proxy.store().status().gaps == 0);
  }
}

TEST_CASE("a channel that closed for good is gone, and its numbers are not given again") {
  auto route = public_route();
  route.ids.start = 1;
  route.linger = route.retain = Millis(1);
  SharedOnDisk story(route);
  CHECK(story.say("one") == "1");
  CHECK(story.say("two") == "2");
  story.first.close();
  REQUIRE(story.proxy.run_until([&] { return story.proxy.worker().channels().size() == 0; }));
  story.proxy.settle();
  end_and_begin(story.proxy);
  CHECK(story.proxy.worker().channels().size() == 0);
  auto client = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: new\n\n");
  REQUIRE(client.await_content("data: new\n\n"));
  CHECK(number_of(client.last_id()) > 3);
}

TEST_CASE("a log that its route can no longer use is forgotten, its numbers are not") {
  auto route = public_route();
  route.ids.start = 1;
  SharedOnDisk story(route);
  CHECK(story.say("one") == "1");
  story.proxy.settle();
  story.proxy.options().routes.front().ids.place = sse::IdPlace::Last;
  SUBCASE("at the next start") { story.proxy.restart(); }
  SUBCASE("at the one after it") {
    story.proxy.restart();
    story.proxy.settle();
    story.proxy.restart();
  }
  CHECK(story.proxy.worker().channels().size() == 0);
  auto client = story.proxy.get_stream("/events/a");
  auto* upstream = story.proxy.origin.next();
  upstream->begin_stream();
  upstream->chunk("data: new\n\n");
  REQUIRE(client.await_content("data: new\n"));
  REQUIRE(client.await_content("\n\n"));
  CHECK(number_of(client.last_id()) > 2);
}

TEST_CASE("a session that ended comes back with its end, one that was running broke off") {
  TemporaryFolder folder;
  ProxyFixture proxy(with_route(post_route()), folder.path("journal"));
  Session session(proxy, proxy.request(post("/events/a", "question")), "data: one\n\ndata: two\n\n");
  REQUIRE(session.client.await_content("data: two\n\n"));
  const auto ids = session.client.events();
  REQUIRE(ids.size() == 2);
  bool is_clean = false;
  SUBCASE("ended cleanly") {
    session.origin->end_stream();
    REQUIRE(session.client.await_complete());
    is_clean = true;
  }
  SUBCASE("broken off") {
    session.origin->close();
    CHECK(session.client.await_end());
  }
  SUBCASE("still running") {}
  proxy.settle();
  proxy.kill();
  auto client = proxy.request(post("/events/a", "question", last_event_id(ids[0].id)));
  REQUIRE(client.await_head());
  REQUIRE(client.await_content("data: two\n\n"));
  CHECK(client.events().front().id == ids[1].id);
  if (is_clean) {
    REQUIRE(client.await_complete());
    CHECK(client.events().size() == 1);
  } else {
    CHECK(client.await_end());
    CHECK_FALSE(client.is_complete());
    REQUIRE(client.events().size() == 2);
    CHECK(says(client.events()[1], "upstream-lost"));
  }
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("after a restart a session's tag is still its opener's alone") {
  TemporaryFolder folder;
  ProxyFixture proxy(with_route(session_route()), folder.path("journal"));
  Session session(proxy, "data: one\n\ndata: two\n\n", "Authorization: Bearer a\r\n");
  REQUIRE(session.client.await_content("data: two\n\n"));
  const auto first = session.client.events().front().id;
  end_and_begin(proxy);
  auto own = proxy.resume("/events/a", first, "Authorization: Bearer a\r\n");
  CHECK(own.await_content("data: two\n\n"));
  auto other = proxy.resume("/events/a", first, "Authorization: Bearer b\r\n");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_content("\n\n"));
  CHECK(says(other.events().front(), "unknown"));
}

TEST_CASE("over many lives every event comes once, in order, one more than the last") {
  auto route = public_route();
  route.on_upstream_gap = relay::OnUpstreamGap::None;
  SharedOnDisk story(route);
  auto last = story.say("0");
  for (int life = 1; life <= 12; ++life) {
    if (life % 3 == 0) {
      story.proxy.restart();
    } else {
      story.proxy.kill();
    }
    story.first = story.join_after(last);
    story.upstream = story.proxy.origin.next();
    story.upstream->begin_stream();
    for (int i = 0; i < 5; ++i) {
      const auto id = story.say(std::to_string(life * 10 + i));
      CHECK(number_of(id) == number_of(last) + 1);
      last = id;
    }
  }
}
