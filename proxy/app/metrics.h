// The counts of all loops as Prometheus families, and the channels as JSON. Labels are bounded: a route's name, a
// closed set of reasons, an HTTP status; never a channel's key.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/worker.h"
#include "nodes/node_store.h"
#include "relay/counters.h"
#include "store/disk_store.h"

namespace ssequel::app {

// A copy of one loop's counts, taken on that loop.
struct CountersSnapshot {
  std::map<std::string, relay::RouteCounters> routes;
  std::map<std::pair<std::string, int>, std::uint64_t> requests;
  std::uint64_t unrouted_event_streams = 0;
  std::uint64_t connections = 0;
  std::uint64_t upstream_connections = 0;

  void add(const CountersSnapshot& other);
};
[[nodiscard]] CountersSnapshot take_snapshot(gateway::Worker& worker);

struct ProcessFacts {
  bool config_reload_success = true;
  std::string version;
  std::optional<store::DiskStatus> disk;           // nullopt: the store is another.
  std::optional<nodes::NodeStatus> nodes;          // nullopt: the store is another.
  std::map<std::string, std::uint64_t> id_errors;  // Of each allocator of ids that is in use.
};
// Prometheus text format.
[[nodiscard]] std::string metrics_text(const CountersSnapshot& counters, const ProcessFacts& facts);

// One line of /channels: no key, no query, no id.
struct ChannelFacts {
  std::string route;
  std::string mode;
  std::string path;
  std::string state;
  std::uint64_t subscribers = 0;
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
  std::uint64_t emitted = 0;
  bool tagged = false;
};
[[nodiscard]] std::vector<ChannelFacts> take_channels(gateway::Worker& worker);
[[nodiscard]] std::string channels_json(const std::vector<ChannelFacts>& channels);

}  // namespace ssequel::app
