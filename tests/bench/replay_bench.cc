// What does a storm of reconnects cost: 2,000 subscribers come back 500 events behind? CPU from the id they hold to the
// last byte, against a bare loop that knows where each one stands. The sockets are connected already.
#include "deliver.h"
#include "subscribers.h"

namespace {

using namespace ssequel::bench;

constexpr int kSubscribers = 2000;
constexpr std::uint64_t kBehind = 500;
constexpr int kRounds = 7;

struct Cost {
  double cpu_ms, wall_ms;
};

template <class Way>
Cost storm(Way& way, const std::vector<int>& fds) {
  static std::vector<std::size_t> behind;
  const auto cpu = cpu_ns();
  const auto begin = now_ns();
  for (std::size_t i = 0; i < fds.size(); ++i) way.go_back(i, kBehind);
  deliver_all(way, fds, behind);
  return {static_cast<double>(cpu_ns() - cpu) / 1e6, static_cast<double>(now_ns() - begin) / 1e6};
}

}  // namespace

int main() {
  const Subscribers subscribers(kSubscribers);
  FromLog log(subscribers.fds(), 1000);
  FromRing ring(subscribers.fds(), 1000);
  log.arrive(1000);
  ring.arrive(1000);
  std::vector<double> cpu, wall, log_cpu, ring_cpu;
  for (int round = 0; round <= kRounds; ++round) {
    const auto a = storm(log, subscribers.fds());
    const auto b = storm(ring, subscribers.fds());
    if (round == 0) continue;  // Warms up.
    cpu.push_back(a.cpu_ms / b.cpu_ms);
    wall.push_back(a.wall_ms / b.wall_ms);
    log_cpu.push_back(a.cpu_ms);
    ring_cpu.push_back(b.cpu_ms);
  }
  std::printf("replay 2,000 x 500 events: log : bare loop = %.2f in CPU, %.2f in time   (%.0f ms, %.0f ms of CPU)\n",
              median(cpu), median(wall), median(log_cpu), median(ring_cpu));
}
