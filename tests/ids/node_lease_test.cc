#include "ids/node_lease.h"

#include <doctest/doctest.h>

#include <set>

#include "ids/asker.h"
#include "ids/redis_ids.h"
#include "ids/snowflake_sequencer.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using ssequel::test::Asker;
using ssequel::test::RedisServer;
using ssequel::test::TestLoop;

namespace {

constexpr auto kLease = 1000ms;

// A process: its client, its lease, its ids. node_bits: so many nodes there are, 0 for one.
struct Node {
  Node(TestLoop& loop, const RedisServer& server, unsigned node_bits = 10) {
    redis::ClientOptions options{.url = *redis::parse_url("redis://" + server.at())};
    options.command_timeout = 400ms;
    options.reconnect_max = 100ms;
    auto opened = ids::RedisIds::open(loop.deadlines(), random, clock, options, ledger);
    REQUIRE(opened.has_value());
    redis = std::move(*opened);
    lease = std::make_unique<ids::NodeLease>(
        loop.deadlines(), random, clock, redis->client(), ledger,
        ids::NodeLeaseOptions{.key = "nodes", .node_bits = node_bits, .lease = kLease}, seat);
  }
  ~Node() {
    lease.reset();
    if (redis) redis->client().flush();
  }
  [[nodiscard]] bool has_node() const { return seat->claim(clock.now()).has_value(); }
  [[nodiscard]] std::uint64_t node() const { return seat->claim(clock.now())->node; }
  SystemRandom random;
  SystemClock clock;
  NullLogger logger;
  ids::Ledger ledger{logger};
  std::unique_ptr<ids::RedisIds> redis;
  std::shared_ptr<ids::NodeSeat> seat = std::make_shared<ids::NodeSeat>();
  std::unique_ptr<ids::NodeLease> lease;
};

}  // namespace

TEST_CASE("each process has a node of its own, and keeps it") {
  const RedisServer server;
  TestLoop loop;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 8; ++i) nodes.push_back(std::make_unique<Node>(loop, server, 3));
  REQUIRE(loop.run_until(
      [&] { return std::all_of(nodes.begin(), nodes.end(), [](const auto& node) { return node->has_node(); }); }, 30s));
  std::set<std::uint64_t> numbers;
  for (const auto& node : nodes) numbers.insert(node->node());
  CHECK(numbers.size() == 8);
  // All are taken: the ninth has none until one of them goes, which gives it back at once.
  Node ninth(loop, server, 3);
  REQUIRE(loop.run_until([&] { return ninth.ledger.entries()["node"].errors != 0; }, 30s));
  CHECK_FALSE(ninth.has_node());
  CHECK(ninth.ledger.entries()["node"].why.starts_with("NONODE"));
  const auto freed = nodes.back()->node();
  nodes.pop_back();
  REQUIRE(loop.run_until([&] { return ninth.has_node(); }, 30s));
  CHECK(ninth.node() == freed);
}

TEST_CASE("what is not renewed is not used, and another may have it then") {
  RedisServer server;
  TestLoop loop;
  Node first(loop, server, 0);
  REQUIRE(loop.run_until([&] { return first.has_node(); }, 30s));
  ids::SnowflakeLayout layout;
  Asker asker(std::make_unique<ids::SnowflakeSequencer>(loop.deadlines(), first.clock, layout,
                                                        std::make_shared<ids::SnowflakeSource>(layout), first.seat));
  const auto last = asker.take(loop);

  server.process().signal(SIGSTOP);
  REQUIRE(loop.run_until([&] { return !first.has_node(); }, 30s));
  asker.want(1);
  CHECK(asker.is_waiting);
  server.process().signal(SIGCONT);
  // It comes back by itself, and ids with it.
  REQUIRE(loop.run_until([&] { return asker.got.size() == 2; }, 60s));
  CHECK((asker.got.back() > last));
}

TEST_CASE("who takes a node over begins after all that it may have given, whatever its own clock says") {
  const RedisServer server;
  TestLoop loop;
  const auto far = static_cast<std::uint64_t>(SystemClock().unix_micros() / 1000) + 60'000;
  ids::SnowflakeLayout layout;
  {
    Node first(loop, server, 0);
    REQUIRE(loop.run_until([&] { return first.has_node(); }, 30s));
    first.seat->used(far);  // Its clock is a minute ahead.
  }
  Node second(loop, server, 0);
  REQUIRE(loop.run_until([&] { return second.has_node(); }, 30s));
  Asker asker(std::make_unique<ids::SnowflakeSequencer>(loop.deadlines(), second.clock, layout,
                                                        std::make_shared<ids::SnowflakeSource>(layout), second.seat));
  CHECK((asker.take(loop) >> 22) + layout.epoch_ms > far);
}
