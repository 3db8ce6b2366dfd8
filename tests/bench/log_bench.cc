// What do the log's own steps cost, without any socket? Nanoseconds each, and against copying the same bytes.
#include <functional>

#include "bench.h"
#include "replay/resume.h"

namespace {

using namespace ssequel;
using namespace ssequel::bench;
using replay::ReplayLog;

constexpr int kEvents = 200'000;
constexpr std::uint64_t kFirst = 1'753'000'000'000'000;

double best_of(int rounds, const std::function<double()>& measure) {
  double best = measure();
  for (int i = 1; i < rounds; ++i) best = std::min(best, measure());
  return best;
}

template <class Step>
double nanoseconds_each(int count, Step step) {
  const auto begin = now_ns();
  for (int i = 0; i < count; ++i) step(i);
  return static_cast<double>(now_ns() - begin) / count;
}

const std::string kFrame = "id: 1753000000000000\ndata: " + std::string(200, 'x') + "\n\n";

double copying() {
  std::vector<char> ring(16 << 20);
  std::size_t head = 0;
  return nanoseconds_each(kEvents, [&](int) {
    if (head + kFrame.size() > ring.size()) head = 0;
    std::memcpy(&ring[head], kFrame.data(), kFrame.size());
    head += kFrame.size();
    asm volatile("" : : "r"(ring.data()) : "memory");
  });
}

// The channel's whole step for `memory`: append, publish, evict.
double appending(bool with_origin, std::uint64_t stride) {
  ReplayLog log({}, kFirst, {.events = 1000});
  char origin[37] = "00000000-0000-4000-8000-000000000000";
  const auto step = [&](int i) {
    std::optional<std::string_view> id;
    if (with_origin) {
      std::memcpy(origin, &i, sizeof i);
      id = std::string_view(origin, 36);
    }
    log.append(kFrame, log.next_number() + stride - 1, id, Millis(i / 50));
    log.publish(log.appended());
    log.evict(Millis(i / 50), ReplayLog::kNoPlace);
  };
  for (int i = 0; i < 5000; ++i) step(i);
  return nanoseconds_each(kEvents, step);
}

// A subscriber that has everything reads the one new entry and moves on; 1,000 of them an event.
double reading() {
  ReplayLog log({}, kFirst, {.events = 1000});
  std::vector<replay::Run> runs;
  double sum = 0;
  constexpr int kRounds = 200;
  std::vector<replay::Place> cursors(1000, 0);
  for (int round = 0; round < kRounds; ++round) {
    log.append(kFrame, log.next_number(), {}, Millis(0));
    log.publish(log.appended());
    sum += nanoseconds_each(1000, [&](int i) {
      auto& cursor = cursors[static_cast<std::size_t>(i)];
      if (log.read(cursor, ReplayLog::kNoPlace, 16, 1 << 18, runs)) cursor = runs.back().end;
    });
  }
  return sum / kRounds;
}

double resuming() {
  ReplayLog log({}, kFirst, {.events = 1000});
  std::vector<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const auto id = std::to_string(static_cast<std::uint64_t>(log.next_number()));
    log.append("id: " + id + "\ndata: x\n\n", log.next_number(), {}, Millis(0));
    ids.push_back(id);
  }
  log.publish(log.appended());
  replay::Place sum = 0;
  return nanoseconds_each(kEvents, [&](int i) {
    sum += replay::resume(log, ids[static_cast<std::size_t>(i * 7) % ids.size()]).place;
    asm volatile("" : : "r"(sum));
  });
}

void print(const char* what, double cost, double copy) {
  std::printf("%-44s %6.1f ns, copying : it = 1 : %.1f\n", what, cost, cost / copy);
}

}  // namespace

int main() {
  pin_to_core(1);
  const double copy = best_of(5, copying);
  print("append + publish + evict, 200-byte event", best_of(5, [] { return appending(false, 1); }), copy);
  print("the same with an origin id", best_of(5, [] { return appending(true, 1); }), copy);
  print("the same with ids that jump", best_of(5, [] { return appending(false, 3); }), copy);
  print("read + advance, one new entry", best_of(5, reading), copy);
  print("resume from an id in the window", best_of(5, resuming), copy);
}
