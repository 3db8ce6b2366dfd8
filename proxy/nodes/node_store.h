// The Redis store: logs that several nodes share. This is the process's part, what its loops have in common; a door is
// a loop's way in (door.h), with connections of its own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/result.h"
#include "net/deadline.h"
#include "redis/url.h"
#include "replay/journal.h"

namespace ssequel::nodes {

struct NodeOptions {
  std::string url;
  std::string prefix = "ssequel";
  Millis lease{3000};  // A leader that is dead is replaced within it.
};

inline constexpr std::array<double, 12> kCommitBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                         0.01,   0.025,   0.05,   0.1,   0.5,    2.5};

struct NodeStatus {
  bool is_well = true;
  std::string why;            // One line for the operator; empty if all is well.
  std::uint64_t errors = 0;   // Commits and questions that failed and were tried again.
  std::uint64_t gaps = 0;     // Times that a log lost something, or may have.
  std::uint64_t leading = 0;  // Logs whose lease is this node's.
  std::array<std::uint64_t, kCommitBounds.size() + 1> commits{};  // By seconds, up to each bound and above.
  double commit_seconds = 0;
};

class NodeStore {
 public:
  // Asks nobody anything yet. Misconfigured: the address or its files cannot be used. All references must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<NodeStore>> open(NodeOptions options, Logger& logger, const Clock& clock,
                                                               Random& random);
  NodeStore(const NodeStore&) = delete;
  NodeStore& operator=(const NodeStore&) = delete;

  // A loop's; its journals must be gone before it.
  [[nodiscard]] std::unique_ptr<replay::Store> door(net::DeadlineQueue& deadlines);
  [[nodiscard]] NodeStatus status() const;  // Any thread.

  // --- For doors, from any thread.
  [[nodiscard]] const NodeOptions& options() const { return options_; }
  [[nodiscard]] const redis::Url& url() const { return url_; }
  [[nodiscard]] const std::string& name() const { return name_; }  // Of this node: random, for this life.
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] Random& random() const { return random_; }
  [[nodiscard]] Logger& logger() const { return logger_; }
  void count_error() { errors_.fetch_add(1, std::memory_order_relaxed); }
  void count_gap() { gaps_.fetch_add(1, std::memory_order_relaxed); }
  void count_leading(int more) { leading_.fetch_add(more, std::memory_order_relaxed); }
  void count_commit(double seconds);
  // why: empty when the door's Redis is well again. Logged once an outage.
  void set_state(const void* door, const std::string& why);
  // Another one each time, for this life.
  [[nodiscard]] std::uint64_t serial() { return serials_.fetch_add(1, std::memory_order_relaxed); }
  // True for the first door that asks.
  [[nodiscard]] bool claims_review() { return !is_reviewed_.exchange(true); }

 private:
  NodeStore(NodeOptions options, redis::Url url, Logger& logger, const Clock& clock, Random& random);

  const NodeOptions options_;
  const redis::Url url_;
  Logger& logger_;
  const Clock& clock_;
  Random& random_;
  const std::string name_;
  std::atomic<bool> is_reviewed_{false};
  std::atomic<std::uint64_t> serials_{1};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> gaps_{0};
  std::atomic<std::int64_t> leading_{0};
  mutable std::mutex mutex_;  // Guards what follows.
  std::map<const void*, std::string> troubles_;
  std::array<std::uint64_t, kCommitBounds.size() + 1> commits_{};
  double commit_seconds_ = 0;
};

}  // namespace ssequel::nodes
