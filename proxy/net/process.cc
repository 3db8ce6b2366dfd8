// What the whole process is given by the system: signals that would end it, descriptors, processors.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>

#include "net/cgroup.h"
#include "net/loop.h"

namespace ssequel::net {
namespace {

std::optional<std::string> read_whole(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

unsigned cpus_by_affinity() {
  // The kernel refuses a set that is smaller than its own, which may be larger than cpu_set_t.
  for (int most = 1024; most <= 1024 * 1024; most *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(most), [](cpu_set_t* s) { CPU_FREE(s); });
    const auto size = CPU_ALLOC_SIZE(most);
    if (sched_getaffinity(0, size, set.get()) == 0) return static_cast<unsigned>(CPU_COUNT_S(size, set.get()));
    if (errno != EINVAL) break;
  }
  return 1;
}

}  // namespace

void prepare_process() {
  // A write to a connection that the peer has reset is an error to us, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  // libuv does not close the descriptors 0 to 2: started with them closed, no connection may become one of them.
  int descriptor = 0;
  do {
    descriptor = ::open("/dev/null", O_RDWR);
  } while (descriptor >= 0 && descriptor <= 2);
  if (descriptor > 2) ::close(descriptor);

  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::uint64_t open_files_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

unsigned usable_cpus() {
  auto cpus = std::max(1U, cpus_by_affinity());
  if (const auto quota = cgroup_cpus(read_whole)) {
    cpus = std::min(cpus, static_cast<unsigned>(std::max(1.0, std::ceil(*quota))));
  }
  return cpus;
}

}  // namespace ssequel::net
