#include "net/deadline.h"

#include <uv.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "net/closable.h"

namespace ssequel::net {

struct DeadlineQueue::Timer final : Closable {
  Timer(Loop& loop, DeadlineQueue& owner) : queue(&owner) {
    uv_timer_init(loop.raw(), &handle);
    handle.data = this;
  }
  void close() noexcept override {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* closed) { delete static_cast<Timer*>(closed->data); });
  }
  void start(Millis after) {
    uv_timer_start(
        &handle, [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->queue->fire(); },
        static_cast<std::uint64_t>(after.count()), 0);
  }
  void stop() { uv_timer_stop(&handle); }

  uv_timer_t handle{};
  DeadlineQueue* const queue;  // uv_close stops the timer: not touched afterwards.
};

void Deadline::set(Millis after) {
  const auto now = queue_.loop_.now();
  // While the queue reports, a time of "now" would be reported in the same round, and so on without end.
  after = std::max(after, queue_.firing_ ? Millis(1) : Millis(0));
  due_ = after >= Millis::max() - now ? Millis::max() - Millis(1) : now + after;
  if (index_ == kNotQueued) {
    queue_.insert(*this);
  } else if (due_ < queued_) {
    queued_ = due_;
    queue_.sift_up(index_);
    queue_.arm();
  }
}

void Deadline::cancel() {
  due_ = Millis::max();
  if (index_ != kNotQueued) queue_.remove(*this);
}

DeadlineQueue::DeadlineQueue(Loop& loop) : loop_(loop), timer_(new Timer(loop, *this)) {}

DeadlineQueue::~DeadlineQueue() {
  SSEQUEL_ASSERT(heap_.empty() && !firing_, "deadlines are gone before their queue");
  timer_->close();
}

void DeadlineQueue::place(std::uint32_t index, Deadline* deadline) {
  heap_[index] = deadline;
  deadline->index_ = index;
}

void DeadlineQueue::sift_up(std::uint32_t index) {
  Deadline* moving = heap_[index];
  while (index > 0) {
    const auto parent = (index - 1) / 2;
    if (heap_[parent]->queued_ <= moving->queued_) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, moving);
}

void DeadlineQueue::sift_down(std::uint32_t index) {
  Deadline* moving = heap_[index];
  const auto size = static_cast<std::uint32_t>(heap_.size());
  for (;;) {
    auto child = 2 * index + 1;
    if (child >= size) break;
    if (child + 1 < size && heap_[child + 1]->queued_ < heap_[child]->queued_) ++child;
    if (moving->queued_ <= heap_[child]->queued_) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, moving);
}

void DeadlineQueue::insert(Deadline& deadline) {
  deadline.queued_ = deadline.due_;
  heap_.push_back(&deadline);
  sift_up(static_cast<std::uint32_t>(heap_.size() - 1));
  arm();
}

void DeadlineQueue::remove(Deadline& deadline) {
  const auto index = std::exchange(deadline.index_, Deadline::kNotQueued);
  deadline.queued_ = Millis::max();
  Deadline* last = heap_.back();
  heap_.pop_back();
  if (last != &deadline) {
    heap_[index] = last;
    sift_down(index);
    sift_up(last->index_);
  }
  arm();
}

void DeadlineQueue::arm() {
  if (firing_) return;  // fire() arms when it is done.
  if (heap_.empty()) {
    // A timer without deadlines must not keep the loop going.
    if (armed_ != Millis::max()) timer_->stop();
    armed_ = Millis::max();
    return;
  }
  // A timer that comes too early only finds nothing due and is set anew: cheaper than to move it each time.
  const auto earliest = heap_.front()->queued_;
  if (earliest >= armed_) return;
  armed_ = earliest;
  timer_->start(std::max(earliest - loop_.now(), Millis(0)));
}

void DeadlineQueue::fire() {
  const auto now = loop_.now();
  armed_ = Millis::max();
  firing_ = true;
  while (!heap_.empty() && heap_.front()->queued_ <= now) {
    Deadline& first = *heap_.front();
    if (first.due_ > now) {  // Put off since it was queued.
      first.queued_ = first.due_;
      sift_down(0);
      continue;
    }
    remove(first);
    first.due_ = Millis::max();
    first.listener_.on_deadline(first);  // May destroy it.
  }
  firing_ = false;
  arm();
}

}  // namespace ssequel::net
