// `redis`: counters in Redis, INCRBY in batches that follow the demand. A loop has one of these: a client, a counter
// for each key that is in use.
//
// Should Redis have fallen back (flushed, restored, failed over), a counter answers at or below what was given already:
// it is then set above that, atomically, and goes on from there. One loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "ids/block_pool.h"
#include "ids/ledger.h"
#include "redis/client.h"

namespace ssequel::ids {

class RedisIds final : private redis::ClientListener {
 public:
  // All references must outlive it; it outlives the sequencers it gave.
  [[nodiscard]] static Result<std::unique_ptr<RedisIds>> open(net::DeadlineQueue& deadlines, Random& random,
                                                              const Clock& clock, const redis::ClientOptions& options,
                                                              Ledger& ledger);
  ~RedisIds() override;

  // One counter for the sequencers of all channels that name it, on this loop. expiry: of the key, from its last use;
  // 0: never.
  [[nodiscard]] std::unique_ptr<replay::Sequencer> sequencer(const std::string& key, Millis expiry);
  [[nodiscard]] redis::Client& client() { return *client_; }
  // Called at each on_up() of the client.
  void set_on_up(std::function<void()> on_up) { on_up_ = std::move(on_up); }

  static constexpr std::uint64_t kMaxBatch = 4096;

 private:
  class Counter;
  RedisIds(net::DeadlineQueue& deadlines, const Clock& clock, Ledger& ledger)
      : deadlines_(deadlines), clock_(clock), ledger_(ledger) {}
  void on_up() override;
  void on_down(const redis::Failure& why) override;

  net::DeadlineQueue& deadlines_;
  const Clock& clock_;
  Ledger& ledger_;
  net::Owned<redis::Client> client_;
  std::function<void()> on_up_;
  std::unordered_map<std::string, std::weak_ptr<Counter>> counters_;
  // What counters without an expiry gave before they were let go: should Redis lose them, a later log begins above it.
  static constexpr std::size_t kMaxRemembered = 100'000;
  std::unordered_map<std::string, std::uint64_t> given_;
};

}  // namespace ssequel::ids
