// The load for one server under test: origin and clients in one process, so that one clock judges all. Prints one JSON
// object; compare.py calls it.
//
//   load fanout  --clients N --rate EVENTS_PER_S --seconds S     CPU and latency at a fixed rate
//   load peak    --clients N --p99-ms MS                         the highest rate that holds
//   load replay  --clients N --behind EVENTS                     all come back at once, that far behind
//   load idle    --clients N                                     memory while nothing happens
//   load through --events N --ahead A                            one client, as fast as it goes: a new event for each
//                                                                delivered one, A on their way
//   load origin                                                  only the origin, until killed
//   all: --port PORT --path PATH   the server; --origin PORT   ours; --pids P,P   whose CPU and memory is counted;
//        --publish PATH   events are POSTed to the server instead of fetched by it
#include <dirent.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "clients.h"
#include "origin.h"

namespace {

using namespace ssequel::bench;

using Options = std::map<std::string, std::string>;

double number(const Options& options, const char* name) { return std::atof(options.at(name).c_str()); }

struct Usage {
  double cpu_s = 0;
  double rss_bytes = 0;
};

// schedstat counts nanoseconds on the CPU a thread, where stat counts ticks.
Usage usage_of(const std::string& pids) {
  Usage usage;
  std::istringstream list(pids);
  for (std::string pid; std::getline(list, pid, ',');) {
    const std::string tasks = "/proc/" + pid + "/task";
    DIR* dir = opendir(tasks.c_str());
    if (dir == nullptr) continue;
    while (const dirent* task = readdir(dir)) {
      if (task->d_name[0] == '.') continue;
      double on_cpu_ns = 0;
      std::ifstream(tasks + "/" + task->d_name + "/schedstat") >> on_cpu_ns;
      usage.cpu_s += on_cpu_ns / 1e9;
    }
    closedir(dir);
    double size = 0, resident = 0;
    std::ifstream("/proc/" + pid + "/statm") >> size >> resident;
    usage.rss_bytes += resident * static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  return usage;
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        origin_(poller_, static_cast<int>(number(options, "--origin"))),
        clients_(poller_, static_cast<int>(number(options, "--port")), options.at("--path")) {
    if (!options.at("--publish").empty()) {
      origin_.publish_to(static_cast<int>(number(options, "--port")), options.at("--publish"));
    }
  }

  void serve() {
    for (;;) poller_.turn(now_ns() + 1'000'000'000);
  }
  void fanout() {
    connect(static_cast<int>(number(options_, "--clients")));
    const auto rate = number(options_, "--rate");
    run(rate, 1);
    print(measure(rate, number(options_, "--seconds")));
  }
  void peak() {
    connect(static_cast<int>(number(options_, "--clients")));
    const auto goes = [this](double rate) {
      run(rate, 0.5);
      const Result result = measure(rate, 1.5);
      run(0, 0.2);
      for (int i = 0; i < 100 && clients_.behind(origin_.emitted()) != 0; ++i) run(0, 0.2);  // Lets the backlog out.
      const auto due = rate * 1.5 * clients_.started();
      return static_cast<double>(result.tally.deliveries) >= 0.97 * due - clients_.started() &&
             result.tally.quantile_ms(0.99) <= number(options_, "--p99-ms") && result.tally.missing == 0 &&
             clients_.lost() == 0;
    };
    double holds = 0, fails = 0;
    for (double rate = 50; fails == 0 || fails > 1.1 * holds;) {
      (goes(rate) ? holds : fails) = rate;
      if (clients_.lost() != 0 || (fails != 0 && fails < 2)) break;
      rate = fails == 0 ? 2 * rate : (holds + fails) / 2;
    }
    std::printf("{\"deliveries_per_s\": %.0f, \"lost\": %d}\n", holds * clients_.started(), clients_.lost());
  }
  void replay() {
    const auto behind = static_cast<std::uint64_t>(number(options_, "--behind"));
    constexpr std::uint64_t kBefore = 100;
    connect(1);
    for (std::uint64_t i = 0; i < kBefore + behind; ++i) origin_.emit(now_ns());
    origin_.flush();
    wait_for([&] { return clients_.tally().deliveries == kBefore + behind; }, "the first client has every event");
    auto id = clients_.id_of(kBefore);
    if (id.empty()) id = std::to_string(kBefore);  // The bare loop gives no ids: it counts.
    const Usage before = usage_of(options_.at("--pids"));
    clients_.tally() = {};
    const auto begin = now_ns();
    const int count = static_cast<int>(number(options_, "--clients"));
    clients_.start(count, id, behind);
    wait_for([&] { return clients_.done() + clients_.lost() >= count; }, "every client has caught up");
    print({static_cast<double>(now_ns() - begin) / 1e9, cpu_since(before), 0, clients_.tally()});
  }
  void through() {
    const auto total = static_cast<std::uint64_t>(number(options_, "--events"));
    const auto ahead = static_cast<std::uint64_t>(number(options_, "--ahead"));
    connect(1);
    const Usage before = usage_of(options_.at("--pids"));
    const auto begin = now_ns();
    const auto& tally = clients_.tally();
    wait_for(
        [&] {
          while (origin_.emitted() < std::min(total, tally.deliveries + ahead)) origin_.emit(now_ns());
          origin_.flush();
          return tally.deliveries >= total || clients_.lost() != 0;
        },
        "every event has come");
    const auto seconds = static_cast<double>(now_ns() - begin) / 1e9;
    std::printf(
        "{\"events_per_s\": %.0f, \"cpu_us_per_event\": %.3f, \"missing\": %llu, \"repeated\": %llu, "
        "\"lost\": %d, \"id\": \"%s\"}\n",
        static_cast<double>(tally.deliveries) / seconds,
        cpu_since(before) * 1e6 / static_cast<double>(std::max<std::uint64_t>(tally.deliveries, 1)),
        static_cast<unsigned long long>(tally.missing), static_cast<unsigned long long>(tally.repeated),
        clients_.lost(), clients_.id_of(total).c_str());
  }
  void idle() {
    const Usage before = usage_of(options_.at("--pids"));
    connect(static_cast<int>(number(options_, "--clients")));
    run(0, 2);
    const Usage after = usage_of(options_.at("--pids"));
    print({0, 0, (after.rss_bytes - before.rss_bytes) / clients_.started(), {}});
  }

 private:
  struct Result {
    double seconds, cpu_s, bytes_each;
    Tally tally;
  };

  [[nodiscard]] double cpu_since(const Usage& before) const {
    return usage_of(options_.at("--pids")).cpu_s - before.cpu_s;
  }
  template <class Condition>
  void wait_for(Condition holds, const char* what) {
    for (const auto limit = now_ns() + 60'000'000'000; !holds(); poller_.turn(now_ns() + 10'000'000)) {
      if (now_ns() < limit) continue;
      std::fprintf(stderr, "load: waited in vain until %s\n", what);
      std::exit(1);
    }
  }
  void connect(int count) {
    constexpr int kAtOnce = 500;
    while (clients_.started() < count) {
      clients_.start(std::min(kAtOnce, count - clients_.started()), {}, 0);
      wait_for([this] { return clients_.streaming() + clients_.lost() >= clients_.started(); }, "all are connected");
    }
  }
  void run(double rate, double seconds) {
    const auto end = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    const auto period = rate > 0 ? static_cast<std::int64_t>(1e9 / rate) : 0;
    auto due = now_ns() + period;
    for (auto now = now_ns(); now < end; now = now_ns()) {
      for (; period != 0 && due <= now; due += period) origin_.emit(due);
      origin_.flush();
      poller_.turn(period == 0 ? end : std::min(due, end));
    }
  }
  Result measure(double rate, double seconds) {
    clients_.tally() = {};
    const Usage before = usage_of(options_.at("--pids"));
    const auto begin = now_ns();
    run(rate, seconds);
    return {static_cast<double>(now_ns() - begin) / 1e9, cpu_since(before), 0, clients_.tally()};
  }
  void print(const Result& result) {
    const auto& tally = result.tally;
    const auto deliveries = static_cast<double>(tally.deliveries);
    std::printf(
        "{\"seconds\": %.4f, \"cpu_s\": %.4f, \"deliveries\": %.0f, \"cpu_us_per_delivery\": %.3f, \"p50_ms\": %.2f, "
        "\"p99_ms\": %.2f, \"missing\": %llu, \"repeated\": %llu, \"lost\": %d, \"bytes_each\": %.0f}\n",
        result.seconds, result.cpu_s, deliveries, deliveries > 0 ? result.cpu_s * 1e6 / deliveries : 0,
        tally.quantile_ms(.5), tally.quantile_ms(.99), static_cast<unsigned long long>(tally.missing),
        static_cast<unsigned long long>(tally.repeated), clients_.lost(), result.bytes_each);
  }

  const Options& options_;
  Poller poller_;
  Origin origin_;
  Clients clients_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options = {{"--clients", "1000"}, {"--rate", "50"},       {"--seconds", "4"},  {"--p99-ms", "250"},
                     {"--behind", "500"},   {"--events", "200000"}, {"--ahead", "4000"}, {"--port", "0"},
                     {"--path", "/sse"},    {"--origin", "9100"},   {"--pids", ""},      {"--publish", ""}};
  const std::string what = argc > 1 ? argv[1] : "";
  for (int i = 2; i + 1 < argc; i += 2) {
    if (options.count(argv[i]) == 0) {
      std::fprintf(stderr, "load: unknown option %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  raise_fd_limit();
  const std::map<std::string, void (Load::*)()> scenarios = {{"fanout", &Load::fanout},   {"peak", &Load::peak},
                                                             {"replay", &Load::replay},   {"idle", &Load::idle},
                                                             {"through", &Load::through}, {"origin", &Load::serve}};
  const auto scenario = scenarios.find(what);
  if (scenario == scenarios.end()) {
    std::fprintf(stderr, "usage: load fanout|peak|replay|idle|through|origin [--clients N] ...\n");
    return 2;
  }
  Load load(options);
  (load.*scenario->second)();
}
