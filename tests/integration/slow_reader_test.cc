// Readers that do not keep up, on shared routes: the foremost one holds the upstream back, slower ones fall out of the
// window and are told, nobody delays another, and who acknowledges nothing is cut.
#include <doctest/doctest.h>

#include "support/pump.h"

using namespace ssequel;
using namespace ssequel::test;

TEST_CASE("a burst through a tiny window loses nothing for a reader that reads") {
  auto route = public_route();
  SUBCASE("one event") { route.window.events = 1; }
  SUBCASE("four events") { route.window.events = 4; }
  SUBCASE("few bytes") {
    route.window.bytes = 2048;
    route.event_bytes = 256;
  }
  SharedStory story(route);
  Pump pump(*story.upstream, 3000, 0);
  REQUIRE(story.proxy.run_until([&] { return pump.step() && has_received(story.first, 2999); }));
  CHECK(numbers(story.first) == first_numbers(3000));
}

TEST_CASE("the only reader holds the upstream back when it stalls, and loses nothing") {
  constexpr int kEvents = 320;
  SharedStory story(bulk_route());
  story.first.socket.set_buffers(64 * 1024);
  Pump pump(*story.upstream, kEvents);
  pump.run_until_stuck(story.proxy);
  CHECK_FALSE(pump.step());
  // At most a window, and what one read brings.
  CHECK(story.proxy.worker().channels().bytes() <= 1024 * 1024 + 2 * kBulkBytes);
  REQUIRE(story.proxy.run_until([&] { return pump.step() & has_received(story.first, kEvents - 1); }, Millis(20'000)));
  CHECK(numbers(story.first) == first_numbers(kEvents));
}

TEST_CASE("a stalled reader delays nobody, falls out of the window and is told so") {
  constexpr int kEvents = 320;
  auto route = bulk_route();
  bool closes = false;
  SUBCASE("on_lag: sync") {}
  SUBCASE("on_lag: close") { closes = true; }
  if (closes) route.on_lag = relay::OnLag::Close;
  SharedStory story(route);
  auto stalled = story.join();
  stalled.socket.set_buffers(64 * 1024);
  Pump pump(*story.upstream, kEvents);
  REQUIRE(story.proxy.run_until([&] { return pump.step() & has_received(story.first, kEvents - 1); }, Millis(20'000)));
  CHECK(numbers(story.first) == first_numbers(kEvents));
  if (closes) {
    REQUIRE(story.proxy.run_until([&] {
      stalled.socket.receive();
      return story.proxy.counters("shared").subscribers == 1;
    }));
    REQUIRE(stalled.await_complete());
    const auto got = numbers(stalled);
    CHECK(got == first_numbers(got.size()));
    CHECK(got.size() < kEvents);
    return;
  }
  REQUIRE(story.proxy.run_until([&] { return stalled.socket.receive().find("\"lagged\"") != std::string::npos; }));
  story.upstream->chunk("data: 1000 \n\n");
  REQUIRE(story.proxy.run_until([&] { return has_received(stalled, 1000); }));
  auto got = numbers(stalled);
  REQUIRE(got.size() >= 3);
  CHECK(got.back() == 1000);
  got.pop_back();
  CHECK(got.back() == -1);
  got.pop_back();
  CHECK(got == first_numbers(got.size()));
  const auto events = stalled.events();
  const auto& told = events.at(events.size() - 2);
  CHECK(says(told, "lagged"));
  // It borrows the id of the place from which it goes on.
  CHECK(number_of(events.back().id) == number_of(told.id) + 1);
  CHECK(story.proxy.counters("shared").sync_required[static_cast<std::size_t>(sse::SyncReason::Lagged)] == 1);
}

TEST_CASE("one that acknowledges nothing for send_timeout is cut, and the others go on") {
  auto options = with_route(bulk_route());
  options.limits.send_timeout = Millis(1000);
  SharedStory story(options);
  auto stalled = story.join();
  stalled.socket.set_buffers(64 * 1024);
  Pump pump(*story.upstream, 200);
  REQUIRE(story.proxy.run_until([&] { return pump.step() & has_received(story.first, 199); }, Millis(20'000)));
  REQUIRE(story.proxy.run_until([&] {
    story.first.socket.receive();
    return story.proxy.counters("shared").subscribers == 1;
  }));
  CHECK(story.proxy.worker().sessions() == 1);
  story.upstream->chunk("data: 1000 \n\n");
  REQUIRE(story.proxy.run_until([&] { return has_received(story.first, 1000); }));
  CHECK(stalled.await_end());
}

TEST_CASE("one that reads slowly, but reads, is not cut by send_timeout") {
  auto route = public_route();
  route.event_bytes = 16 * 1024 * 1024;
  route.window.bytes = 64 * 1024 * 1024;
  route.heartbeat = Millis(0);
  auto options = with_route(route);
  options.limits.send_timeout = Millis(2000);
  SharedStory story(options);
  story.first.socket.set_buffers(64 * 1024);
  // One frame, far larger than what the kernel holds for it, read for longer than send_timeout: a slice at a time, so
  // that a machine that stands still for a while makes the reading longer, not the pauses between slices.
  constexpr std::size_t kBytes = 12 * 1024 * 1024;
  Pump pump(*story.upstream, 1, kBytes);
  std::string got;
  const auto began = story.proxy.loop.loop().now();
  REQUIRE(story.proxy.run_until(
      [&] {
        pump.step();
        char some[16 * 1024];
        const auto pace = Millis(got.size() * 5000 / kBytes);
        if (story.proxy.loop.loop().now() - began < pace) return false;
        const auto count = ::recv(story.first.socket.descriptor(), some, sizeof some, 0);
        if (count > 0) got.append(some, static_cast<std::size_t>(count));
        return got.ends_with("x\n\n\r\n") || count == 0;
      },
      Millis(60'000)));
  CHECK(got.size() > kBytes);
}

TEST_CASE("a response that ends while its reader stalls ends when it has read on, whatever became of the channel") {
  SharedStory story(bulk_route());
  auto stalled = story.join();
  stalled.socket.set_buffers(64 * 1024);
  Pump pump(*story.upstream, 200);
  REQUIRE(story.proxy.run_until([&] { return pump.step() & has_received(story.first, 199); }, Millis(20'000)));
  story.upstream->close();
  story.upstream = story.proxy.origin.next();
  story.upstream->answer("", 410);
  REQUIRE(story.first.await_complete());
  // Somebody else's request makes the closed channel go.
  auto later = story.proxy.get_stream("/events/a");
  story.proxy.origin.next()->answer("", 410);
  REQUIRE(later.await_complete());
  story.proxy.settle();
  SUBCASE("it reads on") {
    REQUIRE(stalled.await_complete());
    const auto got = numbers(stalled);
    CHECK(got == first_numbers(got.size()));
  }
  SUBCASE("it leaves") {
    stalled.reset();
    CHECK(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 0; }));
  }
}

TEST_CASE("a client that only closed its sending side goes on, one that is gone is noticed without an event") {
  SharedStory story(public_route());
  auto half = story.join();
  half.socket.finish_sending();
  static_cast<void>(story.proxy.run_until([] { return false; }, Millis(500)));
  CHECK(story.proxy.counters("shared").subscribers == 2);
  story.say("one");
  CHECK(half.await_content("data: one\n\n"));
  auto gone = story.join();
  CHECK(story.proxy.counters("shared").subscribers == 3);
  gone.close();
  CHECK(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 2; }));
  auto reset = story.join();
  reset.reset();
  CHECK(story.proxy.run_until([&] { return story.proxy.counters("shared").subscribers == 2; }));
  story.say("two");
  CHECK(half.await_content("data: two\n\n"));
}

TEST_CASE("what a client sends behind a stream's request is never read as another request") {
  auto route = public_route();
  route.max_age = Millis(80);
  ProxyFixture proxy(route);
  auto client = proxy.request(
      "GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
      "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.origin.next()->begin_stream();
  REQUIRE(client.await_complete());
  CHECK(client.await_end());
  CHECK(client.rest().empty());
  CHECK(proxy.origin.requests() == 1);
}
