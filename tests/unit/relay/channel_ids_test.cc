// Ids that come later: the bounded queue before the log.
#include <doctest/doctest.h>
#include <zlib.h>

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

struct SlowIds {
  std::unique_ptr<test::SlowSequencer> made = std::make_unique<test::SlowSequencer>();
  test::SlowSequencer& ids = *made;
  ChannelStory story;
  explicit SlowIds(Route route, std::uint64_t available = 0)
      : story((ids.give(available), std::move(route)), false, std::move(made)) {}
  [[nodiscard]] const replay::ReplayLog& log() const { return *story.channel.log(); }
};

TEST_CASE("an event without an id waits, and is read as soon as its id comes") {
  SlowIds slow(shared());
  auto& reader = slow.story.begin();
  slow.story.emit("a");
  CHECK(slow.log().appended() == 0);
  CHECK(slow.ids.is_due());
  slow.ids.give(1);
  CHECK(slow.story.frames() == Frames{"id: 100\ndata: a\n\n"});
  CHECK(reader.cursor == 1);
}

TEST_CASE("an allocator that is ready costs no queue and no wake of its own") {
  SlowIds slow(shared(), test::SlowSequencer::kAny);
  auto& reader = slow.story.begin();
  const auto wakes = slow.story.port.wakes;
  slow.story.receive(events(0, 100));
  CHECK(reader.cursor == 100);
  CHECK(slow.story.port.wakes == wakes + 1);
  CHECK(slow.story.channel.pending_bytes() < 64);
}

TEST_CASE("events keep their order: none overtakes one that waits") {
  SlowIds slow(shared(), 2);
  slow.ids.step = 7;
  slow.story.begin();
  slow.story.receive(events(0, 4));
  CHECK(slow.log().appended() == 2);
  slow.ids.give(1);
  slow.story.receive(events(4, 2));  // Behind what waits.
  CHECK(slow.log().appended() == 3);
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.story.frames() == Frames{"id: 106\ndata: 0\n\n", "id: 113\ndata: 1\n\n", "id: 120\ndata: 2\n\n",
                                      "id: 127\ndata: 3\n\n", "id: 134\ndata: 4\n\n", "id: 141\ndata: 5\n\n"});
  slow.story.emit("6");
  CHECK(slow.story.newest() == "id: 148\ndata: 6\n\n");
}

TEST_CASE("the allocator is asked once, however much arrives and whoever reads meanwhile") {
  SlowIds slow(shared());
  auto& reader = slow.story.begin();
  for (int i = 0; i < 10; ++i) {
    slow.story.emit("x");
    slow.story.port.report(slow.story.channel, reader, 0);
    slow.story.channel.expire();
  }
  CHECK(slow.ids.times_asked == 1);
  slow.ids.give(1);
  CHECK(slow.ids.times_asked == 3);  // The one, and then for the next.
  slow.ids.give_nothing();
  CHECK(slow.ids.times_asked == 4);
  CHECK(slow.log().appended() == 1);
  slow.ids.give(20);
  CHECK(slow.log().appended() == 10);
  CHECK(slow.ids.times_asked_too_often == 0);
}

TEST_CASE("ids that come wake the readers once, for all of them") {
  SlowIds slow(shared());
  slow.story.begin();
  slow.story.receive(events(0, 10));
  const auto wakes = slow.story.port.wakes;
  slow.ids.give(10);
  CHECK(slow.log().published() == 10);
  CHECK(slow.story.port.wakes == wakes + 1);
}

