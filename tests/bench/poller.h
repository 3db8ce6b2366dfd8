// The load programs' event loop: epoll, one thread, and whoever is ready is asked.
#pragma once

#include <sys/epoll.h>

#include "bench.h"

namespace ssequel::bench {

class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_ready(std::uint32_t events) = 0;
};

class Poller {
 public:
  Poller() : fd_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}
  ~Poller() { close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, std::uint32_t events, Pollable& who) { control(EPOLL_CTL_ADD, fd, events, who); }
  void change(int fd, std::uint32_t events, Pollable& who) { control(EPOLL_CTL_MOD, fd, events, who); }
  // One round; waits at most until `until` (as now_ns() counts).
  void turn(std::int64_t until) {
    const auto wait = std::max<std::int64_t>(0, until - now_ns());
    const timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
    epoll_event events[512];
    const int ready = epoll_pwait2(fd_, events, 512, &timeout, nullptr);
    for (int i = 0; i < ready; ++i) static_cast<Pollable*>(events[i].data.ptr)->on_ready(events[i].events);
  }

 private:
  void control(int what, int fd, std::uint32_t events, Pollable& who) const {
    epoll_event interest{.events = events, .data = {.ptr = &who}};
    check(epoll_ctl(fd_, what, fd, &interest), "epoll_ctl");
  }
  const int fd_;
};

}  // namespace ssequel::bench
