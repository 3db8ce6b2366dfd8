#include <doctest/doctest.h>

#include "redis/caller.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using redis::Trouble;
using ssequel::test::free_port;
using ssequel::test::Process;
using ssequel::test::RedisCaller;
using ssequel::test::RedisServer;
using ssequel::test::shell;
using ssequel::test::TestLoop;
using ssequel::test::wait_until;

namespace {

struct Sentinel {
  explicit Sentinel(const RedisServer& master) {
    folder.write("sentinel.conf", "port " + std::to_string(port) + "\nbind 127.0.0.1\ndir " + folder.path() +
                                      "\nsentinel monitor feed 127.0.0.1 " + std::to_string(master.port()) +
                                      " 1\nsentinel down-after-milliseconds feed 1500\n"
                                      "sentinel failover-timeout feed 5000\n");
    process = Process({"redis-server", folder.path("sentinel.conf"), "--sentinel"}, folder.path("log"));
  }
  [[nodiscard]] std::string ask(const std::string& command) const {
    return shell("timeout 10 redis-cli -p " + std::to_string(port) + " SENTINEL " + command);
  }
  [[nodiscard]] std::string at() const { return "127.0.0.1:" + std::to_string(port); }
  test::TemporaryFolder folder;
  std::uint16_t port = free_port();
  Process process;
};

}  // namespace

TEST_CASE("sentinels name the master, and the one after it") {
  RedisServer first;
  const RedisServer second({"--replicaof", "127.0.0.1 " + std::to_string(first.port())});
  const Sentinel sentinel(first);
  REQUIRE(wait_until([&] {
    return sentinel.ask("REPLICAS feed").find(std::to_string(second.port())) != std::string::npos &&
           second.cli("INFO replication").find("master_link_status:up") != std::string::npos;
  }));
  TestLoop loop;
  // The first of the two sentinels is not there.
  RedisCaller caller(loop, "redis+sentinel://127.0.0.1:" + std::to_string(free_port()) + "," + sentinel.at() + "/feed");
  REQUIRE(caller.ask({"SET", "a", "1"}).has_value());
  CHECK(first.cli("GET a") == "1\n");
  REQUIRE(wait_until([&] { return second.cli("GET a") == "1\n"; }));

  first.stop();
  REQUIRE(caller.works_again("b"));
  CHECK(second.cli("GET b") == "again\n");
  CHECK(caller.downs >= 1);
  CHECK(caller.ups >= 2);
}

TEST_CASE("a name that no sentinel knows is nobody's master") {
  const RedisServer server;
  const Sentinel sentinel(server);
  REQUIRE(wait_until([&] { return sentinel.ask("MASTERS").find("feed") != std::string::npos; }));
  TestLoop loop;
  RedisCaller caller(loop, "redis+sentinel://" + sentinel.at() + "/other");
  const auto answer = caller.ask({"PING"});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Away);
  CHECK(answer.error().context.find("knows no master other") != std::string::npos);
}

TEST_CASE("whom sentinels name and who is no master is not written to") {
  const RedisServer other;
  const RedisServer server;
  const Sentinel sentinel(server);
  REQUIRE(wait_until([&] { return sentinel.ask("MASTERS").find("feed") != std::string::npos; }));
  // Demoted behind the sentinel's back.
  server.cli("REPLICAOF 127.0.0.1 " + std::to_string(other.port()));
  TestLoop loop;
  RedisCaller caller(loop, "redis+sentinel://" + sentinel.at() + "/feed");
  const auto answer = caller.ask({"GET", "a"});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::ReadOnly);
}
