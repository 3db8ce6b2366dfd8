// *logged-first*: the journal behind the log. Nothing is read before its commit, an end neither; a store that is slow
// or away stops intake and loses nothing.
#include <doctest/doctest.h>

#include <random>

#include "support/faulty_journal.h"
#include "support/slow_sequencer.h"
#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

using Frames = std::vector<std::string>;

std::string events(int first, int count) {
  std::string out;
  for (int i = first; i < first + count; ++i) out += "data: " + std::to_string(i) + "\n\n";
  return out;
}

struct Journalled {
  std::unique_ptr<test::FaultyJournal> made = std::make_unique<test::FaultyJournal>();
  test::FaultyJournal& journal = *made;
  ChannelStory story;
  explicit Journalled(Route route, std::unique_ptr<replay::Sequencer> ids = nullptr)
      : story(std::move(route), false, std::move(ids), std::move(made)) {}
  [[nodiscard]] const replay::ReplayLog& log() const { return *story.channel.log(); }
};

TEST_CASE("nothing is visible before its commit") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  store.story.receive("id: o1\ndata: a\n\ndata: b\n\n");
  CHECK(store.log().appended() == 2);
  CHECK(store.log().published() == 0);
  CHECK(store.story.frames().empty());
  CHECK(reader.cursor == 0);
  CHECK(store.log().newest_id() == std::nullopt);
  store.journal.commit(1);
  CHECK(reader.cursor == 1);
  CHECK(store.story.frames() == Frames{"id: 100\ndata: a\n\n"});
  store.journal.commit(1);
  CHECK(reader.cursor == 2);
  CHECK(store.story.newest() == "id: 101\ndata: b\n\n");
}

TEST_CASE("the journal gets what readers get: place, number, origin id, frame without framing, and the head first") {
  Journalled store(shared());
  store.story.begin();
  store.story.receive("id: o1\ndata: a\n\ndata: b\n\n");
  store.journal.commit();
  REQUIRE(store.journal.entries.size() == 2);
  CHECK(store.journal.entries[0].place == 0);
  CHECK(store.journal.entries[0].number == 100);
  CHECK(store.journal.entries[0].origin == "o1");
  CHECK(store.journal.entries[1].number == 101);
  CHECK(store.journal.entries[1].origin == std::nullopt);
  for (std::size_t i = 0; i < 2; ++i) CHECK(store.journal.entries[i].frame == store.story.frames()[i]);
  REQUIRE(store.journal.heads.size() == 1);
  CHECK(parse_stream_head(store.journal.heads[0]).has_value());
  store.story.reconnect();
  CHECK(store.journal.heads.size() == 2);
}

TEST_CASE("a commit wakes the readers once, one that says nothing new not at all") {
  Journalled store(shared());
  store.story.begin();
  store.story.receive(events(0, 10));
  const auto wakes = store.story.port.wakes;
  store.journal.commit();
  CHECK(store.story.port.wakes == wakes + 1);
  store.journal.commit_again();
  CHECK(store.story.port.wakes == wakes + 1);
}

