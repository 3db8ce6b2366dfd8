#include "replay/replay_log.h"

#include <doctest/doctest.h>

#include "unit/replay/fixture.h"

namespace ssequel::replay {
namespace {

using Kind = Found::Kind;

Kind kind_of(const Story& story, std::uint64_t number) { return story.log.find(number, std::to_string(number)).kind; }

TEST_CASE("a new log is empty, its base one below its first number") {
  const Story story({}, 100);
  CHECK(story.log.base_number() == 99);
  CHECK(story.log.next_number() == 100);
  CHECK(story.log.window_events() == 0);
  CHECK(story.log.window_bytes() == 0);
  CHECK_FALSE(story.log.oldest_id().has_value());
  CHECK_FALSE(story.log.newest_id().has_value());
  CHECK_FALSE(story.log.time_of(0).has_value());
  CHECK(story.log.id_before(0) == "99");
  CHECK(story.read_all(0) == "");
}

TEST_CASE("entries are read back in order as they go on the wire") {
  Story story;
  for (const char* data : {"a", "b", "c"}) story.emit(data);
  CHECK(story.read_all(0) ==
        as_chunk("id: 100\ndata: a\n\n") + as_chunk("id: 101\ndata: b\n\n") + as_chunk("id: 102\ndata: c\n\n"));
  CHECK(story.read_all(2) == as_chunk("id: 102\ndata: c\n\n"));
  CHECK(story.read_all(3) == "");
}

TEST_CASE("no reader sees an entry that is not published") {
  Story story;
  story.emit("a", "origin-a");
  story.append("b", "origin-b");
  CHECK(story.log.published() == 1);
  CHECK(story.log.appended() == 2);
  CHECK(story.read_all(0) == as_chunk("id: 100\ndata: a\n\n"));
  CHECK(story.log.newest_id() == "100");
  CHECK(kind_of(story, 101) == Kind::Ahead);
  CHECK_FALSE(story.log.find_origin("origin-b").has_value());
  CHECK_FALSE(story.log.time_of(1).has_value());
  story.publish();
  CHECK(story.log.newest_id() == "101");
  CHECK(kind_of(story, 101) == Kind::Entry);
  CHECK(story.log.find_origin("origin-b") == 1);
}

TEST_CASE("reading respects the stop, the number of runs and the bytes, but gives at least one entry") {
  Story story;
  for (int i = 0; i < 10; ++i) story.emit("0123456789");
  const auto size = as_chunk("id: 100\ndata: 0123456789\n\n").size();
  std::vector<Run> runs;
  const auto read = [&](Place from, Place stop, std::size_t max_bytes) {
    REQUIRE(story.log.read(from, stop, 8, max_bytes, runs));
    return runs.empty() ? from : runs.back().end;
  };
  CHECK(read(0, ReplayLog::kNoPlace, 1 << 20) == 10);
  CHECK(read(0, 4, 1 << 20) == 4);
  CHECK(read(4, 4, 1 << 20) == 4);
  CHECK(read(0, ReplayLog::kNoPlace, 3 * size) == 3);
  CHECK(read(0, ReplayLog::kNoPlace, 3 * size - 1) == 2);
  CHECK(read(0, ReplayLog::kNoPlace, 1) == 1);
  CHECK(read(0, ReplayLog::kNoPlace, 0) == 1);
}

TEST_CASE("a read that spans segments gives one run for each") {
  Story story;
  for (int i = 0; i < 100; ++i) story.emit(std::string(100, 'x'));
  std::vector<Run> runs;
  REQUIRE(story.log.read(0, ReplayLog::kNoPlace, 100, 1 << 20, runs));
  REQUIRE(runs.size() > 2);
  CHECK(runs.size() < 20);  // Segments grow.
  for (std::size_t i = 1; i < runs.size(); ++i) CHECK(runs[i].first == runs[i - 1].end);
  CHECK(runs.back().end == 100);
  REQUIRE(story.log.read(0, ReplayLog::kNoPlace, 2, 1 << 20, runs));
  CHECK(runs.size() == 2);
}

TEST_CASE("positions count every byte since the log began") {
  Story story({.events = 2});
  const auto size = as_chunk("id: 100\ndata: x\n\n").size();
  CHECK(story.log.appended_position() == 0);
  CHECK(story.log.position(0) == 0);
  for (int i = 0; i < 200; ++i) story.emit("x");
  CHECK(story.log.appended_position() == 200 * size);
  CHECK(story.log.position(200) == 200 * size);
  CHECK(story.log.position(199) == 199 * size);
  CHECK(story.log.position(198) == 198 * size);
  CHECK(story.log.position(0) <= 198 * size);  // Evicted: of the oldest one still held.
  CHECK(story.log.position(0) > 0);
}

TEST_CASE("a run outlives the entries' leaving the window") {
  Story story({.events = 2});
  story.emit("kept alive by its reader");
  std::vector<Run> runs;
  REQUIRE(story.log.read(0, ReplayLog::kNoPlace, 1, 1000, runs));
  for (int i = 0; i < 500; ++i) story.emit(std::string(100, 'x'));
  CHECK(runs[0].bytes == as_chunk("id: 100\ndata: kept alive by its reader\n\n"));
}

TEST_CASE("boundary finds the end of the entry that holds a byte, from its first byte to its last") {
  Story story;
  for (const char* data : {"a", "bb", "ccc", "dddd"}) story.emit(data);
  std::vector<Run> runs;
  REQUIRE(story.log.read(1, ReplayLog::kNoPlace, 1, 1000, runs));  // Not from the segment's beginning.
  std::size_t begin = 0;
  for (Place place = 1; place < 4; ++place) {
    const auto end = begin + as_chunk(frame_of({}, 100 + place, {}, std::string(place + 1, 'x'))).size();
    for (auto offset = begin; offset < end; ++offset) {
      const auto boundary = story.log.boundary(runs[0], offset);
      CHECK(boundary.next == place + 1);
      CHECK(boundary.offset == end);
    }
    begin = end;
  }
}

TEST_CASE("the window holds exactly as many events as its bound") {
  Story story({.events = 3});
  for (int i = 0; i < 3; ++i) story.emit("x");
  CHECK(story.log.first() == 0);
  CHECK(story.log.is_full());
  story.emit("x");
  CHECK(story.log.first() == 1);
  CHECK(story.log.window_events() == 3);
  CHECK(story.log.oldest_id() == "101");
  CHECK_FALSE(story.read_all(0).has_value());
  CHECK(story.read_all(1).has_value());
}

TEST_CASE("a bound of zero events is none") {
  Story story({.events = 0});
  for (int i = 0; i < 2000; ++i) story.emit("x");
  CHECK(story.log.window_events() == 2000);
  CHECK_FALSE(story.log.is_full());
}

TEST_CASE("the window holds exactly as many bytes as its bound") {
  const auto size = as_chunk("id: 100\ndata: x\n\n").size();
  Story exact({.bytes = 4 * size});
  for (int i = 0; i < 4; ++i) exact.emit("x");
  CHECK(exact.log.window_events() == 4);
  CHECK(exact.log.window_bytes() == 4 * size);
  CHECK(exact.log.is_full());
  exact.emit("x");
  CHECK(exact.log.window_events() == 4);

  Story one_less({.bytes = 4 * size - 1});
  for (int i = 0; i < 4; ++i) one_less.emit("x");
  CHECK(one_less.log.window_events() == 3);
}

TEST_CASE("origin ids count against the bytes of the window") {
  Story story({.events = 0, .bytes = 10'000});
  for (int i = 0; i < 100; ++i) story.emit("x", std::to_string(i) + std::string(1000, 'o'));
  CHECK(story.log.window_events() < 11);
  CHECK(story.log.window_bytes() <= 10'000);
  story.log.evict_bytes(UINT64_MAX);
  CHECK(story.log.window_bytes() == 0);
}

TEST_CASE("an entry stays until it is exactly as old as the bound") {
  Story story({.age = Millis(500)});
  story.now = Millis(1000);
  story.emit("old");
  story.now = Millis(1400);
  story.emit("young");
  story.now = Millis(1499);
  CHECK(story.evict() == 0);
  story.now = Millis(1500);
  CHECK(story.evict() == 1);
  CHECK(story.log.oldest_id() == "101");
  story.now = Millis(1900);
  CHECK(story.evict() == 1);
  CHECK(story.log.window_events() == 0);
}

TEST_CASE("an age without end evicts nothing") {
  Story story({.age = Millis::max()});
  story.emit("x");
  story.now += std::chrono::hours(24 * 365);
  CHECK(story.evict() == 0);
}

TEST_CASE("the time of an entry is exact in a channel that slept for a hundred days") {
  Story story({.age = std::chrono::hours(24 * 1000)});
  story.emit("before");
  story.now += std::chrono::hours(24 * 100);
  story.emit("after");
  CHECK(story.log.time_of(1) == story.now);
}

TEST_CASE("nothing at or above keep_from is evicted") {
  Story story({.events = 2});
  for (int i = 0; i < 10; ++i) story.append("x");
  story.publish();
  CHECK(story.log.evict(story.now, 3) == 3);
  CHECK(story.log.first() == 3);
  CHECK(story.log.evict(story.now, 3) == 0);
  CHECK(story.log.evict(story.now, ReplayLog::kNoPlace) == 5);
}

TEST_CASE("nothing that is not published is evicted") {
  Story story({.events = 2, .age = Millis(1)});
  for (int i = 0; i < 5; ++i) story.append("x");
  story.log.publish(1);
  story.now += Millis(1000);
  CHECK(story.evict() == 1);
  CHECK(story.log.evict_bytes(UINT64_MAX) == 0);
  CHECK(story.log.first() == 1);
}

TEST_CASE("memory pressure takes the oldest entries until enough bytes are gone") {
  Story story;
  for (int i = 0; i < 10; ++i) story.emit("x");
  const auto size = as_chunk("id: 100\ndata: x\n\n").size();
  CHECK(story.log.evict_bytes(0) == 0);
  CHECK(story.log.evict_bytes(2 * size) == 2);
  CHECK(story.log.evict_bytes(2 * size + 1) == 3);
  CHECK(story.log.evict_bytes(UINT64_MAX) == 5);
  CHECK(story.log.window_bytes() == 0);
}

TEST_CASE("the base is a floor until something leaves the window") {
  Story story({.events = 2});
  CHECK(kind_of(story, 99) == Kind::Floor);
  story.emit_numbers({100, 101});
  CHECK(kind_of(story, 99) == Kind::Floor);
  CHECK(story.log.find(99, "99").place == 0);
  story.emit_numbers({102});
  CHECK(kind_of(story, 99) == Kind::Evicted);
}

TEST_CASE("find tells an id in the window, the last that left it, older ones, newer ones, and strangers apart") {
  Story story({.events = 3});
  for (int i = 0; i < 10; ++i) story.emit("x");  // 100..109; 107..109 are in the window.
  CHECK(kind_of(story, 98) == Kind::Never);
  CHECK(kind_of(story, 100) == Kind::Evicted);
  CHECK(kind_of(story, 105) == Kind::Evicted);
  CHECK(kind_of(story, 106) == Kind::Floor);
  CHECK(story.log.find(106, "106").place == 7);
  CHECK(kind_of(story, 107) == Kind::Entry);
  CHECK(story.log.find(107, "107").place == 7);
  CHECK(kind_of(story, 109) == Kind::Entry);
  CHECK(kind_of(story, 110) == Kind::Ahead);
  CHECK(kind_of(story, kMaxNumber) == Kind::Ahead);
}

TEST_CASE("an id is found only by its whole text") {
  Story story({.events = 2}, 1, {kTag, true});
  for (const char* origin : {"a", "b", "c"}) story.emit("x", origin);
  const auto id = [&](std::uint64_t number, std::string_view origin) {
    std::string out;
    append_id(out, story.log.form(), number, origin);
    return out;
  };
  CHECK(story.log.find(1, id(1, "a")).kind == Kind::Floor);
  CHECK(story.log.find(1, id(1, "b")).kind == Kind::Never);
  CHECK(story.log.find(1, id(1, "")).kind == Kind::Never);
  CHECK(story.log.find(3, id(3, "c")).kind == Kind::Entry);
  CHECK(story.log.find(3, id(3, "a")).kind == Kind::Never);
  CHECK(story.log.find(3, id(3, "")).kind == Kind::Never);
}

TEST_CASE("the floor keeps its whole id after its bytes are gone") {
  Story story({.events = 1}, 1, {kTag, true});
  for (int i = 0; i < 100; ++i) story.emit(std::string(500, 'x'), "origin" + std::to_string(i));
  std::string floor;
  append_id(floor, story.log.form(), 99, "origin98");
  CHECK(story.log.find(99, floor).kind == Kind::Floor);
  CHECK(story.log.id_before(story.log.first()) == floor);
}

TEST_CASE("a number between two ids was never given, in the window and at its edges") {
  Story story({.events = 4});
  story.emit_numbers({100, 101, 110, 111, 120});
  CHECK(kind_of(story, 100) == Kind::Floor);
  CHECK(kind_of(story, 102) == Kind::Never);
  CHECK(kind_of(story, 109) == Kind::Never);
  CHECK(kind_of(story, 110) == Kind::Entry);
  CHECK(kind_of(story, 112) == Kind::Never);
  CHECK(kind_of(story, 120) == Kind::Entry);
  CHECK(kind_of(story, 121) == Kind::Ahead);
  story.emit_numbers({130});
  CHECK(kind_of(story, 101) == Kind::Floor);
  CHECK(kind_of(story, 105) == Kind::Never);
  CHECK(kind_of(story, 110) == Kind::Entry);
}

TEST_CASE("a number between the newest id and one not yet published is ahead") {
  Story story;
  story.emit_numbers({100});
  story.append_numbered(200, "not committed");
  CHECK(kind_of(story, 150) == Kind::Ahead);
  CHECK(kind_of(story, 200) == Kind::Ahead);
  CHECK(kind_of(story, 201) == Kind::Ahead);
}

TEST_CASE("a log that begins with a jump has nothing between its base and its first id") {
  Story story;
  story.emit_numbers({150});
  CHECK(kind_of(story, 99) == Kind::Floor);
  CHECK(kind_of(story, 100) == Kind::Never);
  CHECK(kind_of(story, 150) == Kind::Entry);
}

TEST_CASE("ids that jump are read like any other") {
  Story story;
  story.emit_numbers({100, 105, 106, 1000});
  CHECK(story.read_all(0) == as_chunk("id: 100\ndata: x\n\n") + as_chunk("id: 105\ndata: x\n\n") +
                                 as_chunk("id: 106\ndata: x\n\n") + as_chunk("id: 1000\ndata: x\n\n"));
  CHECK(story.log.id_before(3) == "106");
  CHECK(story.log.next_number() == 1001);
}

TEST_CASE("a reader of ids that all jump gets long runs too, and they cost little") {
  Story story;
  for (int i = 0; i < 500; ++i) story.append_numbered(story.log.next_number() + 5, std::string(200, 'x'));
  story.publish();
  std::vector<Run> runs;
  REQUIRE(story.log.read(0, ReplayLog::kNoPlace, 500, 1 << 20, runs));
  CHECK(runs.size() < 12);
  CHECK(story.log.memory() < 2 * story.log.window_bytes());
}

TEST_CASE("the window may be emptied and filled again") {
  Story story({.age = Millis(10)});
  for (int round = 0; round < 3; ++round) {
    story.emit("x");
    story.emit("y");
    story.now += Millis(100);
    story.evict();
    CHECK(story.log.window_events() == 0);
    CHECK_FALSE(story.log.newest_id().has_value());
    const auto last = static_cast<std::uint64_t>(story.log.next_number()) - 1;
    CHECK(kind_of(story, last) == Kind::Floor);
    CHECK(kind_of(story, last - 1) == Kind::Evicted);
    CHECK(kind_of(story, last + 1) == Kind::Ahead);
    CHECK(story.log.id_before(story.log.published()) == std::to_string(last));
  }
}

TEST_CASE("id_before knows the base, the window and the floor, and nothing else") {
  Story story({.events = 2});
  story.emit("x");
  CHECK(story.log.id_before(0) == "99");
  for (int i = 0; i < 200; ++i) story.emit(std::string(100, 'x'));  // 100..300; 299 and 300 are left.
  CHECK(story.log.id_before(0) == "99");
  CHECK(story.log.id_before(2) == "");
  CHECK(story.log.id_before(story.log.first()) == "298");
  CHECK(story.log.id_before(story.log.published()) == "300");
  CHECK(story.log.id_before(story.log.published() + 1) == "");
  CHECK(story.log.id_before(ReplayLog::kNoPlace) == "");
}

TEST_CASE("the newest of equal origin ids is found, for as long as it is in the window") {
  Story story({.events = 3});
  story.emit("1", "same");
  story.emit("2", "other");
  story.emit("3", "same");
  CHECK(story.log.find_origin("same") == 2);
  CHECK(story.log.find_origin("other") == 1);
  CHECK_FALSE(story.log.find_origin("none").has_value());
  story.emit("4");
  story.emit("5");
  CHECK_FALSE(story.log.find_origin("other").has_value());
  CHECK(story.log.find_origin("same") == 2);
  story.emit("6");
  CHECK_FALSE(story.log.find_origin("same").has_value());
}

TEST_CASE("an equal origin id that is not published yet hides no published one") {
  Story story;
  story.emit("1", "same");
  story.append("2", "same");
  CHECK(story.log.find_origin("same") == 0);
  story.append("3", "new");
  CHECK_FALSE(story.log.find_origin("new").has_value());
  CHECK(story.log.has_origin("new"));  // But the writer can tell that it has seen both already.
  story.publish();
  CHECK(story.log.find_origin("same") == 1);
  CHECK(story.log.find_origin("new") == 2);
}

TEST_CASE("a log that is shrunk to fit costs little more than its entries, and answers as before") {
  Story story({.events = 20}, 1, {.tag = kTag, .carries_origin = true});
  for (int i = 0; i < 30; ++i) {
    story.now += Millis(100);
    story.emit(std::string(100, 'x'), i % 3 == 0 ? std::optional("origin-" + std::to_string(i)) : std::nullopt);
  }
  const auto content = story.read_all(10);
  std::vector<Run> held;
  REQUIRE(story.log.read(10, ReplayLog::kNoPlace, 16, 1 << 20, held));
  const std::string seen(held.front().bytes);
  const auto floor = story.log.id_before(10);
  story.log.shrink_to_fit();
  CHECK(story.log.memory() < story.log.window_bytes() + 20 * 12 + 900);
  CHECK(story.read_all(10) == content);
  CHECK(held.front().bytes == seen);
  CHECK(story.log.id_before(10) == floor);
  CHECK(story.log.find_origin("origin-27") == 27);
  CHECK(story.log.time_of(10) == Millis(1000 + 1100));
  CHECK(story.log.time_of(29) == story.now);
  CHECK(story.log.position(30) == story.log.appended_position());
  story.emit("more");
  CHECK(story.log.window_events() == 20);
  CHECK(story.log.newest_id() == kTag + "-31");
  CHECK(story.read_all(30) == as_chunk("id: " + kTag + "-31\ndata: more\n\n"));
}

TEST_CASE("an empty origin id is no id to find") {
  Story story;
  story.emit("1", "");
  CHECK_FALSE(story.log.find_origin("").has_value());
  CHECK_FALSE(story.log.has_numeric_origin());
}

TEST_CASE("an origin id too long to keep leaves no trace in the index") {
  Story story({.events = 2});
  const auto before = story.log.memory();
  for (int i = 0; i < 100; ++i) story.emit("x", std::to_string(i) + std::string(kMaxOrigin, '7'));
  CHECK_FALSE(story.log.has_numeric_origin());
  CHECK(story.log.memory() < before + 10'000);
}

TEST_CASE("numeric origin ids are known while they are in the window") {
  Story story({.events = 2});
  CHECK_FALSE(story.log.has_numeric_origin());
  story.append("1", "17");
  CHECK_FALSE(story.log.has_numeric_origin());  // Nobody can have seen it.
  story.publish();
  CHECK(story.log.has_numeric_origin());
  story.emit("2", "x17");
  CHECK(story.log.has_numeric_origin());
  story.emit("3", "17x");
  CHECK_FALSE(story.log.has_numeric_origin());
}

TEST_CASE("an end concerns every response that has sent an entry before it") {
  Story story;
  story.emit("a");
  story.emit("b");
  CHECK_FALSE(story.log.last_end().has_value());
  story.log.add_end(true);
  CHECK(story.log.ends() == 1);
  for (const Place start : {0u, 1u}) {
    const auto end = story.log.end_for(start, 1);
    REQUIRE(end.has_value());
    CHECK(end->at == 2);
    CHECK(end->is_clean);
  }
}

TEST_CASE("a response that begins at an end goes on behind it") {
  Story story;
  story.emit("a");
  story.log.add_end(true);
  CHECK_FALSE(story.log.end_for(1, 1).has_value());
  story.log.add_end(false);  // But one that comes while it waits there is its own.
  const auto end = story.log.end_for(1, 1);
  REQUIRE(end.has_value());
  CHECK_FALSE(end->is_clean);
}

TEST_CASE("the first of several ends is the one that concerns a response") {
  Story story;
  story.emit("a");
  story.log.add_end(false);
  story.emit("b");
  story.log.add_end(true);
  CHECK(story.log.end_for(0, 2)->at == 1);
  CHECK_FALSE(story.log.end_for(0, 2)->is_clean);
  CHECK(story.log.end_for(1, 2)->at == 2);
  CHECK(story.log.last_end()->is_clean);
  story.emit("c");
  CHECK_FALSE(story.log.last_end().has_value());
}

TEST_CASE("ends behind the window are forgotten, and the count goes on") {
  Story story({.events = 1});
  for (int i = 0; i < 50; ++i) {
    story.emit("x");
    story.log.add_end(true);
  }
  CHECK(story.log.ends() == 50);
  CHECK(story.log.end_for(49, 50)->at == 50);
  CHECK_FALSE(story.log.end_for(50, 50).has_value());
}

TEST_CASE("an upstream that ends again and again at one place costs no memory") {
  Story story;
  story.emit("x");
  story.log.add_end(false);
  const auto before = story.log.memory();
  for (int i = 0; i < 100'000; ++i) story.log.add_end(true);
  CHECK(story.log.memory() < before + 1000);
  CHECK(story.log.ends() == 100'001);
  CHECK_FALSE(story.log.end_for(0, 0)->is_clean);  // The first one is still the first.
  CHECK(story.log.end_for(1, 100'000)->is_clean);
  CHECK_FALSE(story.log.end_for(1, 100'001).has_value());
  CHECK(story.log.last_end()->is_clean);
}

TEST_CASE("a log of three small events costs under 4 KiB") {
  Story story;
  for (int i = 0; i < 3; ++i) story.emit(std::string(100, 'x'), "1234-5678-" + std::to_string(i));
  CHECK(story.log.memory() < 4096);
}

TEST_CASE("a long log costs little more than its frames") {
  Story story({.events = 0, .bytes = 4 << 20});
  for (int i = 0; i < 20'000; ++i) story.emit(std::string(200, 'x'));
  CHECK(story.log.window_bytes() > (4 << 20) - 1000);
  CHECK(story.log.memory() < story.log.window_bytes() * 5 / 4);
}

TEST_CASE("a small window is kept in small segments") {
  Story story({.events = 0, .bytes = 128 * 1024});
  for (int i = 0; i < 5'000; ++i) story.emit(std::string(200, 'x'));
  CHECK(story.log.memory() < 128 * 1024 * 3 / 2);
}

TEST_CASE("an event larger than any segment takes one of its own") {
  Story story;
  story.emit("before");
  story.emit(std::string(1 << 20, 'x'));
  story.emit("after");
  CHECK(story.read_all(1)->size() > (1 << 20));
  CHECK(kind_of(story, 102) == Kind::Entry);
}

TEST_CASE("the id of a frame is its id line, first or last") {
  using enum sse::IdPlace;
  const IdForm tagged{kTag, true};
  for (const auto place : {First, Last}) {
    CHECK(id_of_frame(frame_of({}, 42, {}, "x", place)) == "42");
    CHECK(id_of_frame(frame_of({}, 42, {}, "id: 7\nid: 8", place)) == "42");
    std::string id;
    append_id(id, tagged, 42, "abc");
    CHECK(id_of_frame(frame_of(tagged, 42, "abc", "x", place)) == id);
    const sse::OriginStyle comment{sse::OriginStyle::Kind::Comment, {}};
    CHECK(id_of_frame(frame_of({}, 42, "id: 7", "x", place, comment)) == "42");
    const sse::OriginStyle field{sse::OriginStyle::Kind::Field, "origin"};
    CHECK(id_of_frame(frame_of({}, 42, "id: 7", "x", place, field)) == "42");
  }
  CHECK(id_of_frame("data: no id\n\n") == "");
}

TEST_CASE("ids of 128 bits are found like any other") {
  ReplayLog log({.spelling = Spelling::Ulid}, 0, {});
  CHECK_FALSE(log.has_begun());
  const auto base = *parse_number("01ARYZ6S41TSV4RRFFQ69G5FAV", Spelling::Ulid);
  log.begin(base);
  CHECK(log.has_begun());
  CHECK(log.id_before(0) == "01ARYZ6S41TSV4RRFFQ69G5FAV");
  CHECK(log.find(base, "01ARYZ6S41TSV4RRFFQ69G5FAV").kind == Found::Kind::Floor);
  Number number = base;
  std::vector<std::pair<Number, std::string>> given;
  for (int i = 0; i < 100; ++i) {
    number += i % 3 == 0 ? 1 : Number{1} << 80;
    std::string id;
    append_id(id, log.form(), number, {});
    log.append("id: " + id + "\ndata: x\n\n", number, std::nullopt, Millis(0));
    given.emplace_back(number, id);
  }
  log.publish(log.appended());
  for (std::size_t place = 0; place < given.size(); ++place) {
    const auto found = log.find(given[place].first, given[place].second);
    CHECK(found.kind == Found::Kind::Entry);
    CHECK(found.place == place);
  }
  CHECK(log.find(given[5].first + 5, "x").kind == Found::Kind::Never);
  CHECK(log.find(number + 1, "x").kind == Found::Kind::Ahead);
  CHECK((log.newest_number() == number));
}

TEST_CASE("what is rolled back leaves no trace, and its places and numbers are given again") {
  ReplayLog log({}, 1000, {});
  const auto add = [&](int i, std::string_view word) {
    log.append("id: " + std::to_string(i) + "\ndata: " + std::string(word) + "\n\n", static_cast<Number>(i),
               "origin-" + std::string(word), Millis(0));
  };
  const std::string large(3000, 'x');  // Several segments.
  for (const int published : {0, 1, 7, 40}) {
    CAPTURE(published);
    while (log.published() < static_cast<Place>(published)) {
      add(1000 + static_cast<int>(log.appended()), "kept");
      log.publish(log.appended());
    }
    const auto bytes = log.window_bytes();
    const auto position = log.appended_position();
    for (int i = 0; i < 30; ++i) add(1000 + published + 2 * i, i % 4 == 0 ? large : "lost");
    CHECK(log.has_origin("origin-lost"));
    log.add_end(true);
    log.roll_back();
    CHECK(log.appended() == static_cast<Place>(published));
    CHECK(log.window_bytes() == bytes);
    CHECK(log.appended_position() == position);
    CHECK((log.next_number() == static_cast<Number>(1000 + published)));
    CHECK_FALSE(log.has_origin("origin-lost"));
    CHECK(log.has_origin("origin-kept") == (published != 0));
    CHECK_FALSE(log.last_end());
    log.roll_back();  // Nothing to do.
  }
  std::vector<Run> runs;
  REQUIRE(log.read(0, ReplayLog::kNoPlace, 100, 1 << 20, runs));
  std::string all;
  for (const auto& run : runs) {
    for (auto bytes = run.bytes; !bytes.empty();) {
      const auto chunk = unframe(bytes);
      all += chunk.frame;
      bytes.remove_prefix(chunk.framed_size);
    }
  }
  std::string wanted;
  for (int i = 0; i < 40; ++i) wanted += "id: " + std::to_string(1000 + i) + "\ndata: kept\n\n";
  CHECK(all == wanted);
}

}  // namespace
TEST_CASE("a log that is loaded anew goes on where it was: places, ids, floor and base") {
  ReplayLog log({}, 100, {.events = 10, .bytes = 1 << 20, .age = Millis(1000)},
                {.first = 7, .floor_id = "106", .floor_number = 106});
  CHECK(log.first() == 7);
  CHECK(log.appended() == 7);
  CHECK(log.next_number() == 107);
  CHECK(log.id_before(7) == "106");
  CHECK(log.find(106, "106").kind == Found::Kind::Floor);
  CHECK(log.find(105, "105").kind == Found::Kind::Evicted);
  CHECK(log.find(99, "99").kind == Found::Kind::Evicted);
  CHECK(log.find(98, "98").kind == Found::Kind::Never);
  CHECK(log.find(107, "107").kind == Found::Kind::Ahead);
  CHECK(log.append("id: 107\ndata: a\n\n", 107, std::nullopt, Millis(0)) == 7);
  log.publish(8);
  CHECK(log.find(107, "107").kind == Found::Kind::Entry);
  CHECK(log.oldest_id() == "107");
  log.skip_to(50);
  CHECK(log.next_number() == 108);
  log.skip_to(5000);
  CHECK(log.next_number() == 5000);
}

}  // namespace ssequel::replay
