#include "ids/block_pool.h"

#include <algorithm>

#include "base/assert.h"

namespace ssequel::ids {

std::uint64_t Demand::next_batch(Millis now) {
  if (arrived_at_) {
    const auto lasted = now - *arrived_at_;
    if (lasted < kQuick) batch_ = std::min(max_, batch_ * 2);
    if (lasted > kSlow) batch_ = std::max<std::uint64_t>(1, batch_ / 2);
  }
  return batch_;
}

std::optional<std::uint64_t> BlockPool::take(std::uint64_t floor) {
  while (!blocks_.empty() && blocks_.front().last <= floor) {
    left_ -= blocks_.front().last - blocks_.front().first + 1;
    blocks_.pop_front();
  }
  if (blocks_.empty()) return std::nullopt;
  Block& block = blocks_.front();
  if (block.first <= floor) {
    left_ -= floor + 1 - block.first;
    block.first = floor + 1;
  }
  const auto number = block.first++;
  floor_ = std::max(floor_, number);
  --left_;
  if (block.first > block.last) blocks_.pop_front();
  // Where one at a time is enough nothing is asked for in advance: what nobody takes is lost with the process.
  if (demand_.batch() >= 16 && left_ < demand_.batch() / 2) fetch(number);
  return number;
}

void BlockPool::wait(replay::SequencerListener& waiter, std::uint64_t floor) {
  SSEQUEL_ASSERT(std::find(waiting_.begin(), waiting_.end(), &waiter) == waiting_.end(), "who waits asks no more");
  waiting_.push_back(&waiter);
  floor_ = std::max(floor_, floor);
  fetch(floor);
}

void BlockPool::forget(replay::SequencerListener& waiter) { std::erase(waiting_, &waiter); }

void BlockPool::fetch(std::uint64_t floor) {
  floor_ = std::max(floor_, floor);
  if (is_fetching_) return;
  is_fetching_ = true;
  const auto count = demand_.next_batch(clock_.now());
  source_.fetch(fixed_ != 0 ? fixed_ : count, floor_);
}

void BlockPool::give(const std::vector<Block>& blocks) {
  is_fetching_ = false;
  demand_.arrived(clock_.now());
  for (const auto& block : blocks) {
    if (block.first > block.last) continue;
    blocks_.push_back(block);
    left_ += block.last - block.first + 1;
  }
  // Each takes what it needs; who gets nothing waits again, at the end.
  for (auto turns = waiting_.size(); turns > 0 && !waiting_.empty() && left_ != 0; --turns) {
    auto* waiter = waiting_.front();
    waiting_.pop_front();
    waiter->on_ids_ready();
  }
  if (!waiting_.empty()) fetch(floor_);
}

std::optional<replay::Number> PoolSequencer::next(replay::Number floor) {
  SSEQUEL_ASSERT(listener_ != nullptr, "an allocator that answers later needs a listener");
  const auto least = static_cast<std::uint64_t>(floor);
  if (const auto number = pool_->take(least)) return *number;
  pool_->wait(*listener_, least);
  return std::nullopt;
}

}  // namespace ssequel::ids