TEST_CASE("what is not committed is bounded: reading stops, and goes on with the commits") {
  auto route = session();
  route.event_bytes = 128 * 1024;
  Journalled store(route);
  auto& reader = store.story.begin();
  const std::string kilobytes(50'000, 'x');
  int sent = 0;
  for (; sent < 1000 && !store.story.channel.is_upstream_paused(); ++sent) store.story.emit(kilobytes);
  CHECK(store.story.channel.is_upstream_paused());
  CHECK(store.journal.uncommitted_bytes() > Channel::kMaxUncommittedBytes - 60'000);
  CHECK(store.journal.uncommitted_bytes() < Channel::kMaxUncommittedBytes + 60'000);
  store.story.receive(events(0, 1));  // The rest of the read in which it was paused: kept, not journalled.
  CHECK(store.journal.entries.size() == static_cast<std::size_t>(sent));
  store.journal.commit(1);
  CHECK_FALSE(store.story.channel.is_upstream_paused());
  CHECK(store.journal.entries.size() == static_cast<std::size_t>(sent) + 1);
  store.journal.commit();
  CHECK(reader.cursor == static_cast<replay::Place>(sent) + 1);
}

TEST_CASE("an event larger than the bound of what is not committed still goes through") {
  auto route = session();
  route.event_bytes = 4 * 1024 * 1024;
  Journalled store(route);
  auto& reader = store.story.begin();
  store.story.emit(std::string(3 * 1024 * 1024, 'x'));
  CHECK(store.story.channel.is_upstream_paused());
  store.journal.commit();
  CHECK(reader.cursor == 1);
  CHECK_FALSE(store.story.channel.is_upstream_paused());
}

TEST_CASE("a session's end behind uncommitted entries is journalled at once and told after them") {
  for (const bool is_clean : {true, false}) {
    Journalled store(session());
    auto& reader = store.story.begin();
    store.story.receive(events(0, 2));
    store.story.channel.on_upstream_end(is_clean);
    REQUIRE(store.journal.ends.size() == 1);
    CHECK(store.journal.ends[0].at == 2);
    CHECK(store.journal.ends[0].is_clean == is_clean);
    // Who reads now is served what is committed, and ends only behind the last entry.
    const auto end = store.log().end_for(0, 0);
    REQUIRE(end);
    CHECK(end->at == 2);
    CHECK(store.story.state() == State::Streaming);  // So nobody is answered as at the very end yet.
    store.journal.stall();
    store.journal.commit(1);
    store.journal.recover();
    CHECK(store.story.port.asked.empty());  // There is no upstream to be read or not.
    CHECK(store.story.state() == State::Streaming);
    CHECK(reader.cursor == 1);
    store.journal.commit(1);
    CHECK(reader.cursor == 2);
    CHECK(store.story.state() == State::Ended);
    CHECK(store.journal.ends.size() == 1);
    CHECK(store.log().ends() == 1);
    CHECK(store.log().last_end()->is_clean == is_clean);
    store.journal.commit_again();
    CHECK(store.journal.ends.size() == 1);
  }
}

TEST_CASE("a reader that comes while an end waits for commits is ended behind the last of them") {
  Journalled store(session());
  store.story.begin();
  store.story.receive(events(0, 2));
  store.story.channel.on_upstream_end(true);
  store.journal.commit(1);
  const auto start = store.log().published();
  const auto ends_seen = store.log().ends();
  REQUIRE(store.log().end_for(start, ends_seen));
  CHECK(store.log().end_for(start, ends_seen)->at == 2);
  store.journal.commit(1);
  // One that comes now begins at the end, and goes on behind it.
  CHECK_FALSE(store.log().end_for(store.log().published(), store.log().ends()));
}

TEST_CASE("an end with nothing uncommitted before it is told at once") {
  Journalled store(session());
  store.story.begin();
  store.story.emit("a");
  store.journal.commit();
  store.story.channel.on_upstream_end(true);
  CHECK(store.story.state() == State::Ended);
  CHECK(store.journal.ends.size() == 1);
}

TEST_CASE("a session that is let go with entries uncommitted has ended once they are committed") {
  auto route = session();
  Journalled store(route);
  auto& reader = store.story.begin();
  store.story.receive(events(0, 2));
  store.story.leave(reader);
  store.story.advance(route.linger);
  CHECK(store.story.port.count("disconnect") == 1);
  REQUIRE(store.journal.ends.size() == 1);
  CHECK_FALSE(store.journal.ends[0].is_clean);
  CHECK(store.story.state() == State::Streaming);
  CHECK(store.story.port.timer(ChannelTimer::Rest) == route.retain);
  auto& again = store.story.join(0);
  store.journal.commit();
  CHECK(again.cursor == 2);
  CHECK(store.story.state() == State::Ended);
}

TEST_CASE("a shared upstream that ends is tried again whether or not the store has everything") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  store.story.emit("a");
  store.story.channel.on_upstream_end(true);
  CHECK(store.story.state() == State::Waiting);
  CHECK(store.journal.ends.empty());
  store.story.wait_out_backoff();
  store.story.answer();
  store.story.emit("b");
  store.journal.commit();
  CHECK(reader.cursor == 3);
  CHECK(store.story.frames()[1].find("upstream-gap") != std::string::npos);
}

TEST_CASE("a store that is away stops intake, keeps the readers, and it goes on by itself") {
  for (const auto& route : {shared(), session()}) {
    Journalled store(route);
    auto& reader = store.story.begin();
    store.story.emit("a");
    store.journal.stall();
    CHECK(store.story.channel.is_upstream_paused());
    CHECK(store.story.port.asked.back() == "pause");
    store.story.receive(events(1, 3));  // Was on its way.
    CHECK(store.journal.entries.size() == 1);
    CHECK(store.story.port.count("end readers") == 0);
    store.journal.commit();  // What was given before may still come through.
    CHECK(reader.cursor == 1);
    CHECK(store.journal.entries.size() == 1);
    store.journal.recover();
    CHECK(store.journal.entries.size() == 4);
    CHECK(store.story.port.asked.back() == "read");
    store.journal.commit();
    CHECK(reader.cursor == 4);
    CHECK(store.story.newest().ends_with("data: 3\n\n"));
  }
}

TEST_CASE("silence is not counted while the store is away") {
  auto route = shared();
  route.upstream_idle = 30s;
  Journalled store(route);
  store.story.begin();
  store.journal.stall();
  store.story.advance(10min);
  CHECK(store.story.state() == State::Streaming);
  store.journal.recover();
  store.story.advance(30s);
  CHECK(store.story.state() == State::Waiting);
}

TEST_CASE("an upstream that comes back while the store is away is not read, its gap is told once it is back") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  store.story.emit("a");
  store.journal.commit();
  store.journal.stall();
  store.story.channel.on_upstream_end(false);
  store.story.wait_out_backoff();
  store.story.answer();
  store.story.receive(events(1, 2));
  CHECK(store.story.channel.is_upstream_paused());
  CHECK(store.journal.entries.size() == 1);
  store.journal.recover();
  store.journal.commit();
  CHECK(reader.cursor == 4);
  CHECK(store.story.frames()[1].find("upstream-gap") != std::string::npos);
  CHECK(store.story.newest().ends_with("data: 2\n\n"));
}

TEST_CASE("an end that comes while the store is away keeps its place behind what was read before it") {
  Journalled store(session());
  auto& reader = store.story.begin();
  store.journal.stall();
  store.story.receive(events(0, 2));
  store.story.channel.on_upstream_end(true);
  CHECK(store.journal.ends.empty());
  CHECK(store.story.state() == State::Streaming);
  store.journal.recover();
  CHECK(store.story.port.count("read") == 0);  // There is nothing left to read.
  REQUIRE(store.journal.ends.size() == 1);
  CHECK(store.journal.ends[0].at == 2);
  CHECK(store.story.state() == State::Streaming);
  store.journal.commit();
  CHECK(reader.cursor == 2);
  CHECK(store.story.state() == State::Ended);
}

TEST_CASE("a last line without its end is journalled before the end, store away or not") {
  auto route = session();
  route.upstream_format = UpstreamFormat::Ndjson;
  Journalled store(route);
  store.story.begin();
  store.story.receive("{\"n\":1}");
  store.journal.stall();
  store.story.channel.on_upstream_end(true);
  CHECK(store.journal.entries.empty());
  CHECK(store.journal.ends.empty());
  store.journal.recover();
  CHECK(store.journal.entries.size() == 1);
  REQUIRE(store.journal.ends.size() == 1);
  CHECK(store.journal.ends[0].at == 1);
  store.journal.commit();
  CHECK(store.story.state() == State::Ended);
}

TEST_CASE("one who opens the upstream again begins behind the gap once that is committed, or at once without a store") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  CHECK(store.story.channel.is_begun());  // A log's first connect tells no gap.
  store.story.emit("a");
  store.journal.commit();
  store.story.leave(reader);
  store.story.advance(60s);
  store.story.channel.connect();
  store.story.answer();
  CHECK_FALSE(store.story.channel.is_begun());
  store.journal.stall();
  CHECK(store.story.channel.is_begun());  // Who waited would wait for as long as it is away.
  store.journal.recover();
  CHECK_FALSE(store.story.channel.is_begun());
  store.journal.commit();
  CHECK(store.story.channel.is_begun());
  CHECK(store.log().published() == 2);
}

