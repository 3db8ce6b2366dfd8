// Numbers that an allocator gives out in blocks, and who waits for them.
//
//   allocator ──give()──► blocks [first, last] … ──take()──► sequencers
//       ▲                                                       │ none left: wait()
//       └──────────────── fetch(how many) ◄─────────────────────┘
//
// Blocks are asked for as they are needed, one request at a time: as many as were used up quickly, twice as many the
// next time; few where they last. Under load the next block is asked for before the last one is used up. One loop's
// thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "replay/sequencer.h"

namespace ssequel::ids {

struct Block {
  std::uint64_t first = 1;
  std::uint64_t last = 0;  // Empty if below first.
  friend bool operator==(const Block&, const Block&) = default;
};

class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // Ends in one give(), never from inside this call, however often it has to be tried; not asked again before. floor:
  // all numbers shall be greater.
  virtual void fetch(std::uint64_t count, std::uint64_t floor) = 0;
};

// How many numbers to ask for: pure.
class Demand {
 public:
  explicit Demand(std::uint64_t max) : max_(max) {}
  // The last batch is used up, or about to be.
  [[nodiscard]] std::uint64_t next_batch(Millis now);
  void arrived(Millis now) { arrived_at_ = now; }
  [[nodiscard]] std::uint64_t batch() const { return batch_; }

 private:
  static constexpr Millis kQuick{20};
  static constexpr Millis kSlow{200};
  const std::uint64_t max_;
  std::uint64_t batch_ = 1;
  std::optional<Millis> arrived_at_;
};

class BlockPool {
 public:
  enum class Size { Adaptive, Fixed };
  // source: outlives the pool. max: of one request; Fixed: each asks for so many.
  BlockPool(BlockSource& source, const Clock& clock, std::uint64_t max, Size size = Size::Adaptive)
      : source_(source), clock_(clock), demand_(max), fixed_(size == Size::Fixed ? max : 0) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // The least that is above the floor; those that are not are let go. nullopt: there is none.
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t floor);
  // on_ids_ready() comes once, when there is something to take; in the order of waiting.
  void wait(replay::SequencerListener& waiter, std::uint64_t floor);
  void forget(replay::SequencerListener& waiter);
  [[nodiscard]] bool is_waited_for() const { return !waiting_.empty(); }

  // Numbers up to here were given before there was this pool.
  void begin_above(std::uint64_t given) { floor_ = std::max(floor_, given); }
  // The highest that was given, to whomever: whatever the source loses, all get greater ones from now on.
  [[nodiscard]] std::uint64_t floor() const { return floor_; }

  // The source's answer: ascending blocks.
  void give(const std::vector<Block>& blocks);

 private:
  void fetch(std::uint64_t floor);

  BlockSource& source_;
  const Clock& clock_;
  Demand demand_;
  const std::uint64_t fixed_;
  std::deque<Block> blocks_;  // None is empty.
  std::uint64_t left_ = 0;
  std::deque<replay::SequencerListener*> waiting_;
  std::uint64_t floor_ = 0;  // The highest that was given, or that somebody wanted more than.
  bool is_fetching_ = false;
};

// One channel's share of a pool.
class PoolSequencer final : public replay::Sequencer {
 public:
  explicit PoolSequencer(std::shared_ptr<BlockPool> pool) : pool_(std::move(pool)) {}
  ~PoolSequencer() override {
    if (listener_) pool_->forget(*listener_);
  }
  void set_listener(replay::SequencerListener& listener) override { listener_ = &listener; }
  [[nodiscard]] std::optional<replay::Number> next(replay::Number floor) override;

 private:
  const std::shared_ptr<BlockPool> pool_;
  replay::SequencerListener* listener_ = nullptr;
};

}  // namespace ssequel::ids
