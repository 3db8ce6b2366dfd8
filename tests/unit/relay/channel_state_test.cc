// The states of a channel and the timers between them: connecting, backoff, silence, linger, retain.
#include <doctest/doctest.h>

#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

TEST_CASE("a channel begins dormant and asks for nothing") {
  const ChannelStory story(shared());
  CHECK(story.state() == State::Dormant);
  CHECK(story.port.asked.empty());
  CHECK(story.counters.channels == 1);
  CHECK(story.channel.head() == nullptr);
}

TEST_CASE("a channel that goes is no longer counted, nor is its stream") {
  RouteCounters counters;
  test::FakeClock clock;
  test::FakeRandom random;
  test::FakePort port(clock);
  {
    Channel channel(ChannelStory::setup(shared(), false), port, random, clock, counters);
    channel.connect();
    channel.on_upstream_open({}, http::ContentCoding::Identity);
    CHECK(counters.upstream_connected == 1);
  }
  CHECK(counters.channels == 0);
  CHECK(counters.upstream_connected == 0);
}

TEST_CASE("a subscriber's coming connects, the upstream's answer makes it a stream") {
  ChannelStory story(shared());
  story.channel.connect();
  CHECK(story.state() == State::Connecting);
  CHECK(story.port.asked == std::vector<std::string>{"connect"});
  StreamHead head;
  head.fields.add("X-Of", "the first");
  story.channel.on_upstream_open(std::move(head), http::ContentCoding::Identity);
  CHECK(story.state() == State::Streaming);
  CHECK(story.counters.upstream_connected == 1);
  REQUIRE(story.channel.head() != nullptr);
  CHECK(story.channel.head()->fields.get("X-Of") == "the first");
}

TEST_CASE("the response head is renewed at each connect") {
  ChannelStory story(shared());
  story.begin();
  story.channel.on_upstream_end(false);
  story.wait_out_backoff();
  StreamHead head;
  head.fields.add("X-Of", "the second");
  story.channel.on_upstream_open(std::move(head), http::ContentCoding::Identity);
  CHECK(story.channel.head()->fields.get("X-Of") == "the second");
}

TEST_CASE("a shared channel connects again however its upstream ends, and its readers stay") {
  for (const bool is_clean : {true, false}) {
    ChannelStory story(shared());
    story.begin();
    story.emit("a");
    story.channel.on_upstream_end(is_clean);
    CHECK(story.state() == State::Waiting);
    CHECK(story.counters.upstream_connected == 0);
    CHECK(story.counters.upstream_reconnects == 1);
    CHECK(story.channel.log()->ends() == 0);
    story.wait_out_backoff();
    CHECK(story.state() == State::Connecting);
    CHECK(story.port.count("connect") == 2);
    CHECK(story.channel.readers() == 1);
    CHECK(story.port.count("end readers") == 0);
  }
}

TEST_CASE("how a session's upstream ended is part of its log, and it is not asked again") {
  for (const bool is_clean : {true, false}) {
    ChannelStory story(session());
    story.begin();
    story.emit("a");
    const auto wakes = story.port.wakes;
    story.channel.on_upstream_end(is_clean);
    CHECK(story.state() == State::Ended);
    CHECK(story.port.wakes > wakes);
    REQUIRE(story.channel.log()->last_end().has_value());
    CHECK(story.channel.log()->last_end()->is_clean == is_clean);
    CHECK(story.channel.log()->last_end()->at == 1);
    story.advance(24h);
    CHECK(story.port.count("connect") == 0);
  }
}

TEST_CASE("an end that comes twice, or without a stream, changes nothing") {
  ChannelStory story(session());
  story.begin();
  story.channel.on_upstream_end(true);
  story.channel.on_upstream_end(false);
  CHECK(story.channel.log()->ends() == 1);
  CHECK(story.channel.log()->last_end()->is_clean);
  ChannelStory idle(shared());
  idle.channel.on_upstream_end(true);
  CHECK(idle.state() == State::Dormant);
}

TEST_CASE("another answer of the upstream's goes on with a session's log") {
  ChannelStory story(session());
  auto& reader = story.begin();
  story.emit("a");
  story.channel.on_upstream_end(true);
  story.leave(reader);
  story.channel.prepare_to_continue();
  story.answer();
  CHECK(story.state() == State::Streaming);
  story.join();
  story.emit("b");
  CHECK(story.newest() == "id: " + kTag + "-2\ndata: b\n\n");
  CHECK(story.port.timer(ChannelTimer::Rest) == std::nullopt);
}

// ------------------------------------------------------------------------------------------------------ backoff

