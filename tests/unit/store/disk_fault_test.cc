// A disk that fails at every call there is, one after the other, as SQLite's own tests do it
// (https://sqlite.org/testing.html#i_o_error_testing): the same story is told again and again, and each time the next
// call fails. Whatever happens, nothing that was committed may be missing or different in a later life, and after a
// fault that passes the store goes on by itself.
#include <array>
#include <initializer_list>
#include <map>

#include "disk_story.h"

namespace ssequel::test {
namespace {

using Survives = FaultyVfs::Survives;

class Script {
 public:
  explicit Script(Story& story) : story_(story) {}

  // Three lives: the first ends cleanly, the second is killed, and the last is only looked at by check().
  void tell() {
    if (begin()) {
      rounds(0, 8);
      story_.end_life();
    }
    restart_if_stopped();
    if (begin()) {
      if (rounds(8, 6)) story_.kill();  // Another boot id would make of it a loss of power.
      story_.end_life();
    }
    restart_if_stopped();
    if (begin()) {
      rounds(14, 3);
      story_.end_life();
    }
    restart_if_stopped();
  }
  // One short life that ends cleanly, as far as the power lasts.
  void tell_briefly(int count) {
    if (begin()) {
      rounds(0, count);
      story_.end_life();
    }
    restart_if_stopped();
  }
  // What is found on a disk that is well again.
  void check() {
    story_.vfs.clear();
    CHECK(story_.begin_life());
    story_.end_life();
  }

