// Backpressure: how far ahead of its readers the upstream is read, and that nothing is lost where reading stopped.
#include <doctest/doctest.h>

#include <random>

#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

std::string events(int first, int count) {
  std::string out;
  for (int i = first; i < first + count; ++i) out += "data: " + std::to_string(i) + "\n\n";
  return out;
}
Route shared_with_window(std::uint64_t window_events) {
  auto route = shared();
  route.window.events = window_events;
  return route;
}
Route session_with_window(std::uint64_t window_events) {
  auto route = session();
  route.window.events = window_events;
  return route;
}

TEST_CASE("readers that keep up never hold the upstream back, whatever one read brings") {
  ChannelStory story(shared_with_window(10));
  auto& reader = story.begin();
  story.receive(events(0, 1000));
  CHECK(story.port.count("pause") == 0);
  CHECK(reader.cursor == 1000);
  CHECK(story.newest() == "id: 1099\ndata: 999\n\n");
  CHECK(story.channel.log()->window_events() == 10);
}

TEST_CASE("readers that keep up lose nothing when each event is a chunk of its own in one large read") {
  ChannelStory story(shared_with_window(10));
  auto& reader = story.begin();
  for (int i = 0; i < 1000; ++i) {
    story.channel.on_upstream_bytes(events(i, 1));
    CHECK(story.channel.log()->first() <= reader.cursor);  // It never fell out of the window.
  }
  story.channel.on_upstream_read_over();
  CHECK(story.port.count("pause") == 0);
  CHECK(reader.cursor == 1000);
}

TEST_CASE("a shared upstream is read at most half a window ahead of the foremost reader, by events") {
  ChannelStory story(shared_with_window(10));
  auto& foremost = story.begin();
  auto& slowest = story.join();
  foremost.is_stuck = slowest.is_stuck = true;
  story.receive(events(0, 100));
  CHECK(story.channel.log()->appended() == 5);
  CHECK(story.channel.is_upstream_paused());
  CHECK(story.port.asked.back() == "pause");
  story.port.report(story.channel, foremost, 3);
  CHECK(story.channel.log()->appended() == 8);
  story.port.report(story.channel, slowest, 2);  // Not the foremost: nothing changes.
  CHECK(story.channel.log()->appended() == 8);
  CHECK(story.port.count("read") == 0);
  story.port.report(story.channel, foremost, 8);
  CHECK(story.channel.log()->appended() == 13);
}

TEST_CASE("a shared upstream is read at most half a window ahead of the foremost reader, by bytes") {
  auto route = shared_with_window(1'000'000);
  route.window.bytes = 64 * 1024;
  for (const std::uint64_t event_bytes : {1024u, 8 * 1024u, 32 * 1024u}) {
    route.event_bytes = event_bytes;
    ChannelStory story(route);
    auto& reader = story.begin();
    reader.is_stuck = true;
    for (int i = 0; i < 200; ++i) story.emit(std::string(i % 2 != 0 ? 900 : 100, 'x'));
    CHECK(story.channel.is_upstream_paused());
    CHECK(story.channel.log()->appended_position() <= 32 * 1024);
    CHECK(story.channel.log()->appended_position() > 0);
    CHECK(story.channel.log()->first() == 0);
  }
}

TEST_CASE("events as large as they may be never push the foremost reader out of the window") {
  auto route = shared_with_window(1000);
  route.window.bytes = 64 * 1024;
  route.event_bytes = 32 * 1024;  // As large as a configuration may have it.
  ChannelStory story(route);
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.emit(std::string(30 * 1024, 'a'));
  story.emit(std::string(32 * 1024 - 20, 'b'));
  story.emit(std::string(32 * 1024 - 20, 'c'));
  CHECK(story.channel.log()->first() <= reader.cursor);
  while (reader.cursor < 3) {
    REQUIRE(story.channel.log()->published() > reader.cursor);
    story.port.report(story.channel, reader, reader.cursor + 1);
    CHECK(story.channel.log()->first() <= reader.cursor);
  }
}

