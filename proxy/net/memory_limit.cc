// How much memory the control groups leave us: the least of the own group and all above it.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include "net/loop.h"

namespace ssequel::net {
namespace {

// Version 1 says "no limit" as a number near 2^63.
constexpr std::uint64_t kNoLimit = 1ull << 60;

std::optional<std::uint64_t> read_limit(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t limit = 0;
  if (!(file >> limit) || limit >= kNoLimit) return std::nullopt;  // "max" is no number.
  return limit;
}

void take_least(std::optional<std::uint64_t>& least, std::optional<std::uint64_t> limit) {
  if (limit) least = std::min(least.value_or(*limit), *limit);
}

// Every group from `group` up to the root.
void take_groups(std::optional<std::uint64_t>& least, const std::string& root, std::string group,
                 const std::string& file) {
  for (;;) {
    take_least(least, read_limit(root + group + "/" + file));
    const auto slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

}  // namespace

std::optional<std::uint64_t> memory_limit() {
  std::optional<std::uint64_t> least;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // hierarchy:controllers:path
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const auto path = line.substr(second + 1);
    if (controllers == ",,") {
      take_groups(least, "/sys/fs/cgroup", path, "memory.max");
    } else if (controllers.find(",memory,") != std::string::npos) {
      take_groups(least, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
    }
  }
  return least;
}

}  // namespace ssequel::net