TEST_CASE("backoff doubles from try to try up to its greatest, with jitter over the whole of it") {
  auto route = shared();
  route.reconnect_min = 100ms;
  route.reconnect_max = 1000ms;
  ChannelStory story(route);
  story.channel.connect();
  const auto next = [&](std::byte chance) {
    story.random.every_byte = chance;
    story.channel.on_upstream_trouble(Millis(0));
    CHECK(story.state() == State::Waiting);
    const auto after = story.port.timer(ChannelTimer::Upstream).value();
    story.wait_out_backoff();
    CHECK(story.state() == State::Connecting);
    return after;
  };
  constexpr std::byte kMost{0xff};
  CHECK(next(kMost) == 200ms);
  CHECK(next(kMost) == 400ms);
  CHECK(next(kMost) == 800ms);
  CHECK(next(kMost) == 1000ms);
  CHECK(next(kMost) == 1000ms);
  CHECK(next(std::byte{0}) == 100ms);
}

TEST_CASE("an event shows that the upstream is well: backoff begins anew") {
  ChannelStory story(shared());
  story.random.every_byte = std::byte{0xff};
  story.begin();
  for (int i = 0; i < 3; ++i) story.reconnect();
  story.channel.on_upstream_end(false);
  CHECK(story.port.timer(ChannelTimer::Upstream).value() > 2s);
  story.wait_out_backoff();
  story.answer();
  story.emit("a");
  story.channel.on_upstream_end(false);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 500ms);
}

TEST_CASE("a stream that stood for long is well too, if it had nothing to say") {
  auto route = shared();
  route.heartbeat = 0s;
  ChannelStory story(route);
  story.random.every_byte = std::byte{0xff};
  story.begin();
  for (int i = 0; i < 6; ++i) story.reconnect();
  story.advance(route.reconnect_max);
  story.channel.on_upstream_end(false);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 500ms);
}

TEST_CASE("the upstream's retry: is the least backoff, in trouble Retry-After too") {
  ChannelStory story(shared());
  story.begin();
  story.receive("retry: 2000\n");
  story.channel.on_upstream_end(true);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 2s);
  story.wait_out_backoff();
  story.channel.on_upstream_trouble(10s);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 10s);
  story.wait_out_backoff();
  story.channel.on_upstream_trouble(1s);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 2s);
}

TEST_CASE("an absurd retry: or Retry-After is heeded for an hour at most") {
  ChannelStory story(shared());
  story.begin();
  story.receive("retry: 99999999999999999999999\n");
  story.channel.on_upstream_end(true);
  CHECK(story.port.timer(ChannelTimer::Upstream) == 1h);
  story.wait_out_backoff();
  story.channel.on_upstream_trouble(Millis(INT64_MAX));
  CHECK(story.port.timer(ChannelTimer::Upstream) == 1h);
}

TEST_CASE("newcomers ask an upstream in trouble at once, but do not shorten its backoff") {
  ChannelStory story(shared());
  story.random.every_byte = std::byte{0xff};
  story.channel.connect();
  for (int i = 0; i < 4; ++i) {
    story.channel.on_upstream_trouble(Millis(0));
    story.channel.connect();
    CHECK(story.state() == State::Connecting);
    CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  }
  story.channel.on_upstream_trouble(Millis(0));
  CHECK(story.port.timer(ChannelTimer::Upstream) == 250ms * 32);
}

// ------------------------------------------------------------------------------------------------ upstream_idle

TEST_CASE("an upstream silent for upstream_idle is dropped and asked again") {
  auto route = shared();
  route.upstream_idle = 30s;
  ChannelStory story(route);
  story.begin();
  story.advance(29s);
  story.receive(":\n");  // A heartbeat is a sign of life.
  story.advance(29s);
  CHECK(story.state() == State::Streaming);
  story.advance(1s);
  CHECK(story.state() == State::Waiting);
  CHECK(story.port.asked.back() == "disconnect");
  story.wait_out_backoff();
  CHECK(story.state() == State::Connecting);
}

