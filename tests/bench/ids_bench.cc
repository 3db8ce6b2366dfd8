// How many ids a second does each strategy give, in this process and from real servers?
//
//   ids_bench [REDIS_URL [POSTGRES_URL]]       for example redis://127.0.0.1:6379 postgresql://app@127.0.0.1/postgres
//
// Keys and a sequence named ssequel_bench are made there. One line a case; a channel's way to its ids is part of it
// (ask, wait, be told), an event's is not.
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "base/logger.h"
#include "bench.h"
#include "ids/allocators.h"
#include "ids/redis_ids.h"
#include "ids/snowflake_sequencer.h"
#include "ids/ulid_sequencer.h"

using namespace ssequel;

namespace {

constexpr double kSeconds = 1.0;

void print(const char* what, std::uint64_t count, std::int64_t took_ns) {
  std::printf("%-44s %10.0f ids/s\n", what, static_cast<double>(count) * 1e9 / static_cast<double>(took_ns));
  std::fflush(stdout);
}

// Those that answer at once.
template <class Sequencer>
void measure(const char* what, Sequencer& sequencer) {
  replay::Sequencer& asked = sequencer;
  replay::Number last = 0;
  std::uint64_t count = 0;
  const auto start = bench::now_ns();
  auto now = start;
  while (static_cast<double>(now - start) < kSeconds * 1e9) {
    for (int i = 0; i < 1000; ++i) {
      const auto id = asked.next(last);
      if (id && *id > last) {
        last = *id;
        ++count;
      }
    }
    now = bench::now_ns();
  }
  print(what, count, now - start);
}

// Snowflake's source as a channel that never stops asking sees it: what the layout has room for.
void measure_snowflake(const Clock& clock) {
  ids::SnowflakeSource source({});
  std::uint64_t count = 0;
  const auto start = bench::now_ns();
  auto now = start;
  while (static_cast<double>(now - start) < kSeconds * 1e9) {
    for (int i = 0; i < 1000; ++i) {
      if (source.next(1, 0, static_cast<std::uint64_t>(clock.unix_micros() / 1000))) ++count;
    }
    now = bench::now_ns();
  }
  print("snowflake (4,096,000 are all there are)", count, now - start);
}

// A channel that wants so many.
class Asker final : private replay::SequencerListener {
 public:
  Asker(std::unique_ptr<replay::Sequencer> sequencer, std::uint64_t wanted, std::function<void()> done)
      : sequencer_(std::move(sequencer)), left_(wanted), done_(std::move(done)) {
    sequencer_->set_listener(*this);
    on_ids_ready();
  }

 private:
  void on_ids_ready() override {
    while (left_ > 0) {
      const auto id = sequencer_->next(last_);
      if (!id) return;
      last_ = *id;
      --left_;
    }
    done_();
  }
  std::unique_ptr<replay::Sequencer> sequencer_;
  replay::Number last_ = 0;
  std::uint64_t left_;
  std::function<void()> done_;
};

struct Nobody final : redis::ClientListener {
  void on_up() override {}
  void on_down(const redis::Failure& why) override { std::fprintf(stderr, "%s\n", why.context.c_str()); }
};

void measure_incr(net::Loop& loop, net::DeadlineQueue& deadlines, Random& random, const redis::Url& url) {
  constexpr std::uint64_t kCount = 200'000, kInFlight = 256;
  Nobody nobody;
  auto client = redis::Client::create(deadlines, random, {.url = url}, nobody);
  std::uint64_t sent = 0, answered = 0;
  std::int64_t start = 0;
  const std::function<void()> send = [&] {
    ++sent;
    (*client)->send({"INCR", "ssequel_bench"}, "ssequel_bench", [&](const redis::Answer&) {
      if (++answered == kCount) return loop.stop();
      if (sent < kCount) send();
    });
  };
  (*client)->send({"PING"}, {}, [&](const redis::Answer& answer) {
    if (!answer) std::exit(1);
    start = bench::now_ns();
    for (std::uint64_t i = 0; i < kInFlight; ++i) send();
  });
  loop.run();
  print("redis, INCR one by one, 256 under way", kCount, bench::now_ns() - start);
}

void measure_door(net::Loop& loop, net::DeadlineQueue& deadlines, relay::Sequencers& door, const relay::Route& route,
                  const char* what, std::uint64_t count) {
  // What comes by message alone does not keep a loop going.
  struct Keeper final : net::Deadline::Listener {
    void on_deadline(net::Deadline&) override {}
  } keeper;
  net::Deadline forever(deadlines, keeper);
  forever.set(std::chrono::hours(1));
  const auto start = bench::now_ns();
  Asker asker(door.open(route, "bench", {}), count, [&] { loop.stop(); });
  loop.run();
  print(what, count, bench::now_ns() - start);
}

}  // namespace

int main(int argc, char** argv) {
  SystemRandom random;
  SystemClock clock;
  NullLogger logger;
  replay::CountingSequencer counting;
  measure("sequence", counting);
  ids::UlidSequencer ulid(random, clock);
  measure("ulid", ulid);
  measure_snowflake(clock);

  net::Loop loop;
  net::DeadlineQueue deadlines(loop);
  ids::AllocatorOptions options{.redis_url = argc > 1 ? argv[1] : "", .redis_prefix = "ssequel_bench"};
  if (argc > 2) options.postgres = {.url = argv[2], .sequence = "ssequel_bench"};
  relay::Route route = relay::shared_route("/bench");
  if (argc > 1) {
    const auto url = redis::parse_url(argv[1]);
    if (!url) return 1;
    measure_incr(loop, deadlines, random, *url);
    ids::Allocators allocators(options, logger, clock, random);
    const auto door = allocators.door(deadlines);
    route.ids.strategy = relay::Strategy::Redis;
    measure_door(loop, deadlines, *door, route, "redis, batches as the demand asks for them", 3'000'000);
  }
  for (const std::uint64_t block : {1, 1000}) {
    if (argc < 3) break;
    options.postgres_block = block;
    ids::Allocators allocators(options, logger, clock, random);
    {
      const auto door = allocators.door(deadlines);
      route.ids.strategy = relay::Strategy::Postgres;
      measure_door(loop, deadlines, *door, route, block == 1 ? "postgres, block 1" : "postgres, block 1000",
                   block == 1 ? 20'000 : 2'000'000);
    }
    allocators.stop();
  }
  return 0;
}