TEST_CASE("readers of a channel closed by a final answer get what was not committed, then the end") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  store.story.emit("a");
  store.story.channel.on_upstream_end(true);
  store.story.wait_out_backoff();
  store.story.channel.on_upstream_final();
  CHECK(store.story.state() == State::Final);
  CHECK(store.story.port.count("end readers") == 0);
  store.journal.commit();
  CHECK(reader.cursor == 1);
  CHECK(store.story.port.count("end readers") == 1);
}

TEST_CASE("a channel that is opened again before it could end its readers keeps them") {
  Journalled store(shared());
  auto& reader = store.story.begin();
  store.story.emit("a");
  store.story.channel.on_upstream_end(true);
  store.story.wait_out_backoff();
  store.story.channel.on_upstream_final();
  store.story.channel.connect();
  store.story.answer();
  store.journal.commit();
  CHECK(store.story.port.count("end readers") == 0);
  CHECK(reader.cursor == 2);
}

TEST_CASE("what leaves the window is told, by events, by age and by memory, and never before it was committed") {
  auto route = shared();
  route.window.events = 4;
  Journalled store(route);
  store.story.leave(store.story.begin());
  store.story.receive(events(0, 10));
  CHECK(store.journal.evictions.empty());
  CHECK(store.log().first() == 0);
  store.journal.commit();
  REQUIRE_FALSE(store.journal.evictions.empty());
  CHECK(store.journal.evictions.back() == 6);
  CHECK(store.log().window_events() == 4);
  store.story.channel.shed(1);
  CHECK(store.journal.evictions.back() == 7);
  const auto told = store.journal.evictions.size();
  store.story.channel.expire();
  CHECK(store.journal.evictions.size() == told);
  store.story.advance(route.window.age);
  store.story.channel.expire();
  CHECK(store.journal.evictions.back() == 10);
}

