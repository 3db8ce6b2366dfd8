// Subscribers for the benchmarks of the core: connected sockets whose other ends a child process reads and throws away,
// on another core, as fast as it can.
#pragma once

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "bench.h"

namespace ssequel::bench {

inline constexpr int kCoreOfBench = 1;
inline constexpr int kCoreOfReaders = 0;

class Subscribers {
 public:
  explicit Subscribers(int count) {
    raise_fd_limit();
    const int listener = listen_on(0);
    std::vector<int> others;
    for (int i = 0; i < count; ++i) {
      others.push_back(connect_to(port_of(listener), true, i));
      fds_.push_back(check(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
      set_nodelay(fds_.back());
    }
    close(listener);
    child_ = check(fork(), "fork");
    if (child_ == 0) swallow(others);
    for (const int fd : others) close(fd);
    pin_to_core(kCoreOfBench);
  }
  ~Subscribers() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    for (const int fd : fds_) close(fd);
  }
  Subscribers(const Subscribers&) = delete;
  Subscribers& operator=(const Subscribers&) = delete;

  [[nodiscard]] const std::vector<int>& fds() const { return fds_; }

 private:
  [[noreturn]] void swallow(const std::vector<int>& others) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const int fd : fds_) close(fd);
    pin_to_core(kCoreOfReaders);
    const int poll = check(epoll_create1(0), "epoll_create1");
    for (const int fd : others) {
      set_nonblocking(fd);
      epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
      check(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &interest), "epoll_ctl");
    }
    static char scrap[1 << 18];
    epoll_event events[256];
    for (;;) {
      const int ready = epoll_wait(poll, events, 256, -1);
      for (int i = 0; i < ready; ++i) {
        if (recv(events[i].data.fd, scrap, sizeof scrap, 0) == 0) _exit(0);
      }
    }
  }

  std::vector<int> fds_;
  pid_t child_ = 0;
};

}  // namespace ssequel::bench
