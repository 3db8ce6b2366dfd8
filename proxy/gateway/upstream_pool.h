// Idle keep-alive connections to the upstream, and the count of all there are. The latest used is used first; one that
// the upstream closes or speaks on unasked is dropped at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/random.h"
#include "gateway/options.h"
#include "gateway/retired.h"
#include "net/address.h"
#include "net/deadline.h"
#include "net/loop.h"
#include "net/stream.h"

namespace ssequel::gateway {

struct UpstreamPoolOptions {
  net::Address address;
  Millis connect_timeout{5000};
  std::uint64_t max_connections = 20000;  // Of all pools together.
  std::size_t max_header_bytes = 32 * 1024;
};

class UpstreamPool {
 public:
  // total: the connections of all loops' pools; must outlive this.
  UpstreamPool(net::Loop& loop, net::DeadlineQueue& deadlines, UpstreamPoolOptions options,
               std::atomic<std::uint64_t>& total);
  ~UpstreamPool();
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // Asked at the limit: closes a connection that nobody needs now, if there is one.
  void set_relief(std::function<bool()> relief) { relief_ = std::move(relief); }
  void set_options(UpstreamPoolOptions options) { options_ = std::move(options); }
  [[nodiscard]] const UpstreamPoolOptions& options() const { return options_; }
  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] net::DeadlineQueue& deadlines() { return deadlines_; }

  // An idle connection, or null. It keeps its slot.
  [[nodiscard]] net::Owned<net::Stream> take_idle();
  // A connection in good order, to be used again; its slot stays with it.
  void give_back(net::Owned<net::Stream> stream);
  // A slot for a new connection; false at the limit. An idle one is closed to make room, else the relief is asked.
  [[nodiscard]] bool take_slot();
  void release_slot();
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  void close_idle();

 private:
  class Idle;
  void drop(Idle& idle);

  net::Loop& loop_;
  net::DeadlineQueue& deadlines_;
  UpstreamPoolOptions options_;
  std::function<bool()> relief_;
  std::vector<std::unique_ptr<Idle>> idle_;
  Graveyard dropped_;
  std::uint64_t connections_ = 0;      // Ours.
  std::atomic<std::uint64_t>& total_;  // All pools'.
};

}  // namespace ssequel::gateway
