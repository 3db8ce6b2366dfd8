// The whole proxy on a test's own loop: a worker that listens on a port of 127.0.0.1, an origin behind it that the test
// scripts, and clients that speak bytes. Everything happens while one of the awaiting functions turns the loop.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "gateway/options.h"
#include "gateway/worker.h"
#include "store/disk_store.h"
#include "support/scripted_origin.h"
#include "support/test_client.h"
#include "support/test_loop.h"

namespace ssequel::test {

// Log lines as "level message key=value ...".
class TestLogger final : public Logger {
 public:
  [[nodiscard]] bool is_enabled(LogLevel) const override { return true; }
  void write(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) override;
  // How many lines hold this text.
  [[nodiscard]] std::size_t count(std::string_view text) const;
  std::vector<std::string> lines;
};

// A route with what tests want: short waits, no jitter of ours in the way.
[[nodiscard]] relay::Route session_route(std::string path = "/events/**");
[[nodiscard]] relay::Route shared_route(std::string path = "/events/**");

class ProxyFixture {
 public:
  // `options` with its listener and upstream replaced: port 0, the origin's port.
  explicit ProxyFixture(gateway::Options options = {});
  // With a journal on disk in this folder.
  ProxyFixture(gateway::Options options, std::string folder);
  // One route, everything else at its default.
  explicit ProxyFixture(relay::Route route);
  ~ProxyFixture();
  ProxyFixture(const ProxyFixture&) = delete;
  ProxyFixture& operator=(const ProxyFixture&) = delete;

  [[nodiscard]] TestClient connect();
  // A client that has sent this request.
  [[nodiscard]] TestClient request(std::string_view bytes);
  // GET with Accept: text/event-stream. fields: lines with CRLF.
  [[nodiscard]] TestClient get_stream(std::string_view target, std::string_view fields = {});
  // The same with a Last-Event-ID.
  [[nodiscard]] TestClient resume(std::string_view target, std::string_view id, std::string_view fields = {});
  [[nodiscard]] bool run_until(std::function<bool()> condition, Millis limit = std::chrono::seconds(10)) {
    return loop.run_until(std::move(condition), limit);
  }
  // Turns the loop for a moment: enough for what is under way on loopback, for asserting that nothing comes.
  void settle() {
    static_cast<void>(loop.run_until([] { return false; }, Millis(30)));
  }
  [[nodiscard]] relay::RouteCounters& counters(const std::string& route) { return worker().route_counters(route); }
  [[nodiscard]] gateway::Worker& worker() { return *worker_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  // With a journal: the process ends, and another one begins with the same options. Clients and the origin stay, their
  // connections break.
  void restart();
  // The same after a kill -9, which is: with a copy of the files as they are at this instant.
  void kill();
  [[nodiscard]] store::DiskStore& store() { return *store_; }
  // For the next process.
  [[nodiscard]] gateway::Options& options() { return options_; }
  std::string boot_id = "boot";

  TestLoop loop;
  TestLogger logger;
  ScriptedOrigin origin{loop};

 private:
  void open(gateway::Options options);
  std::string folder_;
  gateway::Options options_;
  std::unique_ptr<store::DiskStore> store_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<gateway::House> house_;
  std::unique_ptr<gateway::Worker> worker_;
  std::uint16_t port_ = 0;
};

}  // namespace ssequel::test
