// Timeouts by the thousand on one uv_timer_t a loop: a binary heap of nodes that live in their owners. Setting a
// later time costs nothing until the earlier one comes (it is then only put back), so a busy connection may push its
// timeout at every read.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "net/loop.h"

namespace ssequel::net {

class DeadlineQueue;

// A member of what times out. Not copyable; cancels itself when destroyed. Loop's thread only.
class Deadline {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // The time came; the deadline is no longer set. It may be set again here, or its owner destroyed.
    virtual void on_deadline(Deadline& deadline) = 0;
  };
  Deadline(DeadlineQueue& queue, Listener& listener) : queue_(queue), listener_(listener) {}
  ~Deadline() { cancel(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void set(Millis after);  // From now; replaces an earlier setting. Resolution: one millisecond.
  void cancel();
  [[nodiscard]] bool is_set() const { return due_ != Millis::max(); }

 private:
  friend class DeadlineQueue;
  DeadlineQueue& queue_;
  Listener& listener_;
  Millis due_ = Millis::max();     // When it is to be reported.
  Millis queued_ = Millis::max();  // The time it stands in the heap with: never later than due_.
  static constexpr std::uint32_t kNotQueued = UINT32_MAX;
  std::uint32_t index_ = kNotQueued;
};

class DeadlineQueue {
 public:
  explicit DeadlineQueue(Loop& loop);
  // All deadlines must be gone or cancelled, and none being reported. Closes its timer.
  ~DeadlineQueue();
  [[nodiscard]] Loop& loop() const { return loop_; }

 private:
  friend class Deadline;
  struct Timer;
  void insert(Deadline& deadline);
  void remove(Deadline& deadline);
  void place(std::uint32_t index, Deadline* deadline);
  void sift_up(std::uint32_t index);
  void sift_down(std::uint32_t index);
  void arm();
  void fire();

  Loop& loop_;
  Timer* timer_;                  // A Closable: closed, never deleted.
  std::vector<Deadline*> heap_;   // The least queued_ first.
  Millis armed_ = Millis::max();  // When the timer comes; max: it is stopped.
  bool firing_ = false;           // True exactly while deadlines are being reported.
};

}  // namespace ssequel::net
