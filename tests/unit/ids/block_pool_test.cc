#include "ids/block_pool.h"

#include <doctest/doctest.h>

#include "support/fake_clock.h"

namespace ssequel::ids {
namespace {

struct Source final : BlockSource {
  void fetch(std::uint64_t count, std::uint64_t floor) override {
    counts.push_back(count);
    last_floor = floor;
  }
  std::vector<std::uint64_t> counts;
  std::uint64_t last_floor = 0;
};

struct Waiter final : replay::SequencerListener {
  explicit Waiter(std::shared_ptr<BlockPool> from) : sequencer(std::move(from)) { sequencer.set_listener(*this); }
  void on_ids_ready() override {
    ++calls;
    is_waiting = false;
    ask();
  }
  void ask() {
    while (wanted > 0 && !is_waiting) {
      const auto number = sequencer.next(got.empty() ? floor : got.back());
      is_waiting = !number;
      if (is_waiting) return;
      got.push_back(static_cast<std::uint64_t>(*number));
      --wanted;
    }
  }
  PoolSequencer sequencer;
  std::uint64_t floor = 0;
  std::size_t wanted = 0;
  int calls = 0;
  bool is_waiting = false;
  std::vector<std::uint64_t> got;
};

struct Story {
  test::FakeClock clock;
  Source source;
  std::shared_ptr<BlockPool> pool = std::make_shared<BlockPool>(source, clock, 64);
};

TEST_CASE("who waits is served in order of waiting, each from above its floor") {
  Story story;
  Waiter first(story.pool);
  Waiter second(story.pool);
  first.wanted = 2;
  second.wanted = 1;
  second.floor = 11;
  first.ask();
  second.ask();
  CHECK(story.source.counts == std::vector<std::uint64_t>{1});  // One request at a time.
  story.pool->give({{10, 10}});
  CHECK(first.got == std::vector<std::uint64_t>{10});
  CHECK(second.calls == 0);
  CHECK(story.source.counts.size() == 2);
  CHECK(story.source.last_floor == 11);
  story.pool->give({{12, 12}});
  CHECK(second.got == std::vector<std::uint64_t>{12});
  story.pool->give({{13, 13}});
  CHECK(first.got == std::vector<std::uint64_t>{10, 13});
  CHECK_FALSE(story.pool->is_waited_for());
}

TEST_CASE("numbers at or below the floor are let go") {
  Story story;
  Waiter waiter(story.pool);
  waiter.wanted = 3;
  waiter.floor = 5;
  waiter.ask();
  story.pool->give({{1, 3}, {4, 7}, {20, 21}});
  CHECK(waiter.got == std::vector<std::uint64_t>{6, 7, 20});
}

TEST_CASE("a block that is wholly below the floor is asked for again") {
  Story story;
  Waiter waiter(story.pool);
  waiter.wanted = 1;
  waiter.floor = 5;
  waiter.ask();
  story.pool->give({{1, 3}});
  CHECK(waiter.got.empty());
  CHECK(story.source.counts.size() == 2);
  story.pool->give({{6, 6}});
  CHECK(waiter.got == std::vector<std::uint64_t>{6});
}

// An allocator that counts from one, and answers when the test says so.
struct Counter {
  explicit Counter(Story& of) : story(of) {}
  [[nodiscard]] bool is_asked() const { return story.source.counts.size() > answered; }
  void answer() {
    REQUIRE(is_asked());
    ++answered;
    const auto count = story.source.counts.back();
    const Block block{next, next + count - 1};
    next += count;
    story.pool->give({block});
  }
  Story& story;
  std::size_t answered = 0;
  std::uint64_t next = 1;
};

TEST_CASE("batches grow with what is used up quickly, and shrink with what lasts") {
  Story story;
  Counter counter(story);
  Waiter waiter(story.pool);
  waiter.wanted = 127;
  waiter.ask();
  for (int i = 0; i < 7; ++i) counter.answer();
  CHECK(story.source.counts == std::vector<std::uint64_t>{1, 2, 4, 8, 16, 32, 64, 64});
  CHECK(waiter.got.size() == 127);
  // Slow from now on: one in a while.
  for (int i = 0; i < 300; ++i) {
    story.clock.advance(Millis(1000));
    ++waiter.wanted;
    waiter.ask();
    if (counter.is_asked()) counter.answer();
  }
  CHECK(story.source.counts.back() == 1);
  CHECK(waiter.got.size() == 427);
  for (std::size_t i = 0; i < waiter.got.size(); ++i) REQUIRE(waiter.got[i] == i + 1);
}

TEST_CASE("under load the next block is asked for before the last one is used up") {
  Story story;
  Counter counter(story);
  Waiter waiter(story.pool);
  waiter.wanted = 31;
  waiter.ask();
  while (waiter.wanted > 0) counter.answer();
  while (counter.is_asked()) counter.answer();
  waiter.wanted = 1;
  while (!counter.is_asked()) {
    waiter.wanted = 1;
    waiter.ask();
  }
  CHECK_FALSE(story.pool->is_waited_for());
}

TEST_CASE("what one was given is below what all get next, whatever the source forgot") {
  Story story;
  Waiter first(story.pool);
  first.wanted = 1;
  first.ask();
  story.pool->give({{500, 500}});
  Waiter second(story.pool);
  second.floor = 3;
  second.wanted = 1;
  second.ask();
  CHECK(story.source.last_floor == 500);
}

TEST_CASE("who is gone hears nothing") {
  Story story;
  auto gone = std::make_unique<Waiter>(story.pool);
  gone->wanted = 1;
  gone->ask();
  gone.reset();
  story.pool->give({{1, 1}});
  Waiter next(story.pool);
  next.wanted = 1;
  next.ask();
  CHECK(next.got == std::vector<std::uint64_t>{1});
}

}  // namespace
}  // namespace ssequel::ids