TEST_CASE("a pause in the middle of a read keeps the rest, and later bytes behind it") {
  ChannelStory story(shared_with_window(4));
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive({events(0, 10), events(10, 1)});
  story.receive(events(11, 1));
  CHECK(story.channel.log()->appended() == 2);
  std::string seen;
  for (int turn = 0; turn < 12; ++turn) {
    REQUIRE(story.channel.log()->first() <= reader.cursor);
    for (const auto& frame : story.frames(reader.cursor)) seen += frame.substr(frame.find('\n') + 1);
    story.port.report(story.channel, reader, story.channel.log()->published());
  }
  CHECK(seen == events(0, 12));
  CHECK(reader.cursor == 12);
  CHECK(story.newest() == "id: 111\ndata: 11\n\n");
  CHECK_FALSE(story.channel.is_upstream_paused());
  CHECK(story.port.count("pause") == 1);
  CHECK(story.port.count("read") == 1);
}

TEST_CASE("the end of the response stands behind what was not yet read in") {
  for (const bool is_clean : {true, false}) {
    ChannelStory story(session_with_window(2));
    auto& reader = story.begin();
    reader.is_stuck = true;
    story.receive(events(0, 5));
    story.channel.on_upstream_end(is_clean);
    CHECK(story.state() == State::Streaming);
    CHECK(story.channel.log()->appended() == 2);
    CHECK(story.channel.log()->ends() == 0);
    story.port.report(story.channel, reader, 2);
    CHECK(story.channel.log()->appended() == 4);
    CHECK(story.channel.log()->ends() == 0);
    story.port.report(story.channel, reader, 4);
    CHECK(story.channel.log()->appended() == 5);
    CHECK(story.state() == State::Ended);
    REQUIRE(story.channel.log()->last_end().has_value());
    CHECK(story.channel.log()->last_end()->at == 5);
    CHECK(story.channel.log()->last_end()->is_clean == is_clean);
    CHECK(story.port.count("read") == 0);  // There is nothing left to read.
  }
}

TEST_CASE("a shared channel connects again only when all of the old response is read in") {
  ChannelStory story(shared_with_window(4));
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive(events(0, 5));
  story.channel.on_upstream_end(true);
  CHECK(story.state() == State::Streaming);
  CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  story.port.report(story.channel, reader, 2);
  story.port.report(story.channel, reader, 4);
  CHECK(story.state() == State::Waiting);
  CHECK(story.channel.log()->appended() == 5);
}

