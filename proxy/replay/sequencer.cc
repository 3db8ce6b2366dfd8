#include "replay/sequencer.h"

#include <algorithm>

#include "base/seeded_bug.h"
#include "replay/event_id.h"

namespace ssequel::replay {

std::uint64_t Beginnings::begin_at_time(std::int64_t unix_micros) {
  if (seeded_bug("restart-from-one")) return 1;
  const std::lock_guard lock(mutex_);
  const auto first = std::max(static_cast<std::uint64_t>(std::max<std::int64_t>(unix_micros, 1)), highest_ + 2);
  highest_ = first;  // Two logs that begin in one microsecond have different bases.
  return first;
}

std::uint64_t Beginnings::begin_at(std::uint64_t start, const std::string& key) {
  const std::lock_guard lock(mutex_);
  // What is known of the key may be from before the loss.
  if (forgotten_at_ != 0) start = std::min(start, kMaxNumber / 2) + forgotten_at_;
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) return std::max(start, known->second + 2);
  return highest_forgotten_ == 0 ? start : std::max(start, highest_forgotten_ + 2);
}

std::uint64_t Beginnings::begin_beside(std::uint64_t start, const std::string& key, std::int64_t unix_micros) {
  const auto above = begin_at(start, key);
  const auto now = static_cast<std::uint64_t>(std::max<std::int64_t>(unix_micros, 0));
  return std::max(above, std::min(start, kMaxNumber / 2) + now);
}

void Beginnings::forgotten_at(std::uint64_t unix_micros) {
  const std::lock_guard lock(mutex_);
  forgotten_at_ = unix_micros;
}

void Beginnings::given(std::uint64_t highest, const std::string& key_with_start) {
  const std::lock_guard lock(mutex_);
  highest_ = std::max(highest_, highest);
  if (key_with_start.empty()) return;
  const auto known = by_key_.find(key_with_start);
  if (known != by_key_.end()) {
    known->second = std::max(known->second, highest);
  } else if (by_key_.size() < kMaxKeys) {
    by_key_.emplace(key_with_start, highest);
  } else {
    highest_forgotten_ = std::max(highest_forgotten_, highest);
  }
}

}  // namespace ssequel::replay
