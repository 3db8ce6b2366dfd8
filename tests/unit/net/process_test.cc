#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <map>
#include <string>

#include "net/cgroup.h"
#include "net/loop.h"

using namespace ssequel;

namespace {

net::ReadFile files(std::map<std::string, std::string> contents) {
  return [contents = std::move(contents)](const std::string& path) -> std::optional<std::string> {
    const auto found = contents.find(path);
    return found == contents.end() ? std::nullopt : std::optional(found->second);
  };
}

}  // namespace

TEST_CASE("preparing the process raises the limit of descriptors and ignores SIGPIPE") {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit lowered = before;
  lowered.rlim_cur = before.rlim_max / 2;
  setrlimit(RLIMIT_NOFILE, &lowered);
  std::signal(SIGPIPE, SIG_DFL);
  CHECK(net::open_files_limit() == before.rlim_max / 2);
  net::prepare_process();
  CHECK(net::open_files_limit() == before.rlim_max);
  const bool is_ignored = std::signal(SIGPIPE, SIG_IGN) == SIG_IGN;
  CHECK(is_ignored);
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("there is always a CPU to use") {
  CHECK(net::usable_cpus() >= 1);
  CHECK(net::usable_cpus() <= 4096);
}

TEST_CASE("a quota of cgroup version 2 counts, the least on the way to the root") {
  CHECK(net::cgroup_cpus(files({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}})) ==
        1.5);
  CHECK(net::cgroup_cpus(files({{"/proc/self/cgroup", "0::/kubepods/pod1/c\n"},
                                {"/sys/fs/cgroup/kubepods/pod1/c/cpu.max", "max 100000\n"},
                                {"/sys/fs/cgroup/kubepods/pod1/cpu.max", "200000 100000\n"},
                                {"/sys/fs/cgroup/kubepods/cpu.max", "400000 100000\n"}})) == 2.0);
  CHECK_FALSE(net::cgroup_cpus(files({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}})));
}

TEST_CASE("a quota of cgroup version 1 counts, also where the path is the host's") {
  CHECK(net::cgroup_cpus(files({{"/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/abc\n0::/\n"},
                                {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"},
                                {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}})) == 0.5);
  CHECK(net::cgroup_cpus(files({{"/proc/self/cgroup", "4:cpuacct,cpu:/a\n"},
                                {"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n"},
                                {"/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"}})) == 3.0);
  CHECK_FALSE(net::cgroup_cpus(files({{"/proc/self/cgroup", "4:cpu:/\n"},
                                      {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                                      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}})));
}

TEST_CASE("no or odd control groups are no quota") {
  CHECK_FALSE(net::cgroup_cpus(files({})));
  CHECK_FALSE(net::cgroup_cpus(files({{"/proc/self/cgroup", "nonsense\n\n:\n1:cpuset:/\n0::relative\n"},
                                      {"/sys/fs/cgroup/cpu.max", "100000 100000\n"}})));
  CHECK_FALSE(net::cgroup_cpus(files({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "1 0\n"}})));
}
