// A client of a test's, and what it heard.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "redis/client.h"
#include "support/test_loop.h"

namespace ssequel::test {

using namespace std::chrono_literals;

struct RedisCaller final : redis::ClientListener {
  RedisCaller(TestLoop& loop, const std::string& url, Millis timeout = 5s) : test(loop) {
    auto parsed = redis::parse_url(url);
    REQUIRE(parsed.has_value());
    auto made = redis::Client::create(
        loop.deadlines(), random,
        {.url = *parsed, .connect_timeout = 5s, .command_timeout = timeout, .reconnect_max = 200ms}, *this);
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().context));
    client = std::move(*made);
  }
  void on_up() override { ++ups; }
  void on_down(const redis::Failure& why) override {
    ++downs;
    last_down = why;
  }
  // Waits for the answer.
  redis::Answer ask(std::initializer_list<std::string_view> arguments, std::string_view key = {}) {
    std::optional<redis::Answer> answer;
    client->send(arguments, key, [&](redis::Answer got) { answer = std::move(got); });
    REQUIRE(test.run_until([&] { return answer.has_value(); }, 30s));
    return *answer;
  }
  redis::Answer run(const redis::Script& script, std::initializer_list<std::string_view> keys,
                    std::initializer_list<std::string_view> arguments) {
    std::optional<redis::Answer> answer;
    client->run(script, redis::Client::Arguments(keys.begin(), keys.size()),
                redis::Client::Arguments(arguments.begin(), arguments.size()),
                [&](redis::Answer got) { answer = std::move(got); });
    REQUIRE(test.run_until([&] { return answer.has_value(); }, 30s));
    return *answer;
  }
  [[nodiscard]] bool comes_up() {
    return test.run_until([this] { return client->is_up(); }, 30s);
  }
  // True once a command works: what failed as Away is tried again and again.
  [[nodiscard]] bool works_again(std::string_view key) {
    bool is_done = false, is_asked = false;
    return test.run_until(
        [&] {
          if (!is_asked && !is_done) {
            is_asked = true;
            client->send({"SET", key, "again"}, key, [&](const redis::Answer& answer) {
              is_asked = false;
              is_done = answer.has_value();
            });
          }
          return is_done;
        },
        60s);
  }

  TestLoop& test;
  SystemRandom random;
  int ups = 0;
  int downs = 0;
  redis::Failure last_down;
  net::Owned<redis::Client> client;
};

}  // namespace ssequel::test
