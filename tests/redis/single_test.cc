#include <doctest/doctest.h>

#include "redis/caller.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using redis::Reply;
using redis::Trouble;
using ssequel::test::RedisCaller;
using ssequel::test::RedisServer;
using ssequel::test::TestLoop;

TEST_CASE("commands are answered by values of every kind") {
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at() + "/3");
  CHECK_FALSE(caller.client->is_up());
  // Sent before there is a connection: it waits for it.
  CHECK(caller.ask({"SET", "a", std::string_view("\0\r\n", 3)})->text == "OK");
  CHECK(caller.client->is_up());
  CHECK(caller.ups == 1);
  CHECK(caller.ask({"GET", "a"})->text == std::string("\0\r\n", 3));
  CHECK(caller.ask({"GET", "none"})->is_nil());
  CHECK(caller.ask({"INCRBY", "n", "9007199254740993"})->integer == 9007199254740993);
  const auto list = caller.ask({"MGET", "a", "none"});
  CHECK(list->elements.size() == 2);
  CHECK(list->elements[1].is_nil());
  CHECK(server.cli("-n 3 EXISTS a") == "1\n");
  const auto wrong = caller.ask({"INCR", "a"});
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().trouble == Trouble::Other);
  CHECK_FALSE(wrong.error().may_have_run);
}

TEST_CASE("thousands of commands are pipelined, and answered in order") {
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at(), 60s);
  std::vector<std::int64_t> answers;
  for (int i = 0; i < 20'000; ++i) {
    caller.client->send({"INCR", "n"}, "n",
                        [&](const redis::Answer& answer) { answers.push_back(answer ? answer->integer : -1); });
  }
  REQUIRE(loop.run_until([&] { return answers.size() == 20'000; }, 60s));
  for (std::size_t i = 0; i < answers.size(); ++i) REQUIRE(answers[i] == static_cast<std::int64_t>(i) + 1);
}

TEST_CASE("a large value arrives whole, whatever pieces it comes in") {
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at(), 30s);
  std::string value(8 * 1024 * 1024, 'x');
  value[12345] = '\r';
  REQUIRE(caller.ask({"SET", "big", value}).has_value());
  CHECK(caller.ask({"GET", "big"})->text == value);
}

TEST_CASE("a login with a user, and one that is refused") {
  const RedisServer server({"--requirepass", "root", "--user", "app", "on", ">p@ss", "~*", "+@all", "-flushall"},
                           "--no-auth-warning -a root");
  TestLoop loop;
  RedisCaller caller(loop, "redis://app:p%40ss@" + server.at());
  CHECK(caller.ask({"SET", "a", "1"}).has_value());
  const auto refused = caller.ask({"FLUSHALL"});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().trouble == Trouble::Denied);

  RedisCaller other(loop, "redis://:root@" + server.at());
  CHECK(other.ask({"GET", "a"})->text == "1");

  RedisCaller stranger(loop, "redis://app:wrong@" + server.at());
  const auto answer = stranger.ask({"GET", "a"});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Denied);
  CHECK(stranger.downs == 1);
  CHECK(stranger.last_down.context.find("wrong") == std::string::npos);

  RedisCaller nobody(loop, "redis://" + server.at());
  CHECK(nobody.ask({"GET", "a"}).error().trouble == Trouble::Denied);
}

TEST_CASE("a server that goes is told once, and found again when it is back") {
  RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at());
  REQUIRE(caller.comes_up());
  server.stop();
  REQUIRE(loop.run_until([&] { return caller.downs == 1; }));
  CHECK_FALSE(caller.client->is_up());
  CHECK(caller.ask({"GET", "a"}).error().trouble == Trouble::Away);
  loop.run_turns(50);
  CHECK(caller.downs == 1);
  server.start();
  REQUIRE(caller.comes_up());
  CHECK(caller.ups == 2);
  CHECK(caller.ask({"SET", "a", "1"}).has_value());
}

