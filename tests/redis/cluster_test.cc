#include <doctest/doctest.h>

#include <deque>

#include "redis/caller.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using redis::Trouble;
using ssequel::test::free_port;
using ssequel::test::RedisCaller;
using ssequel::test::RedisServer;
using ssequel::test::shell;
using ssequel::test::TestLoop;
using ssequel::test::wait_until;

namespace {

// Three masters. A port and 10000 more would be the bus's: not all ports have one.
struct Cluster {
  Cluster() {
    for (int i = 0; i < 3; ++i) {
      nodes.emplace_back(std::vector<std::string>{"--cluster-enabled", "yes", "--cluster-port",
                                                  std::to_string(free_port()), "--cluster-node-timeout", "5000"});
    }
    std::string command = "redis-cli --cluster-yes --cluster create";
    for (const auto& node : nodes) command += " " + node.at();
    said = shell(command);
    is_made = wait_until([&] {
      return std::all_of(nodes.begin(), nodes.end(), [](const RedisServer& node) {
        const auto info = node.cli("CLUSTER INFO");
        return info.find("cluster_state:ok") != std::string::npos &&
               info.find("cluster_slots_ok:16384") != std::string::npos;
      });
    });
  }
  [[nodiscard]] RedisServer& owner(const std::string& key) {
    for (auto& node : nodes) {
      if (node.cli("GET " + key).find("MOVED") == std::string::npos) return node;
    }
    return nodes.front();
  }
  [[nodiscard]] std::string id(const RedisServer& node) const {
    auto id = node.cli("CLUSTER MYID");
    id.pop_back();
    return id;
  }
  // One slot from one node to another, with what is in it, as redis-cli does it.
  void begin_to_move(unsigned slot, const RedisServer& from, const RedisServer& to) const {
    to.cli("CLUSTER SETSLOT " + std::to_string(slot) + " IMPORTING " + id(from));
    from.cli("CLUSTER SETSLOT " + std::to_string(slot) + " MIGRATING " + id(to));
  }
  void finish_moving(unsigned slot, const std::string& key, const RedisServer& from, const RedisServer& to) const {
    from.cli("MIGRATE 127.0.0.1 " + std::to_string(to.port()) + " " + key + " 0 5000");
    to.cli("CLUSTER SETSLOT " + std::to_string(slot) + " NODE " + id(to));
    from.cli("CLUSTER SETSLOT " + std::to_string(slot) + " NODE " + id(to));
  }
  std::deque<RedisServer> nodes;
  std::string said;
  bool is_made = false;
};

}  // namespace

TEST_CASE("a cluster of three: slots that move, a node that goes, and all of them") {
  Cluster cluster;
  REQUIRE_MESSAGE(cluster.is_made, cluster.said);
  TestLoop loop;
  RedisCaller caller(loop, "redis+cluster://127.0.0.1:" + std::to_string(free_port()) + "," + cluster.nodes[1].at(),
                     2s);
  for (const auto* key : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    CAPTURE(key);
    REQUIRE(caller.ask({"SET", key, "1"}, key).has_value());
    CHECK(cluster.owner(key).cli("GET " + std::string(key)) == "1\n");
  }
  CHECK(caller.ups == 1);

  // A slot that moves is followed, while it moves and afterwards.
  const auto slot = redis::hash_slot("a");
  const auto& from = cluster.owner("a");
  const auto& to = &from == &cluster.nodes[0] ? cluster.nodes[1] : cluster.nodes[0];
  cluster.begin_to_move(slot, from, to);
  CHECK(caller.ask({"GET", "a"}, "a")->text == "1");                  // Still there.
  CHECK(caller.ask({"SET", "{a}new", "2"}, "{a}new")->text == "OK");  // ASK.
  CHECK(from.cli("GET {a}new").find("ASK") != std::string::npos);
  cluster.finish_moving(slot, "a", from, to);
  // All of them are redirected, and stay in order.
  std::vector<std::int64_t> answers;
  for (int i = 0; i < 100; ++i) {
    caller.client->send({"INCR", "a"}, "a", [&](const redis::Answer& answer) {
      REQUIRE(answer.has_value());
      answers.push_back(answer->integer);
    });
  }
  REQUIRE(loop.run_until([&] { return answers.size() == 100; }, 30s));
  for (std::size_t i = 0; i < answers.size(); ++i) CHECK(answers[i] == static_cast<std::int64_t>(i) + 2);
  CHECK(to.cli("GET a") == "101\n");
  const redis::Script script("return redis.call('INCR', KEYS[1])");
  CHECK(caller.run(script, {"a"}, {})->integer == 102);

  // A node that goes takes its own keys along, and is found again.
  auto& lost = cluster.owner("a");
  std::string other = "b";
  for (const auto* key : {"b", "c", "d", "e", "f"}) {
    if (&cluster.owner(key) != &lost) other = key;
  }
  for (auto& node : cluster.nodes) node.cli("CONFIG SET cluster-require-full-coverage no");
  const auto ups = caller.ups;
  lost.stop();
  const auto answer = caller.ask({"GET", "a"}, "a");
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Away);
  CHECK(caller.ask({"GET", other}, other).has_value());
  lost.start();
  CHECK(caller.works_again("a"));
  CHECK(caller.ups > ups);  // Said when it was worth a try.

  // All nodes away are an outage.
  for (auto& node : cluster.nodes) node.stop();
  CHECK_FALSE(caller.ask({"GET", "a"}, "a").has_value());
  REQUIRE(loop.run_until([&] { return caller.downs == 1; }, 30s));
  CHECK_FALSE(caller.client->is_up());
  for (auto& node : cluster.nodes) node.start();
  CHECK(caller.works_again("a"));
  CHECK(caller.client->is_up());
}

TEST_CASE("a server that is no cluster is an outage with a reason") {
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis+cluster://" + server.at());
  const auto answer = caller.ask({"GET", "a"}, "a");
  REQUIRE_FALSE(answer.has_value());
  CHECK(caller.downs == 1);
  CHECK(caller.last_down.context.find("cluster support disabled") != std::string::npos);
}