TEST_CASE("what an event came with waits with it: origin id, last event ID, too large or not, gaps") {
  auto route = session();
  route.event_bytes = 64;
  SlowIds slow(route);
  slow.story.begin();
  slow.story.receive("id: one\ndata: a\n\ndata: b\n\nid: two\ndata: " + std::string(100, 'x') + "\n\n");
  slow.ids.give(test::SlowSequencer::kAny);
  slow.ids.dry_up();
  slow.story.channel.on_upstream_end(false);
  slow.story.channel.prepare_to_continue();
  slow.story.answer();
  slow.story.receive("id: three\ndata: d\n\n");
  CHECK(slow.log().appended() == 3);
  slow.ids.give(test::SlowSequencer::kAny);
  const auto frames = slow.story.frames();
  REQUIRE(frames.size() == 5);
  CHECK(frames[1].ends_with("\ndata: b\n\n"));
  CHECK(frames[2].find("\"reason\":\"dropped\"") != std::string::npos);
  CHECK(frames[3].find("\"reason\":\"upstream-gap\"") != std::string::npos);
  const auto origin = [&](std::size_t i) {
    return replay::parse_id(replay::id_of_frame(frames[i])).origin.value_or("none");
  };
  CHECK(origin(0) == "one");
  CHECK(origin(1) == "one");
  CHECK(origin(2) == "two");
  CHECK(origin(3) == "two");  // What was known when the gap was told.
  CHECK(origin(4) == "three");
  CHECK(slow.story.channel.last_origin_id() == "three");
}

TEST_CASE("dedupe sees what waits") {
  auto route = shared();
  route.dedupe = Dedupe::Id;
  SlowIds slow(route);
  slow.story.begin();
  slow.story.receive("id: 7\ndata: a\n\nid: 7\ndata: a\n\nid: 8\ndata: b\n\nid: 7\ndata: a\n\n");
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.story.frames() == Frames{"id: 100\ndata: a\n\n", "id: 101\ndata: b\n\n"});
  CHECK(slow.story.counters.deduplicated == 2);
}

TEST_CASE("a full queue stops reading, and ids let it go on: nothing is lost") {
  constexpr int kMost = static_cast<int>(ArrivalQueue::kMaxArrivals);
  SlowIds slow(shared());
  auto& reader = slow.story.begin();
  slow.story.receive(events(0, kMost - 1));
  CHECK_FALSE(slow.story.channel.is_upstream_paused());
  slow.story.receive({events(kMost - 1, 5), events(kMost + 4, 5)});
  CHECK(slow.story.channel.is_upstream_paused());
  CHECK(slow.story.port.asked.back() == "pause");
  CHECK(slow.story.counters.events_emitted == 0);
  slow.ids.give(3);
  CHECK(reader.cursor == 3);
  CHECK(slow.story.channel.is_upstream_paused());  // What was read already fills it again.
  slow.ids.give(100);
  CHECK_FALSE(slow.story.channel.is_upstream_paused());
  CHECK(slow.story.port.asked.back() == "read");
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(reader.cursor == kMost + 9);
  CHECK(slow.story.newest().ends_with("data: " + std::to_string(kMost + 8) + "\n\n"));
}

TEST_CASE("the queue is bounded by bytes too") {
  auto route = shared();
  route.event_bytes = 64 * 1024;
  SlowIds slow(route);
  slow.story.begin();
  for (int i = 0; i < 100 && !slow.story.channel.is_upstream_paused(); ++i) slow.story.emit(std::string(60'000, 'x'));
  CHECK(slow.story.channel.is_upstream_paused());
  CHECK(slow.story.channel.pending_bytes() < 4 * ArrivalQueue::kMaxBytes);
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK_FALSE(slow.story.channel.is_upstream_paused());
}

TEST_CASE("silence is not counted while a full queue keeps the upstream from being read") {
  auto route = shared();
  route.upstream_idle = 30s;
  SlowIds slow(route);
  slow.story.begin();
  slow.story.receive(events(0, static_cast<int>(ArrivalQueue::kMaxArrivals)));
  slow.story.advance(10min);
  CHECK(slow.story.state() == State::Streaming);
  CHECK(slow.story.port.count("disconnect") == 0);
  slow.ids.give(test::SlowSequencer::kAny);
  slow.story.advance(30s);
  CHECK(slow.story.state() == State::Waiting);
}

TEST_CASE("readers that are behind hold the queue back, ids or not") {
  auto route = session();
  route.window.events = 5;
  SlowIds slow(route);
  auto& reader = slow.story.begin();
  reader.is_stuck = true;
  slow.story.receive(events(0, 20));
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.log().appended() == 5);
  CHECK(slow.log().first() == 0);
  for (int turn = 0; turn < 10 && reader.cursor < 20; ++turn) {
    REQUIRE(slow.log().first() <= reader.cursor);
    slow.story.port.report(slow.story.channel, reader, slow.log().published());
  }
  CHECK(reader.cursor == 20);
  CHECK_FALSE(slow.story.channel.is_upstream_paused());
}

TEST_CASE("a shared queue that readers held back goes on when the last of them leaves") {
  auto route = shared();
  route.window.events = 4;
  SlowIds slow(route);
  auto& reader = slow.story.begin();
  reader.is_stuck = true;
  slow.story.receive(events(0, 20));
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.log().appended() == 2);
  slow.story.leave(reader);
  CHECK(slow.log().appended() == 20);
}

