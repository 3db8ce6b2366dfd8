#include "ids/redis_ids.h"

#include <doctest/doctest.h>

#include <set>

#include "ids/asker.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using ssequel::test::Asker;
using ssequel::test::RedisServer;
using ssequel::test::TestLoop;

namespace {

// A loop's end, as in the program.
struct Ids {
  Ids(TestLoop& loop, const RedisServer& server) {
    redis::ClientOptions options{.url = *redis::parse_url("redis://" + server.at())};
    options.command_timeout = 5s;
    options.reconnect_max = 200ms;
    auto opened = ids::RedisIds::open(loop.deadlines(), random, clock, options, ledger);
    REQUIRE(opened.has_value());
    redis = std::move(*opened);
  }
  [[nodiscard]] Asker asker(const std::string& key) { return Asker(redis->sequencer(key, 0ms)); }
  SystemRandom random;
  SystemClock clock;
  NullLogger logger;
  ids::Ledger ledger{logger};
  std::unique_ptr<ids::RedisIds> redis;
};

std::int64_t calls(const RedisServer& server, const std::string& command) {
  const auto stats = server.cli("INFO commandstats");
  const auto at = stats.find("cmdstat_" + command + ":calls=");
  return at == stats.npos ? 0 : std::stoll(stats.substr(at + command.size() + 15));
}

}  // namespace

TEST_CASE("one event after the other: each number one more, nothing fetched in advance") {
  const RedisServer server;
  TestLoop loop;
  Ids ids(loop, server);
  auto asker = ids.asker("counter");
  for (std::uint64_t i = 1; i <= 5; ++i) {
    CHECK(asker.take(loop) == i);
    CHECK(loop.run_until(
        [pause = std::chrono::steady_clock::now() + 25ms] { return std::chrono::steady_clock::now() > pause; }));
  }
  CHECK(server.cli("GET counter") == "5\n");
}

TEST_CASE("many events: batches, in order, without a gap") {
  const RedisServer server;
  TestLoop loop;
  Ids ids(loop, server);
  auto asker = ids.asker("counter");
  asker.want(50'000);
  REQUIRE(loop.run_until([&] { return asker.got.size() == 50'000; }, 60s));
  for (std::size_t i = 0; i < asker.got.size(); ++i) REQUIRE((asker.got[i] == i + 1));
  CHECK(calls(server, "incrby") < 200);
}

TEST_CASE("one counter for several processes gives no number twice") {
  const RedisServer server;
  TestLoop loop;
  Ids first(loop, server), second(loop, server);
  auto a = first.asker("shared"), b = second.asker("shared"), c = second.asker("shared");
  for (auto* asker : {&a, &b, &c}) asker->want(5000);
  REQUIRE(loop.run_until([&] { return a.got.size() + b.got.size() + c.got.size() == 15'000; }, 60s));
  std::set<std::uint64_t> all;
  for (const auto* asker : {&a, &b, &c}) {
    for (const auto number : asker->got) all.insert(static_cast<std::uint64_t>(number));
  }
  CHECK(all.size() == 15'000);
}

TEST_CASE("a counter that fell back is set above what was given, however great that is") {
  const RedisServer server;
  TestLoop loop;
  for (const std::uint64_t floor :
       {std::uint64_t{1000}, std::uint64_t{9'007'199'254'740'993}, std::uint64_t{4'000'000'000'000'000'001}}) {
    for (const auto* left : {"SET counter 7", "FLUSHALL", "SET counter -5", "SET counter 999"}) {
      CAPTURE(left);
      Ids ids(loop, server);
      auto asker = ids.asker("counter");
      asker.floor = floor;
      server.cli(left);
      CHECK(asker.take(loop) == floor + 1);
      CHECK(server.cli("GET counter") == std::to_string(floor + 1) + "\n");
    }
  }
}

TEST_CASE("what a counter gave is remembered when nobody uses it any more") {
  const RedisServer server;
  TestLoop loop;
  Ids ids(loop, server);
  {
    auto asker = ids.asker("counter");
    for (int i = 0; i < 5; ++i) static_cast<void>(asker.take(loop));
  }
  server.cli("FLUSHALL");
  auto asker = ids.asker("counter");
  CHECK(asker.take(loop) > 5);
}

TEST_CASE("without Redis there are no numbers, and with it they go on") {
  RedisServer server({"--appendonly", "yes"});
  TestLoop loop;
  Ids ids(loop, server);
  auto asker = ids.asker("counter");
  const auto last = asker.take(loop);
  server.stop();
  asker.want(1);
  REQUIRE(loop.run_until([&] { return ids.ledger.entries()["redis"].errors != 0; }, 30s));
  CHECK_FALSE(ids.ledger.entries()["redis"].why.empty());
  CHECK(asker.got.size() == 1);
  server.start();
  REQUIRE(loop.run_until([&] { return asker.got.size() == 2; }, 60s));
  CHECK((asker.got.back() > last));
  CHECK(ids.ledger.entries()["redis"].why.empty());
}

TEST_CASE("a key that is no counter is told, and waited for") {
  const RedisServer server;
  server.cli("SET counter words");
  TestLoop loop;
  Ids ids(loop, server);
  auto asker = ids.asker("counter");
  asker.want(1);
  REQUIRE(loop.run_until([&] { return ids.ledger.entries()["redis"].errors != 0; }, 30s));
  CHECK(ids.ledger.entries()["redis"].why.find("not an integer") != std::string::npos);
  server.cli("SET counter 41");
  REQUIRE(loop.run_until([&] { return asker.got.size() == 1; }, 60s));
  CHECK((asker.got.back() == 42));
}

TEST_CASE("a counter of its own goes with its log, after a while") {
  const RedisServer server;
  TestLoop loop;
  Ids ids(loop, server);
  Asker asker(ids.redis->sequencer("mine", 24h));
  CHECK(asker.take(loop) == 1);
  CHECK(test::wait_until([&] { return std::stoi(server.cli("TTL mine")) > 3600; }));
}
