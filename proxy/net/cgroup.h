// How much processor time the control groups leave us, version 2 (cpu.max) and 1 (cpu.cfs_quota_us). Pure: files are
// read through a function. Private to net.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace ssequel::net {

// The content of a file, nothing if it cannot be read.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

// CPUs' worth of time (1.5 is one and a half), the least of the own group and all above it; nothing if there is no
// quota.
[[nodiscard]] std::optional<double> cgroup_cpus(const ReadFile& read_file);

}  // namespace ssequel::net
