// What stands behind `ids.strategy` for the whole process: what its loops share (Snowflake sources and the node, the
// connection to PostgreSQL), and a door for each loop.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/random.h"
#include "ids/ledger.h"
#include "ids/node_seat.h"
#include "ids/postgres_ids.h"
#include "ids/snowflake.h"
#include "net/deadline.h"
#include "redis/client.h"
#include "relay/sequencers.h"

namespace ssequel::ids {

struct AllocatorOptions {
  std::string redis_url;
  std::string redis_prefix;
  Millis lease{3000};
  PostgresIdsOptions postgres;
  std::uint64_t postgres_block = 1000;
  std::optional<std::string> pod_name;
};

// The number at the end of a StatefulSet pod's name, NAME-N.
[[nodiscard]] std::optional<std::uint64_t> ordinal_of(std::string_view pod_name);

class Allocators {
 public:
  // All references must outlive it, and it outlives its doors.
  Allocators(AllocatorOptions options, Logger& logger, const Clock& clock, Random& random);
  ~Allocators();

  // What these routes need can be used; nothing is asked of anybody yet. Misconfigured, Unsupported.
  [[nodiscard]] Result<void> check(const std::vector<relay::Route>& routes);
  [[nodiscard]] std::unique_ptr<relay::Sequencers> door(net::DeadlineQueue& deadlines);
  // Before the loops go: nobody is answered any more.
  void stop();
  // From any thread.
  [[nodiscard]] std::map<std::string, Ledger::Entry> status() const { return ledger_.entries(); }

 private:
  class Door;
  // The node of a route; null if it takes a lease, which the first door that asks then keeps.
  [[nodiscard]] std::optional<std::uint64_t> fixed_node(const relay::Ids& ids) const;
  [[nodiscard]] PostgresIds* postgres();

  const AllocatorOptions options_;
  const Clock& clock_;
  Random& random_;
  Ledger ledger_;
  std::mutex mutex_;
  std::map<SnowflakeLayout, std::shared_ptr<SnowflakeSource>> sources_;
  std::map<unsigned, std::shared_ptr<NodeSeat>> seats_;  // By node_bits.
  std::unique_ptr<PostgresIds> postgres_;
};

}  // namespace ssequel::ids
