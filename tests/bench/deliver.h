// The two ways to serve subscribers that the benchmarks compare: from the log with cursors, as the proxy does, and a
// bare loop over ready-made bytes in a ring, which is what the kernel alone costs.
#pragma once

#include <poll.h>
#include <sys/uio.h>

#include <memory>
#include <string>

#include "bench.h"
#include "replay/resume.h"

namespace ssequel::bench {

inline std::string event_lines() { return "data: " + std::string(200, 'x') + "\n"; }

class FromLog {
 public:
  FromLog(const std::vector<int>& fds, std::uint64_t window) : fds_(fds), log_({}, kFirst, {.events = window}) {
    cursors_.resize(fds.size());
  }
  void arrive(int events) {
    for (int i = 0; i < events; ++i) {
      const auto number = static_cast<std::uint64_t>(log_.next_number());
      id_.clear();
      replay::append_id(id_, log_.form(), number, {});
      frame_.clear();
      sse::append_frame(frame_, id_, lines_, {}, style_, sse::IdPlace::First);
      log_.append(frame_, number, {}, now_);
    }
    log_.publish(log_.appended());
    log_.evict(now_, replay::ReplayLog::kNoPlace);
  }
  void go_back(std::size_t subscriber, std::uint64_t events) {
    const auto answer = replay::resume(log_, log_.id_before(log_.published() - events));
    cursors_[subscriber] = {answer.place, 0};
  }
  void go_to_end() {
    for (Cursor& cursor : cursors_) cursor = {log_.published(), 0};
  }
  // Sends what there is. False if the socket is full.
  bool deliver(std::size_t subscriber) {
    Cursor& cursor = cursors_[subscriber];
    for (;;) {
      if (!log_.read(cursor.place, replay::ReplayLog::kNoPlace, kMaxRuns, kMaxBytes, runs_)) die("fell behind");
      if (runs_.empty()) return true;
      const auto sent = send_runs(fds_[subscriber], cursor.offset);
      if (sent < 0) return false;
      advance(cursor, static_cast<std::size_t>(sent));
    }
  }

 private:
  static constexpr std::uint64_t kFirst = 1'753'000'000'000'000;
  static constexpr std::size_t kMaxRuns = 16;
  static constexpr std::size_t kMaxBytes = 256 * 1024;
  struct Cursor {
    replay::Place place = 0;
    std::size_t offset = 0;  // Bytes of the entry at `place` that are sent already.
  };

  ssize_t send_runs(int fd, std::size_t skip) const {
    iovec pieces[kMaxRuns];
    std::size_t count = 0;
    for (const auto& run : runs_) pieces[count++] = {const_cast<char*>(run.bytes.data()), run.bytes.size()};
    pieces[0].iov_base = static_cast<char*>(pieces[0].iov_base) + skip;
    pieces[0].iov_len -= skip;
    if (count == 1) return send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    return writev(fd, pieces, static_cast<int>(count));
  }
  void advance(Cursor& cursor, std::size_t sent) const {
    sent += cursor.offset;
    for (const auto& run : runs_) {
      if (sent < run.bytes.size()) {
        const auto boundary = log_.boundary(run, sent);
        // Inside the entry that ends at the boundary, or between two.
        const auto begin = log_.position(boundary.next - 1) - log_.position(run.first);
        cursor = {boundary.next - 1, sent - begin};
        return;
      }
      sent -= run.bytes.size();
    }
    cursor = {runs_.back().end, 0};
  }

  const std::vector<int>& fds_;
  replay::ReplayLog log_;
  std::vector<Cursor> cursors_;
  std::vector<replay::Run> runs_;
  const std::string lines_ = event_lines();
  const sse::OriginStyle style_;
  const Millis now_{1000};
  std::string id_, frame_;
};

class FromRing {
 public:
  FromRing(const std::vector<int>& fds, std::uint64_t) : fds_(fds), ring_(new char[kSize]), cursors_(fds.size()) {
    event_ = "e7\r\nid: 1753000000000000\n" + event_lines() + "\n\r\n";
  }
  void arrive(int events) {
    for (int i = 0; i < events; ++i) {
      for (std::size_t done = 0; done < event_.size();) {
        const auto piece = std::min(event_.size() - done, kSize - head_ % kSize);
        std::memcpy(&ring_[head_ % kSize], event_.data() + done, piece);
        done += piece;
        head_ += piece;
      }
    }
  }
  void go_back(std::size_t subscriber, std::uint64_t events) { cursors_[subscriber] = head_ - events * event_.size(); }
  void go_to_end() { std::fill(cursors_.begin(), cursors_.end(), head_); }
  bool deliver(std::size_t subscriber) {
    auto& cursor = cursors_[subscriber];
    while (cursor != head_) {
      const auto piece = std::min(head_ - cursor, kSize - cursor % kSize);
      const auto sent = send(fds_[subscriber], &ring_[cursor % kSize], piece, MSG_NOSIGNAL);
      if (sent < 0) return false;
      cursor += static_cast<std::size_t>(sent);
    }
    return true;
  }

 private:
  static constexpr std::size_t kSize = 16 << 20;
  const std::vector<int>& fds_;
  std::unique_ptr<char[]> ring_;
  std::vector<std::size_t> cursors_;
  std::size_t head_ = 0;
  std::string event_;
};

// Delivers to all until each has everything. Who is full is asked again in the next round; if all are, we wait.
template <class Way>
void deliver_all(Way& way, const std::vector<int>& fds, std::vector<std::size_t>& behind) {
  behind.resize(fds.size());
  for (std::size_t i = 0; i < fds.size(); ++i) behind[i] = i;
  while (!behind.empty()) {
    const auto before = behind.size();
    std::erase_if(behind, [&](std::size_t subscriber) { return way.deliver(subscriber); });
    if (behind.size() == before) {
      pollfd wait{.fd = fds[behind.front()], .events = POLLOUT, .revents = 0};
      poll(&wait, 1, 100);
    }
  }
}

}  // namespace ssequel::bench
