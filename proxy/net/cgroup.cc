#include "net/cgroup.h"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace ssequel::net {
namespace {

using Quota = std::optional<double>;

Quota least(Quota a, Quota b) {
  if (!a || !b) return a ? a : b;
  return *a < *b ? a : b;
}

// "QUOTA PERIOD", in microseconds; "max PERIOD" and "-1 PERIOD" are none.
Quota quota_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  double quota = 0;
  double period = 0;
  if (!(words >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

Quota quota_v2(const ReadFile& read_file, const std::string& folder) {
  return quota_of(read_file(folder + "/cpu.max"));
}

Quota quota_v1(const ReadFile& read_file, const std::string& folder) {
  const auto quota = read_file(folder + "/cpu.cfs_quota_us");
  const auto period = read_file(folder + "/cpu.cfs_period_us");
  if (!quota || !period) return std::nullopt;
  return quota_of(*quota + " " + *period);
}

// Of the group and all above it. In a container the path may be the host's, which is not to be seen there; the root of
// what is mounted is the container's own group then.
template <class QuotaOf>
Quota along_path(const std::string& mount, std::string path, QuotaOf quota) {
  Quota found;
  for (;;) {
    while (path.ends_with('/')) path.pop_back();
    found = least(found, quota(mount + path));
    if (path.empty()) return found;
    path.erase(path.rfind('/'));
  }
}

bool has_element(std::string_view list, std::string_view element) {
  for (std::size_t start = 0; start <= list.size();) {
    const auto end = std::min(list.find(',', start), list.size());
    if (list.substr(start, end - start) == element) return true;
    start = end + 1;
  }
  return false;
}

}  // namespace

std::optional<double> cgroup_cpus(const ReadFile& read_file) {
  const auto groups = read_file("/proc/self/cgroup");
  if (!groups) return std::nullopt;
  Quota found;
  std::istringstream lines(*groups);
  for (std::string line; std::getline(lines, line);) {  // NUMBER:CONTROLLERS:/PATH
    const auto first = line.find(':');
    const auto second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos || line.compare(second + 1, 1, "/") != 0) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    if (controllers.empty()) {
      const auto v2 = [&](const std::string& folder) { return quota_v2(read_file, folder); };
      found = least(found, along_path("/sys/fs/cgroup", path, v2));
    } else if (has_element(controllers, "cpu")) {
      const auto v1 = [&](const std::string& folder) { return quota_v1(read_file, folder); };
      // The usual places: one link of that name is there wherever the controllers are mounted together.
      found = least(found, along_path("/sys/fs/cgroup/cpu", path, v1));
    }
  }
  return found;
}

}  // namespace ssequel::net