TEST_CASE("a session evicts nothing that is not sent, hence nothing that is not committed") {
  auto route = session();
  route.window.events = 4;
  Journalled store(route);
  auto& reader = store.story.begin();
  store.story.receive(events(0, 10));
  CHECK(store.log().appended() == 4);
  CHECK(store.story.channel.is_upstream_paused());
  for (int turn = 0; turn < 10 && reader.cursor < 10; ++turn) store.journal.commit();
  CHECK(reader.cursor == 10);
  CHECK_FALSE(store.story.channel.is_upstream_paused());
}

TEST_CASE("a channel whose time is over asks to be retired, and is forgotten by its journal when its owner says so") {
  auto route = session();
  Journalled store(route);
  auto& reader = store.story.begin();
  store.story.channel.on_upstream_end(true);
  store.story.leave(reader);
  CHECK(store.journal.times_forgotten == 0);
  store.story.advance(route.retain);
  CHECK(store.story.port.count("retire") == 1);
  CHECK(store.journal.times_forgotten == 0);
  store.story.channel.forget();
  CHECK(store.journal.times_forgotten == 1);
}

// Any pace of upstream, ids, commits and readers, a store that goes and comes: every event once, in order; nothing read
// that is not held; what is held is what was read.
TEST_CASE("whatever the pace of ids, commits and readers, everything arrives once, in order, and after its commit") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    auto route = random() % 2 != 0 ? shared() : session();
    route.window.events = 1 + random() % 12;
    auto made = std::make_unique<test::SlowSequencer>();
    auto& ids = *made;
    Journalled store(route, std::move(made));
    auto& story = store.story;
    auto& reader = story.begin();
    reader.is_stuck = true;
    const int count = 60;
    auto text = events(0, count);
    const bool is_clean = random() % 2 != 0;
    bool is_away = false;
    int next = 0;
    for (int turn = 0; turn < 20'000 && next < count; ++turn) {
      if (!story.channel.is_upstream_paused() && !text.empty()) {
        const auto size = std::min<std::size_t>(text.size(), 1 + random() % 200);
        story.receive(text.substr(0, size));
        text.erase(0, size);
        if (text.empty()) story.channel.on_upstream_end(is_clean);
      }
      if (random() % 10 == 0) {
        is_away = !is_away;
        is_away ? store.journal.stall() : store.journal.recover();
      }
      if (ids.is_due() && random() % 2 == 0) ids.give(random() % 8);
      if (!is_away && random() % 2 == 0) store.journal.commit(random() % (store.journal.uncommitted() + 1));
      REQUIRE(store.log().published() == store.journal.committed());
      REQUIRE(store.log().first() <= reader.cursor);
      if (story.state() == State::Ended) REQUIRE(store.log().published() == count);
      const auto ahead = store.log().published() - reader.cursor;
      if (ahead == 0 || random() % 3 == 0) continue;
      const auto step = 1 + random() % ahead;
      const auto frames = story.frames(reader.cursor);
      REQUIRE(frames.size() == ahead);
      for (std::size_t i = 0; i < step; ++i) {
        REQUIRE(frames[i].ends_with("\ndata: " + std::to_string(next++) + "\n\n"));
        REQUIRE(frames[i] == store.journal.entries[reader.cursor + i].frame);
      }
      story.port.report(story.channel, reader, reader.cursor + step);
    }
    CHECK(next == count);
    CHECK(ids.times_asked_too_often == 0);
    if (is_away) store.journal.recover();
    if (story.channel.is_shared()) {
      CHECK(story.state() == State::Waiting);
      CHECK(store.journal.ends.empty());
    } else {
      CHECK(story.state() == State::Ended);
      REQUIRE(store.journal.ends.size() == 1);
      CHECK(store.journal.ends[0].at == count);
      CHECK(store.journal.ends[0].is_clean == is_clean);
    }
  }
}

}  // namespace
}  // namespace ssequel::relay