TEST_CASE("a session's end waits behind the queue") {
  for (const bool is_clean : {true, false}) {
    SlowIds slow(session(), 1);
    slow.story.begin();
    slow.story.receive(events(0, 3));
    slow.story.channel.on_upstream_end(is_clean);
    CHECK(slow.story.state() == State::Streaming);
    CHECK(slow.log().ends() == 0);
    slow.ids.give(1);
    CHECK(slow.log().ends() == 0);
    slow.ids.give(1);
    CHECK(slow.story.state() == State::Ended);
    REQUIRE(slow.log().last_end());
    CHECK(slow.log().last_end()->at == 3);
    CHECK(slow.log().last_end()->is_clean == is_clean);
  }
}

TEST_CASE("a last line without its end is an event before the end, and waits like any other") {
  auto route = session();
  route.upstream_format = UpstreamFormat::Ndjson;
  SlowIds slow(route);
  slow.story.begin();
  slow.story.receive("{\"n\":1}");
  slow.story.channel.on_upstream_end(true);
  CHECK(slow.story.state() == State::Streaming);
  CHECK(slow.log().ends() == 0);
  slow.ids.give(1);
  CHECK(slow.story.newest().ends_with("data: {\"n\":1}\n\n"));
  CHECK(slow.log().last_end()->at == 1);
  CHECK(slow.story.state() == State::Ended);
}

TEST_CASE("a shared channel connects again when the queue has gone into the log, the gap stands behind it") {
  SlowIds slow(shared());
  const auto ann = std::make_shared<Credential>();
  slow.story.channel.admit(ann);
  slow.story.begin();
  slow.story.receive("id: last\ndata: a\n\n");
  CHECK(slow.story.channel.opened_with() == ann);
  slow.story.channel.on_upstream_end(false);
  CHECK(slow.story.state() == State::Streaming);
  CHECK(slow.story.channel.opened_with() == nullptr);
  CHECK(slow.story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.story.state() == State::Waiting);
  slow.story.wait_out_backoff();
  CHECK(slow.story.port.last_event_ids.back() == "last");
  slow.story.answer();
  slow.story.emit("b");
  CHECK(slow.log().appended() == 3);
  CHECK(slow.story.frames()[1].find("upstream-gap") != std::string::npos);
}

TEST_CASE("after the upstream was let go, what had arrived still gets its ids") {
  for (auto route : {shared(), session()}) {
    route.linger = 0s;
    SlowIds slow(route);
    auto& reader = slow.story.begin();
    slow.story.receive("data: a\n\ndata: b\n\ndata: unfinished");
    slow.story.leave(reader);
    CHECK(slow.story.port.count("disconnect") == 1);
    CHECK(slow.log().appended() == 0);
    slow.ids.give(test::SlowSequencer::kAny);
    CHECK(slow.story.count("data: a") == 1);
    CHECK(slow.story.count("data: b") == 1);
    CHECK(slow.log().appended() == 2);
    if (slow.story.channel.is_shared()) {
      CHECK(slow.story.state() == State::Dormant);
    } else {
      CHECK(slow.story.state() == State::Ended);
      CHECK(slow.log().last_end()->at == 2);
      CHECK_FALSE(slow.log().last_end()->is_clean);
    }
    slow.story.advance(route.retain);
    CHECK(slow.story.port.count("retire") == 1);
  }
}