TEST_CASE("silence is not counted behind the end of a response") {
  auto route = session_with_window(2);
  route.upstream_idle = 30s;
  ChannelStory story(route);
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive(events(0, 5));
  story.channel.on_upstream_end(true);
  story.advance(10min);
  CHECK(story.state() == State::Streaming);
  story.port.report(story.channel, reader, 2);
  story.port.report(story.channel, reader, 4);
  CHECK(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("with nobody connected a shared upstream is read on, its oldest events going") {
  ChannelStory story(shared_with_window(4));
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive(events(0, 10));
  CHECK(story.channel.log()->appended() == 2);
  story.leave(reader);
  CHECK(story.channel.log()->appended() == 10);
  CHECK_FALSE(story.channel.is_upstream_paused());
  CHECK(story.port.asked.back() == "read");
  story.receive(events(10, 10));
  CHECK(story.channel.log()->appended() == 20);
  CHECK(story.channel.log()->window_events() == 4);
}

TEST_CASE("when the foremost reader leaves, the next one counts") {
  ChannelStory story(shared_with_window(10));
  auto& foremost = story.begin();
  auto& slow = story.join();
  slow.is_stuck = true;
  story.receive(events(0, 4));
  story.leave(foremost);
  story.receive(events(4, 10));
  CHECK(story.channel.log()->appended() == 5);
  CHECK(story.channel.is_upstream_paused());
  story.port.report(story.channel, slow, 4);
  CHECK(story.channel.log()->appended() == 9);
}

TEST_CASE("a reader that joins behind an upstream read without readers counts from its own place") {
  ChannelStory story(shared_with_window(10));
  auto& gone = story.begin();
  story.receive(events(0, 50));
  story.leave(gone);
  story.receive(events(50, 10));
  auto& late = story.join(story.channel.log()->first() + 5);
  late.is_stuck = true;
  REQUIRE(late.cursor == 55);
  story.receive(events(60, 10));
  CHECK(story.channel.log()->appended() <= 61);  // Already five ahead of it.
  CHECK(story.channel.is_upstream_paused());
  CHECK(story.channel.log()->first() <= late.cursor);
}

TEST_CASE("a window of one event still goes on") {
  ChannelStory story(shared_with_window(1));
  auto& reader = story.begin();
  story.receive(events(0, 20));
  CHECK(reader.cursor == 20);
  reader.is_stuck = true;
  story.receive(events(20, 20));
  CHECK(story.channel.log()->appended() == 21);
}

TEST_CASE("a slow reader delays nobody: it falls out of the window while the foremost goes on") {
  ChannelStory story(shared_with_window(10));
  auto& foremost = story.begin();
  auto& slow = story.join();
  slow.is_stuck = true;
  story.receive(events(0, 100));
  CHECK(foremost.cursor == 100);
  CHECK(story.channel.log()->first() > slow.cursor);
  CHECK(story.port.count("pause") == 0);
}

// ------------------------------------------------------------------------------------------------------ session

TEST_CASE("a session evicts nothing that no reader was sent: it stops reading when the window is full") {
  ChannelStory story(session_with_window(5));
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive(events(0, 20));
  CHECK(story.channel.log()->appended() == 5);
  CHECK(story.channel.log()->first() == 0);
  CHECK(story.channel.is_upstream_paused());
  story.port.report(story.channel, reader, 2);
  CHECK(story.channel.log()->first() == 2);
  CHECK(story.channel.log()->appended() == 7);
  story.port.report(story.channel, reader, 7);
  CHECK(story.channel.log()->appended() == 12);
}

TEST_CASE("a finished session is kept for little more than its entries") {
  ChannelStory story(session());
  story.begin();
  story.receive(events(0, 20));
  const auto& log = *story.channel.log();
  const auto before = log.memory();
  story.channel.on_upstream_end(true);
  CHECK(log.memory() < log.window_bytes() + 20 * 12 + 900);
  CHECK(log.memory() < before);
}

TEST_CASE("a session with a window in bytes stops reading when it is full, and goes on") {
  auto route = session();
  route.window.bytes = 8 * 1024;
  route.event_bytes = 4 * 1024;
  ChannelStory story(route);
  auto& reader = story.begin();
  reader.is_stuck = true;
  const std::string kilobyte(1000, 'x');
  for (int i = 0; i < 40; ++i) story.emit(kilobyte);
  CHECK(story.channel.is_upstream_paused());
  CHECK(story.channel.log()->first() == 0);
  CHECK(story.channel.log()->window_bytes() < 8 * 1024 + 4 * 1024);
  for (int turn = 0; turn < 100 && reader.cursor < 40; ++turn) {
    story.port.report(story.channel, reader, story.channel.log()->published());
    CHECK(story.channel.log()->window_bytes() < 8 * 1024 + 4 * 1024);
  }
  CHECK(story.channel.log()->appended() == 40);
  CHECK_FALSE(story.channel.is_upstream_paused());
}

TEST_CASE("a session whose reader left is read on until the window is full, and not further") {
  ChannelStory story(session_with_window(5));
  auto& reader = story.begin();
  story.receive(events(0, 2));
  story.leave(reader);
  story.receive(events(2, 20));
  CHECK(story.channel.log()->first() == 2);  // What was sent went first.
  CHECK(story.channel.log()->appended() == 7);
  CHECK(story.channel.is_upstream_paused());
  story.advance(30s);
  CHECK(story.channel.log()->appended() == 7);
  auto& again = story.join(2);
  again.is_stuck = true;
  story.port.report(story.channel, again, 7);
  CHECK(story.channel.log()->appended() == 12);
}

TEST_CASE("age takes nothing from a session that no reader was sent") {
  ChannelStory story(session());
  auto& reader = story.begin();
  story.receive(events(0, 2));
  reader.is_stuck = true;
  story.receive(events(2, 2));
  story.advance(2h);
  story.channel.expire();
  CHECK(story.channel.log()->first() == 2);
  CHECK(story.channel.log()->window_events() == 2);
}

TEST_CASE("age empties a shared window, readers or not") {
  ChannelStory story(shared());
  story.begin().is_stuck = true;
  story.receive(events(0, 2));
  story.advance(1h);
  story.channel.expire();
  CHECK(story.channel.log()->window_events() == 0);
}

TEST_CASE("memory pressure takes what was not sent too, and the upstream is then read on") {
  ChannelStory story(session_with_window(5));
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive(events(0, 20));
  REQUIRE(story.channel.is_upstream_paused());
  story.channel.shed(1);
  CHECK(story.channel.log()->first() == 1);
  story.channel.expire();
  CHECK(story.channel.log()->appended() == 6);
  CHECK(story.channel.log()->first() == 1);
}

// Any split into reads and pieces, any pace of readers: the reader gets every event, once, in order.
TEST_CASE("whatever the pace, the foremost reader gets every event, once and in order") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    auto route = random() % 2 != 0 ? shared() : session();
    route.window.events = 1 + random() % 12;
    route.window.bytes = 4096;
    route.event_bytes = 2048;
    ChannelStory story(route);
    auto& reader = story.begin();
    reader.is_stuck = true;
    const int count = 60;
    std::string text;
    for (int i = 0; i < count; ++i) {
      if (random() % 8 == 0) text += ": a comment\n";
      if (random() % 8 == 0) text += "retry: 5\n\n";
      text += "data: " + std::to_string(i) + std::string(random() % 4 == 0 ? random() % 1500 : 0, '.') + "\n\n";
    }
    int next = 0;
    bool has_ended = false;
    for (int turn = 0; turn < 10'000 && next < count; ++turn) {
      if (!story.channel.is_upstream_paused() && !text.empty()) {
        for (auto pieces = 1 + random() % 4; pieces != 0 && !text.empty(); --pieces) {
          const auto size = std::min<std::size_t>(text.size(), 1 + random() % 400);
          story.channel.on_upstream_bytes(text.substr(0, size));
          text.erase(0, size);
        }
        story.channel.on_upstream_read_over();
      }
      if (text.empty() && !std::exchange(has_ended, true)) story.channel.on_upstream_end(true);
      REQUIRE(story.channel.log()->first() <= reader.cursor);
      const auto ahead = story.channel.log()->published() - reader.cursor;
      if (ahead == 0 || random() % 3 == 0) continue;
      const auto step = 1 + random() % ahead;
      const auto frames = story.frames(reader.cursor);
      for (std::size_t i = 0; i < step; ++i) {
        REQUIRE(frames[i].find("\ndata: " + std::to_string(next++)) != std::string::npos);
      }
      story.port.report(story.channel, reader, reader.cursor + step);
    }
    CHECK(next == count);
    CHECK(has_ended);
    CHECK(story.state() == (story.channel.is_shared() ? State::Waiting : State::Ended));
  }
}

TEST_CASE("a reader's progress while nothing waits costs no wake") {
  ChannelStory story(shared());
  auto& reader = story.begin();
  story.emit("a");
  const auto wakes = story.port.wakes;
  story.port.report(story.channel, reader, 1);
  CHECK(story.port.wakes == wakes);
}

TEST_CASE("readers are woken once a read, not once an event") {
  ChannelStory story(shared());
  story.begin();
  const auto wakes = story.port.wakes;
  story.receive({events(0, 100), events(100, 100)});
  CHECK(story.port.wakes == wakes + 1);
}

}  // namespace
}  // namespace ssequel::relay
