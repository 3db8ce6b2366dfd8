// One writer and readers on other threads, as several event loops read one channel. Means most under the thread
// sanitizer.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "replay/resume.h"
#include "unit/replay/fixture.h"

namespace ssequel::replay {
namespace {

constexpr std::uint64_t kFirst = 1'753'000'000'000'000;
constexpr Place kEvents = 20'000;

// The same for every entry of one place, so that a reader can tell what it should see.
std::string data_of(Place place) { return std::string(place % 97, static_cast<char>('a' + place % 26)); }

struct Reader {
  const ReplayLog& log;
  const std::atomic<bool>& go;
  std::uint64_t entries = 0;
  std::uint64_t lags = 0;
  std::string problem;

  void run() {
    while (!go.load()) std::this_thread::yield();
    std::vector<Run> runs;
    std::string expected;
    for (Place from = 0; from < kEvents && problem.empty();) {
      if (!log.read(from, ReplayLog::kNoPlace, 3, 5000, runs)) {
        ++lags;
        from = std::max(from + 1, log.first());
        continue;
      }
      for (const auto& run : runs) {
        if (run.first != from) problem = "a hole before place " + std::to_string(run.first);
        expected.clear();
        for (; from < run.end; ++from, ++entries)
          expected += as_chunk(frame_of(log.form(), kFirst + from, std::nullopt, data_of(from)));
        if (run.bytes != expected) problem = "wrong bytes before place " + std::to_string(from);
      }
      if (runs.empty()) std::this_thread::yield();
    }
  }
};

// Asks every other question while the log moves: the answers must make sense at some moment between call and return.
struct Asker {
  const ReplayLog& log;
  const std::atomic<bool>& go;
  std::string problem;

  void run() {
    while (!go.load()) std::this_thread::yield();
    while (log.published() < kEvents && problem.empty()) {
      const auto newest = log.newest_id();
      if (!newest) continue;
      const auto answer = resume(log, *newest);
      const bool evicted_meanwhile = answer.kind == Resume::Kind::Sync && answer.reason == sse::SyncReason::Window;
      if (answer.kind == Resume::Kind::Suffix) {
        const Place behind = std::stoull(*newest) - kFirst + 1;
        if (answer.place != behind) problem = "resumes at " + std::to_string(answer.place) + " behind " + *newest;
      } else if (!evicted_meanwhile) {
        problem = "an id just seen is " + std::string(answer.reason == sse::SyncReason::Ahead ? "ahead" : "unknown");
      }
      if (log.window_events() > kEvents) problem = "more entries than there are";
      const auto first = log.first();
      static_cast<void>(log.id_before(first));
      static_cast<void>(log.time_of(first));
      static_cast<void>(log.find_origin("origin-3"));
      static_cast<void>(log.oldest_id());
      static_cast<void>(log.end_for(first, 0));
      static_cast<void>(log.last_end());
      static_cast<void>(log.memory());
    }
  }
};

TEST_CASE("readers on other threads see an unbroken run of right bytes, or are told that they lag") {
  Story story({.events = 200}, kFirst);
  std::atomic<bool> go = false;
  std::vector<Reader> readers(2, Reader{story.log, go, 0, 0, {}});
  Asker asker{story.log, go, {}};
  std::vector<std::thread> threads;
  for (auto& reader : readers) threads.emplace_back([&reader] { reader.run(); });
  threads.emplace_back([&asker] { asker.run(); });
  go = true;
  for (Place place = 0; place < kEvents; ++place) {
    const auto origin = "origin-" + std::to_string(place % 7);
    // The origin id is kept beside the frame, not in it.
    story.log.append(frame_of({}, kFirst + place, {}, data_of(place)), kFirst + place, origin, story.now);
    if (place % 3 == 0) story.publish();
    if (place % 5 == 0) story.evict();
    if (place % 1000 == 0) story.log.add_end(true);
  }
  story.publish();
  for (auto& thread : threads) thread.join();
  for (const auto& reader : readers) {
    CHECK(reader.problem == "");
    CHECK(reader.entries > 0);
  }
  CHECK(asker.problem == "");
}

}  // namespace
}  // namespace ssequel::replay