TEST_CASE("letting go behind a clean end that still waits for ids leaves it clean") {
  SlowIds slow(session());
  slow.story.begin();
  slow.story.emit("a");
  slow.story.channel.on_upstream_end(true);
  slow.story.channel.let_go();
  CHECK(slow.log().ends() == 0);
  slow.ids.give(1);
  CHECK(slow.log().last_end()->is_clean);
  CHECK(slow.log().ends() == 1);
}

TEST_CASE("a channel whose ids never come is retired all the same") {
  auto route = session();
  SlowIds slow(route);
  auto& reader = slow.story.begin();
  slow.story.emit("a");
  slow.story.leave(reader);
  slow.story.advance(route.linger);
  CHECK(slow.story.port.count("disconnect") == 1);
  slow.story.advance(route.retain);
  CHECK(slow.story.port.count("retire") == 1);
}

TEST_CASE("a shared channel that is let go and opened again and again with its ids away queues one gap") {
  auto route = shared();
  route.linger = 0s;
  SlowIds slow(route);
  auto* reader = &slow.story.begin();
  slow.story.emit("a");
  slow.story.leave(*reader);
  for (int i = 0; i < 5; ++i) {
    slow.story.channel.connect();
    slow.story.answer();
    CHECK_FALSE(slow.story.channel.is_begun());
    reader = &slow.story.join();
    slow.story.leave(*reader);
  }
  slow.ids.give(1);
  CHECK_FALSE(slow.story.channel.is_begun());
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.log().appended() == 2);
  CHECK(slow.story.count("upstream-gap") == 1);
  CHECK(slow.story.channel.is_begun());
  CHECK(slow.story.counters.gaps_sequence == 1);
}

TEST_CASE("connections that come and go while the queue is full add nothing to it but that gap") {
  auto route = shared();
  route.linger = 0s;
  SlowIds slow(route);
  auto* reader = &slow.story.begin();
  slow.story.receive(events(0, static_cast<int>(ArrivalQueue::kMaxArrivals)));
  slow.story.leave(*reader);
  for (int i = 0; i < 5; ++i) {
    slow.story.channel.connect();
    slow.story.answer();
    reader = &slow.story.join();
    slow.story.receive(events(0, 3));
    CHECK(slow.story.port.asked.back() == "pause");
    slow.story.leave(*reader);
  }
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.log().appended() == ArrivalQueue::kMaxArrivals + 1);
}

TEST_CASE("an upstream that is let go behind a response that is over stays let go when the ids come") {
  SlowIds slow(shared());
  slow.story.begin();
  slow.story.emit("a");
  slow.story.channel.on_upstream_end(true);
  slow.story.channel.let_go();
  CHECK(slow.story.state() == State::Dormant);
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(slow.log().published() == 1);
  CHECK(slow.story.state() == State::Dormant);
  CHECK(slow.story.port.timer(ChannelTimer::Upstream) == std::nullopt);
}

// Readers held the queue back, then the upstream was let go (limits): no read of it will move the queue any more.
struct HeldAndLetGo : SlowIds {
  test::FakeReader* reader = &story.begin();
  explicit HeldAndLetGo(Route route) : SlowIds(std::move(route)) {
    reader->is_stuck = true;
    story.receive(events(0, 20));
    ids.give(test::SlowSequencer::kAny);
    REQUIRE(log().appended() == 2);
    story.channel.let_go();
    REQUIRE(log().appended() == 2);
  }
  static Route shared_of_four() {
    auto route = shared();
    route.window.events = 4;
    return route;
  }
  static Route session_of_two() {
    auto route = session();
    route.window.events = 2;
    return route;
  }
};

TEST_CASE("a queue that readers hold back goes on with them after the upstream was let go") {
  HeldAndLetGo slow(HeldAndLetGo::shared_of_four());
  slow.story.port.report(slow.story.channel, *slow.reader, 2);
  CHECK(slow.log().appended() == 4);
  slow.story.leave(*slow.reader);
  CHECK(slow.log().appended() == 20);
}

