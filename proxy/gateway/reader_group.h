// The subscriptions of one channel on one loop. The channel's own loop has one; another loop gets one when a subscriber
// that it accepted joins a shared channel. All read the same log; what a group needs of its channel goes through its
// owner, by call or by message.
//
//   channel's loop: Channel ─ log ─ ReaderGroup          other loop: ReaderGroup ─ (the same log)
//                      ▲  └── published: wake ──────────────────────────► sweep
//                      └───── reached, left ◄────────────────────────────── (Loop::post)
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "relay/channel.h"
#include "relay/counters.h"
#include "relay/route.h"
#include "replay/replay_log.h"

namespace ssequel::gateway {

class ChannelHost;
class Subscription;
class Worker;

// What all groups of a channel share. Thread-safe.
struct ChannelFeed {
  std::shared_ptr<const relay::Route> route;
  std::shared_ptr<replay::ReplayLog> log;
  std::string request_host;  // Host of requests to the upstream.
  // When the newest entries were read off the upstream, for delivery times: steady clock, nanoseconds.
  std::atomic<std::int64_t> read_at_ns{0};
};

// What a group says to its channel. On the group's loop.
class ReaderGroupOwner {
 public:
  virtual ~ReaderGroupOwner() = default;
  // Some subscription has been sent everything below `place`; the greatest there is, once a sweep.
  virtual void on_reached(replay::Place place) = 0;
  // Everybody in the group was served, or found blocked, since the log was published up to `place`.
  virtual void on_swept(replay::Place place) = 0;
  virtual void on_left(const std::shared_ptr<relay::Credential>& credential) = 0;
  // The reconnection time for responses.
  [[nodiscard]] virtual std::uint64_t retry_ms() const = 0;
  // The channel's host, where it is on this loop; null elsewhere.
  [[nodiscard]] virtual ChannelHost* host() = 0;
};

// One loop's thread only.
class ReaderGroup {
 public:
  ReaderGroup(Worker& worker, std::shared_ptr<ChannelFeed> feed, ReaderGroupOwner& owner, bool may_end_in_drain);
  ~ReaderGroup();  // Nobody may be left in it.
  ReaderGroup(const ReaderGroup&) = delete;
  ReaderGroup& operator=(const ReaderGroup&) = delete;

  void join(Subscription& subscription);
  void leave(Subscription& subscription, const std::shared_ptr<relay::Credential>& credential);
  // Serves everybody what there is, a bounded number a turn.
  void sweep();
  void broadcast(std::string_view line);
  // Ends every response, in the manner of the route; retry_ms, if any, is asked anew for each.
  void end_all(const std::function<std::optional<std::uint64_t>()>& retry_ms);
  [[nodiscard]] replay::Place foremost() const;
  [[nodiscard]] std::size_t size() const { return subscribers_.size() - holes_; }

  // Runs from `from`, cached while one sweep lasts: most subscribers are at the same place. Valid until the next call.
  bool read(replay::Place from, replay::Place stop, const std::vector<replay::Run>*& runs);
  // A subscription was served by itself up to `place`.
  void report(replay::Place place) { owner_.on_reached(place); }

  [[nodiscard]] const relay::Route& route() const { return *feed_->route; }
  [[nodiscard]] const std::shared_ptr<replay::ReplayLog>& log() const { return feed_->log; }
  [[nodiscard]] const std::string& request_host() const { return feed_->request_host; }
  [[nodiscard]] relay::RouteCounters& counters() { return counters_; }
  [[nodiscard]] std::uint64_t retry_ms() const { return owner_.retry_ms(); }
  [[nodiscard]] ChannelHost* host() { return owner_.host(); }
  // A drain may end its responses: shared ones, and sessions opened by GET.
  [[nodiscard]] bool may_end_in_drain() const { return may_end_in_drain_; }
  [[nodiscard]] std::chrono::steady_clock::time_point read_at() const {
    return std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(feed_->read_at_ns.load(std::memory_order_relaxed)));
  }

 private:
  void serve_some();
  void compact();

  Worker& worker_;
  const std::shared_ptr<ChannelFeed> feed_;
  ReaderGroupOwner& owner_;
  relay::RouteCounters& counters_;
  const bool may_end_in_drain_;
  std::vector<Subscription*> subscribers_;  // Null where one left during a sweep.
  std::size_t holes_ = 0;
  std::size_t sweep_at_ = 0;
  std::size_t sweep_left_ = 0;
  replay::Place sweep_target_ = 0;
  bool is_sweeping_ = false;
  bool is_deferred_ = false;
  std::vector<replay::Run> runs_;
  replay::Place runs_from_ = replay::ReplayLog::kNoPlace;
  replay::Place runs_stop_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