TEST_CASE("a silent session upstream broke off") {
  auto route = session();
  route.upstream_idle = 30s;
  ChannelStory story(route);
  story.begin();
  story.advance(30s);
  CHECK(story.state() == State::Ended);
  CHECK_FALSE(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("without upstream_idle no timer runs while the upstream streams") {
  ChannelStory story(shared());
  story.begin();
  story.emit("a");
  CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  story.advance(24h);
  CHECK(story.state() == State::Streaming);
}

TEST_CASE("an upstream that we do not read is not silent") {
  auto route = shared();
  route.upstream_idle = 30s;
  route.window.events = 4;
  ChannelStory story(route);
  auto& reader = story.begin();
  reader.is_stuck = true;
  for (const char* data : {"a", "b", "c"}) story.emit(data);
  REQUIRE(story.channel.is_upstream_paused());
  story.advance(100s);
  CHECK(story.state() == State::Streaming);
  reader.is_stuck = false;
  story.port.report(story.channel, reader, story.channel.log()->published());
  REQUIRE_FALSE(story.channel.is_upstream_paused());
  // From here on it can be heard again.
  CHECK(story.port.timer(ChannelTimer::Upstream) == 30s);
  story.advance(30s);
  CHECK(story.state() == State::Waiting);
}

// --------------------------------------------------------------------------------------------- linger and retain

TEST_CASE("the upstream is kept for linger after the last reader, the log for retain after that") {
  for (const auto& route : {shared(), session()}) {
    ChannelStory story(route);
    auto& first = story.begin();
    auto& second = story.join();
    story.leave(first);
    CHECK(story.port.timer(ChannelTimer::Rest) == std::nullopt);
    story.leave(second);
    CHECK(story.port.timer(ChannelTimer::Rest) == 60s);
    story.emit("while nobody reads");
    CHECK(story.count("nobody") == 1);
    story.advance(60s);
    CHECK(story.state() == (story.channel.is_shared() ? State::Dormant : State::Ended));
    CHECK(story.port.asked.back() == "disconnect");
    CHECK(story.counters.upstream_connected == 0);
    CHECK(story.port.timer(ChannelTimer::Rest) == 5min);
    story.advance(5min);
    CHECK(story.port.asked.back() == "retire");
  }
}

TEST_CASE("a session's upstream let go counts as broken off") {
  ChannelStory story(session());
  auto& reader = story.begin();
  story.emit("a");
  story.leave(reader);
  story.advance(60s);
  REQUIRE(story.channel.log()->last_end().has_value());
  CHECK_FALSE(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("who comes back within linger finds the same upstream request") {
  for (const auto& route : {shared(), session()}) {
    ChannelStory story(route);
    story.leave(story.begin());
    story.advance(59s);
    story.join();
    story.advance(10min);
    CHECK(story.state() == State::Streaming);
    CHECK(story.port.count("disconnect") == 0);
    CHECK(story.port.count("retire") == 0);
  }
}

TEST_CASE("linger 0 passes the client's leaving on at once") {
  for (auto route : {shared(), session()}) {
    route.linger = 0s;
    ChannelStory story(route);
    story.leave(story.begin());
    CHECK(story.port.asked.back() == "disconnect");
    CHECK(story.state() == (story.channel.is_shared() ? State::Dormant : State::Ended));
    CHECK(story.port.timer(ChannelTimer::Rest) == 5min);
  }
}

TEST_CASE("linger forever keeps the upstream, and so does eager") {
  for (const bool is_eager : {false, true}) {
    auto route = shared();
    route.linger = is_eager ? Millis(60s) : kForever;
    ChannelStory story(route, is_eager);
    story.leave(story.begin());
    story.advance(240h);
    CHECK(story.state() == State::Streaming);
    story.reconnect();
    CHECK(story.state() == State::Streaming);
    CHECK(story.port.count("retire") == 0);
  }
}

TEST_CASE("an eager channel that never had a reader is kept and goes on trying") {
  ChannelStory story(shared(), true);
  story.channel.connect();
  for (int i = 0; i < 20; ++i) {
    story.channel.on_upstream_trouble(Millis(0));
    story.wait_out_backoff();
  }
  CHECK(story.state() == State::Connecting);
  story.answer();
  story.advance(240h);
  CHECK(story.state() == State::Streaming);
  CHECK(story.port.count("retire") == 0);
}

TEST_CASE("trouble does not prolong the linger: without readers the upstream is not tried for ever") {
  ChannelStory story(shared());
  story.random.every_byte = std::byte{0xff};
  story.leave(story.begin());
  story.channel.on_upstream_end(false);
  for (int i = 0; i < 100 && story.state() != State::Dormant; ++i) {
    story.advance(1s);
    if (story.state() == State::Connecting) story.channel.on_upstream_trouble(Millis(0));
  }
  CHECK(story.state() == State::Dormant);
  CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  story.advance(5min);
  CHECK(story.port.asked.back() == "retire");
}

TEST_CASE("a session that ends while nobody reads is kept for retain, once") {
  ChannelStory story(session());
  story.leave(story.begin());
  story.advance(30s);
  story.channel.on_upstream_end(true);
  CHECK(story.port.timer(ChannelTimer::Rest) == 5min);
  story.advance(5min);
  CHECK(story.port.asked.back() == "retire");
  CHECK(story.channel.log()->ends() == 1);
}

TEST_CASE("retain counts from the last reader's leaving") {
  ChannelStory story(session());
  auto& reader = story.begin();
  story.channel.on_upstream_end(true);
  CHECK(story.port.timer(ChannelTimer::Rest) == std::nullopt);
  story.advance(1h);
  story.leave(reader);
  CHECK(story.port.timer(ChannelTimer::Rest) == 5min);
  story.advance(4min);
  auto& again = story.join();
  story.advance(1h);
  CHECK(story.port.count("retire") == 0);
  story.leave(again);
  story.advance(5min);
  CHECK(story.port.count("retire") == 1);
}

TEST_CASE("retain does not run out on a subscriber for whom the upstream is asked again") {
  ChannelStory story(shared());
  story.leave(story.begin());
  story.advance(60s + 4min + 59s);
  REQUIRE(story.state() == State::Dormant);
  story.channel.connect();  // Its head may be a long time coming.
  story.advance(1h);
  CHECK(story.port.count("retire") == 0);
  story.answer();
  story.join();
  story.advance(1h);
  CHECK(story.state() == State::Streaming);
}

TEST_CASE("linger does not run out on a subscriber who came while the upstream was being asked") {
  ChannelStory story(shared());
  story.leave(story.begin());
  story.channel.on_upstream_end(false);
  story.wait_out_backoff();
  REQUIRE(story.state() == State::Connecting);
  story.advance(59s);
  story.channel.admit(std::make_shared<Credential>());
  story.advance(1h);
  CHECK(story.state() == State::Connecting);
  CHECK(story.port.count("disconnect") == 0);
  story.channel.on_upstream_trouble(Millis(0));  // It has gone meanwhile.
  story.advance(60s);
  if (story.state() == State::Connecting) story.channel.on_upstream_trouble(Millis(0));
  CHECK(story.state() == State::Dormant);
}

TEST_CASE("an upstream that answered when nobody was left to join is let go") {
  for (const auto linger : {Millis(0), Millis(60s)}) {
    auto route = shared();
    route.linger = linger;
    ChannelStory story(route);
    story.channel.connect();
    story.answer();
    story.advance(1s);
    CHECK(story.state() == State::Streaming);  // Its own Origin's answer may be under way.
    story.advance(60s);
    CHECK(story.state() == State::Dormant);
    story.advance(5min);
    CHECK(story.port.asked.back() == "retire");
  }
}

TEST_CASE("trouble at the first connect leaves nothing behind if nobody joins") {
  ChannelStory story(shared());
  story.channel.connect();
  story.channel.on_upstream_trouble(Millis(0));
  CHECK(story.port.timer(ChannelTimer::Rest) == 60s);
}

TEST_CASE("when a channel was last watched") {
  ChannelStory story(shared());
  const auto start = story.clock.now();
  auto& reader = story.begin();
  story.advance(7s);
  story.leave(reader);
  CHECK(story.channel.last_watched() == start + 7s);
  story.advance(7s);
  CHECK(story.channel.last_watched() == start + 7s);
}

TEST_CASE("letting go by hand tells a session's readers that it broke off") {
  ChannelStory story(session());
  story.begin();
  const auto wakes = story.port.wakes;
  story.channel.let_go();
  CHECK(story.state() == State::Ended);
  CHECK_FALSE(story.channel.log()->last_end()->is_clean);
  CHECK(story.port.wakes > wakes);
}

TEST_CASE("the last reader may leave while its bytes are being written") {
  // A client that turns out to be gone leaves from inside the upstream's read. What was let go stays let go.
  for (auto route : {shared(), session()}) {
    route.linger = 0s;
    ChannelStory story(route);
    story.begin().leaves_when_written_to = true;
    story.receive({": a comment\ndata: a\n\n: another\n", "data: b\n\ndata: c\n\ndata: unfini"});
    CHECK(story.channel.readers() == 0);
    CHECK(story.state() == (story.channel.is_shared() ? State::Dormant : State::Ended));
    CHECK(story.port.count("disconnect") == 1);
    CHECK(story.counters.upstream_connected == 0);
    if (!story.channel.is_shared()) {
      CHECK(story.channel.log()->ends() == 1);
      CHECK(story.channel.log()->last_end().has_value());  // Nothing came behind it.
    }
    story.channel.on_upstream_bytes("data: late\n\n");
    CHECK(story.count("late") == 0);
  }
}

TEST_CASE("the last reader may leave when it is told of the upstream's end") {
  auto route = shared();
  route.linger = 0s;
  ChannelStory story(route);
  auto& reader = story.begin();
  story.emit("a");
  reader.cursor = 0;
  reader.leaves_when_written_to = true;
  story.channel.on_upstream_end(true);
  CHECK(story.state() == State::Dormant);
  CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
}

}  // namespace
}  // namespace ssequel::relay