TEST_CASE("a queue that readers hold back goes on when the last of them leaves, upstream or not") {
  HeldAndLetGo slow(HeldAndLetGo::shared_of_four());
  slow.story.leave(*slow.reader);
  CHECK(slow.log().appended() == 20);
}

TEST_CASE("the gap of a new connection stands behind a queue that readers hold back") {
  HeldAndLetGo slow(HeldAndLetGo::shared_of_four());
  slow.story.channel.connect();
  slow.story.answer();
  CHECK(slow.log().appended() == 2);
  slow.story.leave(*slow.reader);
  CHECK(slow.log().appended() == 21);
  CHECK(slow.story.newest().find("upstream-gap") != std::string::npos);
}

TEST_CASE("a session's queue goes on where memory pressure made room, upstream or not") {
  HeldAndLetGo slow(HeldAndLetGo::session_of_two());
  slow.story.channel.shed(1);
  slow.story.channel.expire();
  CHECK(slow.log().appended() == 3);
  CHECK(slow.story.state() == State::Streaming);
}

TEST_CASE("compressed content stays compressed while the queue is full") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "data: a\n\n";
  std::string compressed(compressBound(text.size()), '\0');
  auto size = static_cast<uLongf>(compressed.size());
  REQUIRE(compress2(reinterpret_cast<Bytef*>(compressed.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                    text.size(), 9) == Z_OK);
  compressed.resize(size);
  SlowIds slow(shared());
  auto& reader = slow.story.begin(http::ContentCoding::Deflate);
  slow.story.receive(compressed);
  CHECK(slow.story.channel.is_upstream_paused());
  // What one slice gave lies there, the rest as it came.
  CHECK(slow.story.channel.pending_bytes() < text.size());
  slow.ids.give(10);
  CHECK(slow.log().appended() == 10);
  CHECK(slow.story.channel.pending_bytes() < text.size());
  slow.ids.give(test::SlowSequencer::kAny);
  CHECK(reader.cursor == 200'000);
}

TEST_CASE("where a duplicate before it falls out, the beginning behind a waiting gap moves along") {
  auto route = shared();
  route.dedupe = Dedupe::Id;
  route.linger = 0s;
  SlowIds slow(route, 1);
  auto& reader = slow.story.begin();
  slow.story.receive("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 2\ndata: b\n\n");
  slow.story.leave(reader);
  slow.story.channel.connect();
  slow.story.answer();
  CHECK_FALSE(slow.story.channel.is_begun());
  slow.ids.give(1);
  CHECK_FALSE(slow.story.channel.is_begun());
  slow.ids.give(1);
  CHECK(slow.log().appended() == 3);
  CHECK(slow.story.channel.is_begun());
}

TEST_CASE("readers of a channel closed by a final answer get what still waited, then the end") {
  auto route = shared();
  route.linger = 0s;
  SlowIds slow(route);
  slow.story.leave(slow.story.begin());
  slow.story.channel.connect();
  slow.story.answer();
  auto& first = slow.story.join();
  slow.story.receive("data: a\n\n");
  slow.story.leave(first);
  REQUIRE(slow.story.state() == State::Dormant);
  auto& reader = slow.story.join(0);
  slow.story.channel.connect();
  slow.story.channel.on_upstream_final();
  CHECK(slow.story.state() == State::Final);
  CHECK(slow.story.port.count("end readers") == 0);
  slow.ids.give(1);
  CHECK(reader.cursor == 1);
  CHECK(slow.story.port.count("end readers") == 1);
  CHECK(slow.story.channel.readers() == 0);
}

// Any pace of upstream, ids and readers: every event once, in order, ids rising.
TEST_CASE("whatever the pace of ids and readers, everything arrives once and in order") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    auto route = random() % 2 != 0 ? shared() : session();
    route.window.events = 1 + random() % 12;
    SlowIds slow(route);
    auto& story = slow.story;
    slow.ids.step = 1 + random() % 3;
    auto& reader = story.begin();
    reader.is_stuck = true;
    const int count = 60;
    auto text = events(0, count);
    int next = 0;
    std::uint64_t last = 0;
    for (int turn = 0; turn < 10'000 && next < count; ++turn) {
      if (!story.channel.is_upstream_paused() && !text.empty()) {
        const auto size = std::min<std::size_t>(text.size(), 1 + random() % 200);
        story.receive(text.substr(0, size));
        text.erase(0, size);
        if (text.empty()) story.channel.on_upstream_end(true);
      }
      if (slow.ids.is_due() && random() % 2 == 0) slow.ids.give(random() % 8);
      const auto ahead = slow.log().published() - reader.cursor;
      REQUIRE(slow.log().first() <= reader.cursor);
      if (ahead == 0 || random() % 3 == 0) continue;
      const auto step = 1 + random() % ahead;
      const auto frames = story.frames(reader.cursor);
      for (std::size_t i = 0; i < step; ++i) {
        REQUIRE(frames[i].ends_with("\ndata: " + std::to_string(next++) + "\n\n"));
        const auto id = replay::parse_id(replay::id_of_frame(frames[i])).number;
        REQUIRE(id > last);
        last = id;
      }
      story.port.report(story.channel, reader, reader.cursor + step);
    }
    CHECK(next == count);
    CHECK(slow.ids.times_asked_too_often == 0);
    CHECK(story.state() == (story.channel.is_shared() ? State::Waiting : State::Ended));
  }
}

