// What the status page is told once a second: the counts of all loops and what they mean, as one line of JSON. No key,
// no id, no path but those of log lines, no query string.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/metrics.h"
#include "app/recent_lines.h"
#include "base/clock.h"
#include "gateway/admin.h"
#include "gateway/options.h"

namespace ssequel::app {

struct StatusFacts {
  const CountersSnapshot& counters;
  const gateway::Options& options;
  gateway::Readiness readiness;
  std::vector<RecentLines::Line> recent;
  std::int64_t unix_ms = 0;
  Millis now{0};  // The loops' time.
  Millis uptime{0};
  std::size_t loops = 1;
  std::uint64_t store_bytes = 0;  // limits.store_bytes, made out.
  bool config_reload_success = true;
  std::string version;
};
[[nodiscard]] std::string status_json(const StatusFacts& facts);

}  // namespace ssequel::app
