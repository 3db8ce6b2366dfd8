// The turn of uv_run is: timers, pending, idle, prepare, poll, check, closing (libuv 1.45 moved the timers to the end).
// Deferred tasks run in `check`; while there are any, an idle handle keeps `poll` from waiting. Unused, neither of the
// two handles is active, and a turn costs nothing more.
#include "net/loop.h"

#include <uv.h>

#include <cstdio>
#include <mutex>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace ssequel::net {

using Tasks = std::vector<std::function<void()>>;

struct Loop::Impl {
  uv_loop_t loop{};
  uv_async_t wake{};
  uv_check_t turn_end{};
  uv_idle_t no_wait{};
  std::mutex mutex;
  Tasks posted;  // Guarded by mutex.
  Tasks deferred;
  Tasks running;         // The batch at work: kept, so that its memory is used again.
  bool in_turn = false;  // True exactly while uv_run is on the stack: then its cached time is right.
  bool stopped = false;  // True from stop() to the end of run().
  char read_buffer[kReadBufferBytes];

  bool has_posted() {
    const std::lock_guard lock(mutex);
    return !posted.empty();
  }

  void run_posted() {
    Tasks batch;
    {
      const std::lock_guard lock(mutex);
      batch.swap(posted);
    }
    for (auto& task : batch) task();
  }

  void run_deferred() {
    running.swap(deferred);
    for (auto& task : running) task();
    running.clear();
    if (!deferred.empty()) return;  // Deferred by these: next turn, which does not wait.
    uv_check_stop(&turn_end);
    uv_idle_stop(&no_wait);
  }

  void turn(uv_run_mode mode) {
    in_turn = true;
    uv_run(&loop, mode);
    in_turn = false;
  }

  bool is_own(const uv_handle_t* handle) const {
    return handle == reinterpret_cast<const uv_handle_t*>(&wake) ||
           handle == reinterpret_cast<const uv_handle_t*>(&turn_end) ||
           handle == reinterpret_cast<const uv_handle_t*>(&no_wait);
  }

  bool has_foreign_handles() {
    struct Search {
      const Impl& impl;
      bool found = false;
    } search{*this};
    uv_walk(
        &loop,
        [](uv_handle_t* handle, void* argument) {
          auto& s = *static_cast<Search*>(argument);
          // Signal delivery has a handle inside libuv, which uv_walk leaves out.
          if (!uv_is_closing(handle) && !s.impl.is_own(handle)) s.found = true;
        },
        &search);
    return search.found;
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  auto& impl = *impl_;
  SSEQUEL_ASSERT(uv_loop_init(&impl.loop) == 0, "an event loop can be made");
  impl.loop.data = this;
  SSEQUEL_ASSERT(
      uv_async_init(&impl.loop, &impl.wake,
                    [](uv_async_t* wake) { static_cast<Loop*>(wake->loop->data)->impl_->run_posted(); }) == 0,
      "an event loop can be woken");
  // Waiting for posts alone is no reason to go on.
  uv_unref(reinterpret_cast<uv_handle_t*>(&impl.wake));
  uv_check_init(&impl.loop, &impl.turn_end);
  uv_unref(reinterpret_cast<uv_handle_t*>(&impl.turn_end));
  // Stays referenced: a loop with deferred tasks has something to do.
  uv_idle_init(&impl.loop, &impl.no_wait);
}

Loop::~Loop() {
  auto& impl = *impl_;
  // What was let go of just before is still closing, and may have deferred its end.
  do {
    impl.turn(UV_RUN_NOWAIT);
  } while (!impl.deferred.empty());
  if (impl.has_foreign_handles()) uv_print_all_handles(&impl.loop, stderr);
  SSEQUEL_ASSERT(!impl.has_foreign_handles(), "every handle is closed before its loop");
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.turn_end), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.no_wait), nullptr);
  impl.turn(UV_RUN_DEFAULT);
  SSEQUEL_ASSERT(uv_loop_close(&impl.loop) == 0, "every handle is closed before its loop");
}

void Loop::run() {
  do {
    // A loop without active handles would return without looking at its wake-ups.
    if (uv_loop_alive(&impl_->loop) == 0) impl_->run_posted();
    impl_->turn(UV_RUN_DEFAULT);
  } while (!impl_->stopped && impl_->has_posted());
  impl_->stopped = false;
}

bool Loop::run_once() {
  if (uv_loop_alive(&impl_->loop) == 0) impl_->run_posted();
  impl_->turn(UV_RUN_NOWAIT);
  return uv_loop_alive(&impl_->loop) != 0;
}

void Loop::stop() {
  impl_->stopped = true;
  uv_stop(&impl_->loop);
}

void Loop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(task));
    if (impl_->posted.size() > 1) return;  // The one before has woken it, and it takes them all.
  }
  uv_async_send(&impl_->wake);
}

void Loop::defer(std::function<void()> task) {
  impl_->deferred.push_back(std::move(task));
  // Both do nothing where they are active already.
  uv_check_start(&impl_->turn_end,
                 [](uv_check_t* check) { static_cast<Loop*>(check->loop->data)->impl_->run_deferred(); });
  uv_idle_start(&impl_->no_wait, [](uv_idle_t*) {});
}

Millis Loop::now() const {
  if (!impl_->in_turn) uv_update_time(&impl_->loop);
  return Millis(static_cast<Millis::rep>(uv_now(&impl_->loop)));
}

uv_loop_s* Loop::raw() noexcept { return &impl_->loop; }
char* Loop::read_buffer() noexcept { return impl_->read_buffer; }

}  // namespace ssequel::net