// A log that was opened without its first number.
struct Baseless {
  std::unique_ptr<test::SlowSequencer> made_ids = std::make_unique<test::SlowSequencer>();
  std::unique_ptr<test::FaultyJournal> made_journal = std::make_unique<test::FaultyJournal>();
  test::SlowSequencer& ids = *made_ids;
  test::FaultyJournal& journal = *made_journal;
  ChannelStory story{[this] {
    auto setup = ChannelStory::setup(shared(), false, std::move(made_ids), std::move(made_journal));
    setup.first_number = 0;
    return setup;
  }()};
};

TEST_CASE("a log that has no base yet allocates one before the upstream is asked, and gives it to no event") {
  Baseless slow;
  auto& channel = slow.story.channel;
  channel.connect();
  CHECK(channel.state() == Channel::State::Connecting);
  CHECK(slow.story.port.connected_with.size() == 0);
  slow.ids.give(1);
  CHECK(slow.story.port.connected_with.size() == 1);
  CHECK(channel.log()->id_before(0) == "1");
  CHECK((slow.journal.begun == replay::Number{2}));
  slow.ids.give(1);
  slow.story.answer();
  slow.story.join();
  slow.story.emit("a");
  slow.journal.commit();
  CHECK(slow.story.frames() == Frames{"id: 2\ndata: a\n\n"});
  CHECK(channel.log()->id_before(0) == "1");
}

TEST_CASE("nobody is kept waiting for a log's base for long") {
  Baseless slow;
  auto& channel = slow.story.channel;
  channel.connect();
  slow.story.port.advance(channel, Channel::kBasePatience - Millis(1));
  CHECK(slow.story.port.count("give up") == 0);
  slow.story.port.advance(channel, Millis(1));
  CHECK(slow.story.port.count("give up") == 1);
}

TEST_CASE("where the base came in time, its patience does not run out on the upstream") {
  Baseless slow;
  auto& channel = slow.story.channel;
  channel.connect();
  slow.story.port.advance(channel, Millis(2000));
  slow.ids.give(1);
  slow.story.port.advance(channel, Millis(10'000));
  CHECK(slow.story.port.count("give up") == 0);
  CHECK(slow.story.port.connected_with.size() == 1);
}

TEST_CASE("who was waited for leaves before the log has its base: the upstream is not asked") {
  Baseless slow;
  slow.story.channel.connect();
  slow.story.channel.let_go();
  slow.ids.give(5);
  CHECK(slow.story.port.connected_with.size() == 0);
  slow.story.channel.connect();
  CHECK(slow.story.port.connected_with.size() == 1);
}

}  // namespace
}  // namespace ssequel::relay