 private:
  bool begin() {
    // A fault at the start may be an error of the start: then it is tried again, as a supervisor does.
    for (int i = 0; i < 3; ++i) {
      if (story_.begin_life()) return story_.settle();
      if (story_.vfs.has_stopped()) return false;
    }
    FAIL("the store does not start although the disk is well: " << story_.refused.context);
    return false;
  }
  void restart_if_stopped() {
    story_.end_life();
    if (!story_.vfs.has_stopped()) return;
    ++stops;
    story_.vfs.start_again(survives, seed);
    if (has_lost_power) story_.boot_id += "'";
  }
  bool rounds(int from, int count) {
    for (int round = from; round < from + count; ++round) {
      tell_round(round);
      if (!story_.settle()) return false;
    }
    return true;
  }
  void tell_round(int round) {
    auto& feed = story_.find_or_open("feed", "", false);
    auto& counted = story_.find_or_open("counted", "", true);
    auto* seat = story_.find("seat");
    if (seat == nullptr) seat = &story_.open("seat", fmt::format("Tag{:019}", round), false);
    for (int i = 0; i <= round % 3; ++i) story_.append(feed, 100 + static_cast<std::size_t>(round) * 37 % 900);
    if (round % 5 == 3) story_.append(feed, 40'000);  // More than a block, more than a page.
    if (round % 2 == 0) story_.append(counted, 20);
    story_.append(*seat, 50, fmt::format("origin-{}", round));
    story_.append(*seat, 50);
    if (round % 4 == 0) feed.set_head(fmt::format("X-Round: {}\r\n", round));
    if (round % 5 == 4) seat->set_end(round % 2 == 0);
    if (round % 3 == 2) feed.evict(4);
    if (round % 6 == 5) seat->evict(2);
    if (round == 10) {
      if (!story_.settle()) return;
      story_.forget("counted");  // The next round opens it anew.
    }
  }

 public:
  Survives survives = Survives::Everything;
  std::uint64_t seed = 0;
  bool has_lost_power = false;
  int stops = 0;

 private:
  Story& story_;
};

// What the n-th call fails with: a different one for each n.
int code_for(VfsCall call, std::uint64_t n) {
  switch (call) {
    case VfsCall::Open:
      return n % 2 == 0 ? SQLITE_CANTOPEN : SQLITE_IOERR;
    case VfsCall::Read:
      return n % 3 == 0 ? SQLITE_NOMEM : SQLITE_IOERR_READ;
    case VfsCall::Write:
      return std::array{SQLITE_IOERR_WRITE, SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY}[n % 4];
    case VfsCall::Truncate:
      return SQLITE_IOERR_TRUNCATE;
    case VfsCall::Sync:
      return SQLITE_IOERR_FSYNC;
    case VfsCall::Delete:
      return SQLITE_IOERR_DELETE;
    case VfsCall::ShmMap:
      return SQLITE_IOERR_SHMMAP;
  }
  return SQLITE_IOERR;
}

struct Outcome {
  std::uint64_t met = 0;
  std::uint64_t entries_checked = 0;
  std::uint64_t told = 0;
  std::uint64_t refused = 0;
};

// The story, again and again: first the first of these calls is met, then the second, until there is none left.
// arrange: what is to happen at the n-th; was_met: whether it did.
Outcome tell_for_each(bool sync_always, std::initializer_list<VfsCall> calls,
                      const std::function<void(Story&, Script&, VfsCall, FileKind, std::uint64_t)>& arrange,
                      const std::function<bool(const Story&, const Script&)>& was_met) {
  Outcome outcome;
  for (const auto call : calls) {
    for (const auto kind : kFileKinds) {
      // Threads make the number of calls vary: the end is where two in a row were not met.
      int missed = 0;
      for (std::uint64_t n = 1; missed < 2; n += kStride) {
        CAPTURE(name_of(call));
        CAPTURE(name_of(kind));
        CAPTURE(n);
        Story story(sync_always);
        Script script(story);
        arrange(story, script, call, kind, n);
        script.tell();
        const bool is_met = was_met(story, script);
        missed = is_met ? 0 : missed + 1;
        outcome.met += is_met ? 1 : 0;
        script.check();
        outcome.entries_checked += story.entries_checked;
        outcome.told += story.times_told;
        outcome.refused += story.times_refused;
      }
    }
  }
  MESSAGE(outcome.met << " calls met in turn; " << outcome.entries_checked << " entries found again, a loss told "
                      << outcome.told << " times, a start refused " << outcome.refused << " times");
  CHECK(outcome.entries_checked >= outcome.met * 30);
  return outcome;
}

// Each of these calls fails in turn.
Outcome fail_each(bool sync_always, std::initializer_list<VfsCall> calls, std::uint64_t times = 1) {
  return tell_for_each(
      sync_always, calls,
      [&](Story& story, Script&, VfsCall call, FileKind kind, std::uint64_t n) {
        story.vfs.inject({.call = call,
                          .kind = kind,
                          .at = n,
                          .times = times,
                          .code = code_for(call, n),
                          .tears = call == VfsCall::Write && n % 4 == 2});
      },
      [](const Story& story, const Script&) { return story.vfs.hits() != 0; });
}

// The machine stops before each of these calls in turn, and starts again with what survives.
Outcome stop_at_each(bool sync_always, std::initializer_list<VfsCall> calls, Survives survives, bool has_lost_power,
                     std::uint64_t seed = 1) {
  return tell_for_each(
      sync_always, calls,
      [&](Story& story, Script& script, VfsCall call, FileKind kind, std::uint64_t n) {
        story.vfs.stop_at(call, kind, n);
        script.survives = survives;
        script.seed = seed;
        script.has_lost_power = has_lost_power;
      },
      [](const Story&, const Script& script) { return script.stops != 0; });
}

TEST_CASE("the story itself goes well, and every kind of call is made in it") {
  for (const bool sync_always : {false, true}) {
    Story story(sync_always);
    Script script(story);
    script.tell();
    script.check();
    CHECK(story.times_told == 0);
    CHECK(story.times_refused == 0);
    CHECK(story.logs_checked >= 9);
    CHECK(story.entries_checked >= 40);
    for (const auto call : kVfsCalls) CHECK(story.vfs.count(call) >= 2);
    CHECK(story.vfs.count(VfsCall::Write, FileKind::Wal) >= 30);
    CHECK(story.vfs.count(VfsCall::Write, FileKind::Database) >= 20);
    CHECK(story.vfs.count(VfsCall::Sync, FileKind::Wal) >= (sync_always ? 15 : 3));
    CHECK(story.vfs.count(VfsCall::Sync, FileKind::Database) >= 5);
  }
}

TEST_CASE("sync os: each write fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(false, {VfsCall::Write});
  CHECK(outcome.met >= at_least(60));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync always: each write fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(true, {VfsCall::Write});
  CHECK(outcome.met >= at_least(60));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync os: each read fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(false, {VfsCall::Read});
  CHECK(outcome.met >= at_least(60));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync always: each read fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(true, {VfsCall::Read});
  CHECK(outcome.met >= at_least(60));
  CHECK(outcome.told == 0);
}

const std::initializer_list<VfsCall> kOtherCalls = {VfsCall::Open, VfsCall::Truncate, VfsCall::Sync, VfsCall::Delete,
                                                    VfsCall::ShmMap};

TEST_CASE("sync os: each other call fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(false, kOtherCalls);
  CHECK(outcome.met >= at_least(40));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync always: each other call fails in turn, and nothing that was committed is missing or different") {
  const auto outcome = fail_each(true, kOtherCalls);
  CHECK(outcome.met >= at_least(60));
  CHECK(outcome.told == 0);
}

TEST_CASE("a store that starts on a disk that is full has its logs, stands still, and goes on with space") {
  for (const bool sync_always : {false, true}) {
    for (const bool is_killed : {false, true}) {
      for (const auto call : {VfsCall::Write, VfsCall::Sync}) {
        CAPTURE(sync_always);
        CAPTURE(is_killed);
        CAPTURE(name_of(call));
        Story story(sync_always);
        REQUIRE(story.begin_life());
        auto& log = story.open("feed", "", false);
        for (int i = 0; i < 5; ++i) {
          story.append(log, 200);
          REQUIRE(story.settle());
        }
        if (is_killed) story.kill();
        story.end_life();
        story.vfs.inject({.call = call, .times = Fault::kForever, .code = SQLITE_FULL});
        REQUIRE_MESSAGE(story.begin_life(), story.refused.context);
        CHECK(story.logs_checked == 1);
        CHECK_FALSE(story.status().is_well);
        CHECK_FALSE(story.status().why.empty());
        auto* found = story.find("feed");
        REQUIRE(found != nullptr);
        story.append(*found, 200);
        CHECK_FALSE(story.settle(Millis(200)));
        CHECK(found->is_stalled());
        story.vfs.clear();
        CHECK(story.settle());
        story.end_life();
        CHECK(story.begin_life());
        CHECK(story.entries_checked == 5 + 6);
        story.end_life();
        CHECK(story.times_told == 0);
      }
    }
  }
}

TEST_CASE(
    "power was lost, and the disk is full at the start: the loss is told all the same, and no id is given twice") {
  for (const auto survives : {Survives::Everything, Survives::Synced}) {
    for (const auto call : {VfsCall::Write, VfsCall::Sync}) {
      CAPTURE(name_of(call));
      Story story(false);
      REQUIRE(story.begin_life());
      auto& log = story.open("feed", "", false);
      auto& counted = story.open("counted", "", true);
      for (int i = 0; i < 5; ++i) {
        story.append(log, 200);
        story.append(counted, 20);
        REQUIRE(story.settle());
      }
      story.vfs.stop();
      story.end_life();
      story.vfs.start_again(survives);
      story.boot_id = "boot-2";
      story.vfs.inject({.call = call, .times = Fault::kForever, .code = SQLITE_FULL});
      if (!story.begin_life()) {  // Refused: then it starts when there is space.
        story.vfs.clear();
        REQUIRE(story.begin_life());
      }
      story.vfs.clear();
      for (const auto* key : {"feed", "counted"}) {
        auto& found = story.find_or_open(key, "", std::string_view(key) == "counted");
        const auto highest = found.known().highest_seen;
        story.append(found, 200);
        CHECK(found.log().next_number() > highest + 1);
      }
      CHECK(story.settle());
      story.end_life();
      CHECK(story.times_told > 0);
      CHECK(story.begin_life());
      story.end_life();
    }
  }
}

TEST_CASE("killed before each call that changes a file, in turn: every committed entry is there, and nothing is told") {
  const auto outcome =
      stop_at_each(false, {VfsCall::Open, VfsCall::Write, VfsCall::Truncate, VfsCall::Sync, VfsCall::Delete},
                   Survives::Everything, false);
  CHECK(outcome.met >= at_least(90));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync always: power is lost before each sync in turn, and nothing that was committed is lost") {
  const auto outcome = stop_at_each(true, {VfsCall::Sync}, Survives::Synced, true);
  CHECK(outcome.met >= at_least(40));
  CHECK(outcome.told == 0);
}

TEST_CASE("sync always: power is lost before each sync, and any sectors survive of what was not synced") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto outcome = stop_at_each(true, {VfsCall::Sync}, Survives::Mixture, true, seed);
    CHECK(outcome.met >= at_least(40));
    CHECK(outcome.told == 0);
  }
}

TEST_CASE("sync os: power is lost before each sync, what is left is consistent, and the loss is told") {
  CHECK(stop_at_each(false, {VfsCall::Sync}, Survives::Synced, true).told >= at_least(10));
  for (const std::uint64_t seed : {1, 2}) {
    CHECK(stop_at_each(false, {VfsCall::Sync}, Survives::Mixture, true, seed).told >= at_least(10));
  }
}

TEST_CASE("sync os: the mark of a clean stop is on disk only behind all that it speaks for") {
  // A checkpoint that ends right before the stop leaves nothing to move, and has been synced by nobody yet.
  for (int life = 0; life < 24; ++life) {
    const int count = 1 + life % 12;
    for (std::uint64_t n = 1; n <= 6; ++n) {
      CAPTURE(count);
      CAPTURE(n);
      Story story(false);
      Script script(story);
      script.survives = Survives::Synced;
      script.has_lost_power = true;
      story.vfs.stop_at(VfsCall::Sync, FileKind::Database, n);
      script.tell_briefly(count);
      script.check();
    }
  }
}

}  // namespace
}  // namespace ssequel::test
