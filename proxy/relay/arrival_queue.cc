#include "relay/arrival_queue.h"

#include "base/assert.h"
#include "sse/buffer.h"

namespace ssequel::relay {
namespace {

// What is gone is moved out of the buffers once it is this many arrivals and most of them, so that each is moved at
// most about once.
constexpr std::size_t kCompactFrom = 64;

}  // namespace

void ArrivalQueue::push(const Arrival& arrival) {
  const auto origin = arrival.origin.value_or(std::string_view());
  slots_.push_back({.kind = arrival.kind,
                    .has_origin = arrival.origin.has_value(),
                    .lines = arrival.lines.size(),
                    .origin = origin.size(),
                    .sticky = arrival.sticky.size()});
  bytes_.append(arrival.lines).append(origin).append(arrival.sticky);
}

Arrival ArrivalQueue::front() const {
  SSEQUEL_ASSERT(!empty(), "somebody waits at the head");
  const Slot& slot = slots_[head_];
  const std::string_view bytes(bytes_.data() + head_offset_, slot.size());
  Arrival arrival;
  arrival.kind = slot.kind;
  arrival.lines = bytes.substr(0, slot.lines);
  if (slot.has_origin) arrival.origin = bytes.substr(slot.lines, slot.origin);
  arrival.sticky = bytes.substr(slot.lines + slot.origin);
  return arrival;
}

void ArrivalQueue::clear() { *this = ArrivalQueue(); }

void ArrivalQueue::pop() {
  SSEQUEL_ASSERT(!empty(), "somebody waits at the head");
  head_offset_ += slots_[head_++].size();
  if (empty()) {
    sse::clear(bytes_);
    slots_.clear();
    head_ = head_offset_ = 0;
  } else if (head_ >= kCompactFrom && head_ >= slots_.size() / 2) {
    bytes_.erase(0, head_offset_);
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = head_offset_ = 0;
  }
}

}  // namespace ssequel::relay
