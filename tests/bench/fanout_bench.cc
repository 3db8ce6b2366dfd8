// What does a delivery cost from the log, in CPU, against a bare loop over ready-made bytes? 1,000 subscribers, events
// of 200 bytes, at 50 a second (each event is a send to each subscriber) and flat out (64 KiB of events at a time, as
// an upstream read brings them).
#include "deliver.h"
#include "subscribers.h"

namespace {

using namespace ssequel::bench;

constexpr int kSubscribers = 1000;
constexpr int kRounds = 5;

// CPU nanoseconds a delivery.
template <class Way>
double run(Way& way, const std::vector<int>& fds, int turns, int events_a_turn, std::int64_t period_ns) {
  static std::vector<std::size_t> behind;
  way.go_to_end();
  const auto cpu = cpu_ns();
  auto due = now_ns();
  for (int turn = 0; turn < turns; ++turn) {
    if (period_ns != 0) sleep_until(due += period_ns);
    way.arrive(events_a_turn);
    deliver_all(way, fds, behind);
  }
  return static_cast<double>(cpu_ns() - cpu) / (static_cast<double>(turns) * events_a_turn * kSubscribers);
}

void compare(const char* name, const std::vector<int>& fds, int turns, int events_a_turn, std::int64_t period_ns) {
  FromLog log(fds, 5000);
  FromRing ring(fds, 5000);
  std::vector<double> by_log, by_ring, ratios;
  for (int round = 0; round <= kRounds; ++round) {
    const auto a = run(log, fds, turns, events_a_turn, period_ns);
    const auto b = run(ring, fds, turns, events_a_turn, period_ns);
    if (round == 0) continue;  // Warms up.
    by_log.push_back(a);
    by_ring.push_back(b);
    ratios.push_back(a / b);
  }
  std::printf("fan-out %-9s CPU per delivery, log : bare loop = %.2f   (%.0f ns, %.0f ns)\n", name, median(ratios),
              median(by_log), median(by_ring));
  std::fflush(stdout);
}

}  // namespace

int main() {
  const Subscribers subscribers(kSubscribers);
  compare("50/s", subscribers.fds(), 50, 1, 20'000'000);
  compare("flat out", subscribers.fds(), 10, 280, 0);
}
