// One event loop, one thread. Everything made with a Loop lives on it and is touched by its thread only; post() is the
// one door for other threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

struct uv_loop_s;

namespace ssequel::net {

class Loop {
 public:
  Loop();
  // The loop must have no open handles left but its own; asserts otherwise (a handle left behind is a bug). Handles
  // that are closing are waited for, deferred tasks still run, posted ones that did not run are dropped. A name being
  // looked up cannot be interrupted and is waited for too.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(), or until nothing but the loop's own handles is left.
  void run();
  // One turn without waiting; for tests. True if handles other than the loop's own are active.
  bool run_once();
  // From the loop's thread: run() returns after this turn; before run(), the next one returns at once.
  void stop();

  // From any thread: task runs on the loop's thread, in order of posting, in the next turn. Wakes it (uv_async_t).
  void post(std::function<void()> task);
  // From the loop's thread: task runs at the end of this turn, after all I/O callbacks and before it waits again. Tasks
  // deferred by tasks run in the next turn, which then does not wait.
  void defer(std::function<void()> task);

  // The loop's cached time: monotonic, updated once a turn.
  [[nodiscard]] Millis now() const;

  // A buffer of 64 KiB that all reads of this loop share; its content is valid during the read callback.
  static constexpr std::size_t kReadBufferBytes = 64 * 1024;

  [[nodiscard]] uv_loop_s* raw() noexcept;     // For the room net only.
  [[nodiscard]] char* read_buffer() noexcept;  // For the room net only.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Time as a loop has it, for what asks too often to ask the kernel: now() is that of the turn, from the same start as
// SystemClock's. The loop's thread only.
class LoopClock final : public Clock {
 public:
  // Both must outlive it.
  LoopClock(const Loop& loop, const Clock& clock) : loop_(loop), clock_(clock) {}
  [[nodiscard]] Millis now() const override { return loop_.now(); }
  [[nodiscard]] std::int64_t unix_micros() const override { return clock_.unix_micros(); }

 private:
  const Loop& loop_;
  const Clock& clock_;
};

// Ignores SIGPIPE and raises the soft limit of file descriptors to the hard one; once, at start.
void prepare_process();
// The limit in force.
[[nodiscard]] std::uint64_t open_files_limit();
// CPUs this process may use: affinity and cgroup quota, at least 1.
[[nodiscard]] unsigned usable_cpus();
// The memory limit of the control group this process is in (version 2: memory.max, 1: memory.limit_in_bytes); nothing
// if there is none.
[[nodiscard]] std::optional<std::uint64_t> memory_limit();

}  // namespace ssequel::net