TEST_CASE("a partition is noticed by what is not answered in time") {
  RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at(), 300ms);
  REQUIRE(caller.comes_up());
  server.process().signal(SIGSTOP);
  const auto answer = caller.ask({"SET", "a", "1"});
  server.process().signal(SIGCONT);
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Away);
  CHECK(answer.error().may_have_run);
  CHECK(caller.downs == 1);
  CHECK(caller.works_again("a"));
}

TEST_CASE("a replica is left for whoever is master by then") {
  RedisServer server;
  const RedisServer other;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at());
  REQUIRE(caller.ask({"SET", "a", "1"}).has_value());
  server.cli("REPLICAOF 127.0.0.1 " + std::to_string(other.port()));
  const auto answer = caller.ask({"SET", "a", "2"});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::ReadOnly);
  CHECK_FALSE(answer.error().may_have_run);
  server.cli("REPLICAOF NO ONE");
  CHECK(caller.works_again("a"));
}

TEST_CASE("a full server says so") {
  const RedisServer server({"--maxmemory", "1mb", "--maxmemory-policy", "noeviction"});
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at());
  const std::string value(2 * 1024 * 1024, 'x');
  static_cast<void>(caller.ask({"SET", "a", value}));
  const auto answer = caller.ask({"SET", "b", value});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Full);
  CHECK(caller.client->is_up());
}

TEST_CASE("a script runs, known to the server or not") {
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at());
  const redis::Script script("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}");
  CHECK(caller.run(script, {"n"}, {"x"})->elements[2].integer == 1);
  CHECK(caller.run(script, {"n"}, {"x"})->elements[2].integer == 2);
  server.cli("SCRIPT FLUSH");
  const auto answer = caller.run(script, {"n"}, {"y"});
  CHECK(answer->elements[0].text == "n");
  CHECK(answer->elements[1].text == "y");
  CHECK(answer->elements[2].integer == 3);
  const redis::Script wrong("return redis.error_reply('STALE token')");
  const auto refused = caller.run(wrong, {"n"}, {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().context.starts_with("STALE"));
}

TEST_CASE("a client may be dropped at any moment, from its own calls too") {
  const RedisServer server;
  TestLoop loop;
  bool is_called = false;
  {
    RedisCaller caller(loop, "redis://" + server.at());  // While it connects.
    caller.client->send({"PING"}, {}, [&](const redis::Answer&) { is_called = true; });
  }
  {
    RedisCaller caller(loop, "redis://" + server.at());
    REQUIRE(caller.comes_up());
    caller.client->send({"PING"}, {}, [&](const redis::Answer&) { is_called = true; });
  }
  loop.run_turns(20);
  CHECK_FALSE(is_called);
  RedisCaller caller(loop, "redis://" + server.at());
  for (int i = 0; i < 3; ++i) {
    caller.client->send({"PING"}, {}, [&](const redis::Answer&) {
      CHECK_FALSE(is_called);
      is_called = true;
      caller.client.reset();
    });
  }
  REQUIRE(loop.run_until([&] { return is_called; }));
  loop.run_turns(20);
}

TEST_CASE("a server that is loading is waited for") {
  RedisServer server({"--appendonly", "no"});
  TestLoop loop;
  RedisCaller caller(loop, "redis://" + server.at());
  REQUIRE(caller.ask({"SET", "a", "1"}).has_value());
  // Answers LOADING while DEBUG loads what it just saved, key by key, slowly.
  server.cli("CONFIG SET key-load-delay 2000000");
  server.cli("CONFIG SET loading-process-events-interval-bytes 1024");
  auto reload = test::Process({"redis-cli", "-p", std::to_string(server.port()), "DEBUG", "RELOAD"}, "/dev/null");
  REQUIRE(loop.run_until([&] { return caller.downs > 0 || caller.ask({"GET", "a"}).has_value(); }));
  CHECK(caller.works_again("a"));
}
