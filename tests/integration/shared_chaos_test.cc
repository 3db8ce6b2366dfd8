// Shared channels under clients and an origin that do anything at any moment, chosen by a seed: nothing is touched
// after its end (the sanitizers see to that), nothing is left behind, and every reader reads a log contiguously or is
// told.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "support/shared_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

class SharedChaos {
 public:
  explicit SharedChaos(std::uint32_t seed) : random_(seed), proxy_(options(seed)) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      if (chance(3)) static_cast<void>(proxy_.run_until([&, turns = 0]() mutable { return ++turns > 1; }));
      look();
    }
  }
  // Half of the runs end in a drain; then everything is let go of, and nothing stays.
  void finish(bool drains) {
    if (drains) proxy_.worker().set_drain(gateway::DrainPhase::Ending);
    for (auto& client : clients_) {
      check(client);
      client.close();
    }
    clients_.clear();
    auto& worker = proxy_.worker();
    static_cast<void>(proxy_.run_until([&] {
      // What still connects is left without an answer.
      look();
      for (auto* origin : origins_) origin->close();
      return worker.sessions() == 0 && worker.channels().size() == 0 && worker.pool().connections() == 0;
    }));
    CHECK(worker.sessions() == 0);
    CHECK(worker.channels().size() == 0);
    CHECK(worker.pool().connections() == 0);
    worker.channels().for_each([](gateway::ChannelHost& host) {
      MESSAGE(static_cast<int>(host.channel().state()), " ", host.channel().readers(), " ", host.is_waited_for());
    });
    const auto& counters = proxy_.counters("shared");
    CHECK(counters.subscribers == 0);
    CHECK(counters.channels == 0);
    CHECK(counters.upstream_connected == 0);
    CHECK(counters.duplicates == 0);
    CHECK(proxy_.worker().channels().bytes() == 0);
  }

 private:
  static gateway::Options options(std::uint32_t seed) {
    using Kind = relay::Authorize::Kind;
    auto route = shared_route();
    if (seed % 2 == 0) route.key = {{relay::KeyPart::Kind::Path, ""}};
    route.authorize.kind = seed % 3 == 0 ? Kind::Probe : seed % 3 == 1 ? Kind::Auto : Kind::Path;
    if (route.authorize.kind == Kind::Path) route.authorize.path = "/auth";
    route.authorize_cache = 20ms;
    if (seed % 4 == 0) route.on_gap.snapshot = "/state";
    if (seed % 5 == 0) route.on_lag = relay::OnLag::Close;
    if (seed % 5 == 1) route.our_end = relay::OurEnd::Cut;
    if (seed % 7 == 0) route.on_gap.resume = relay::GapResume::Oldest;
    route.match.accept = relay::Accept::Any;
    route.retain = 30ms;
    route.linger = seed % 3 == 0 ? 0ms : 20ms;
    route.max_age = seed % 2 == 0 ? 0ms : 80ms;
    route.heartbeat = 10ms;
    route.upstream_idle = 60ms;
    route.window.bytes = 4096;
    route.window.events = 16;
    route.event_bytes = 1024;
    auto options = with_route(route);
    options.limits.channels = 4;
    options.limits.upstream_connections = 6;
    options.limits.store_bytes = 8192;
    options.limits.send_timeout = 100ms;
    options.limits.head_timeout = 150ms;
    options.limits.idle_timeout = 100ms;
    options.limits.header_timeout = 100ms;
    return options;
  }

  [[nodiscard]] std::size_t up_to(std::size_t bound) { return random_() % (bound + 1); }
  [[nodiscard]] bool chance(std::size_t one_in) { return up_to(one_in - 1) == 0; }
  template <class T>
  [[nodiscard]] T& any_of(std::vector<T>& all) {
    return all[up_to(all.size() - 1)];
  }

  [[nodiscard]] std::string request() {
    std::string text =
        "GET /events/" + std::string(chance(3) ? "b" : "a") + " HTTP/1." + (chance(6) ? "0" : "1") + "\r\nHost: a\r\n";
    if (!chance(5)) text += "Accept: text/event-stream\r\n";
    if (chance(3)) text += "Cache-Control: no-cache\r\n";
    if (chance(2)) text += "Authorization: " + std::string(chance(2) ? "alice" : "bob") + "\r\n";
    if (chance(3)) text += "Origin: http://" + std::string(chance(2) ? "x" : "y") + "\r\n";
    if (!ids_.empty() && chance(2)) text += "Last-Event-ID: " + any_of(ids_) + "\r\n";
    return text + "\r\n";
  }

  void step() {
    if (clients_.size() < 12 && chance(4)) {
      clients_.push_back(proxy_.connect());
      if (chance(4)) clients_.back().socket.set_buffers(4096);
      clients_.back().send(request());
      return;
    }
    if (!clients_.empty() && chance(6)) {
      auto& client = any_of(clients_);
      check(client);
      if (chance(4)) {
        client.socket.finish_sending();
        return;
      }
      if (chance(2)) {
        client.reset();
      } else {
        client.close();
      }
      std::swap(client, clients_.back());
      clients_.pop_back();
      return;
    }
    if (!origins_.empty()) act(*any_of(origins_));
  }

  void act(OriginConnection& origin) {
    if (!origin.socket.is_valid()) return;
    static constexpr int kStatuses[] = {200, 204, 302, 401, 403, 404, 410, 429, 500, 503};
    switch (up_to(14)) {
      case 0:
        return origin.close();
      case 1:
        return origin.reset();
      case 2:
      case 3: {
        const int status = kStatuses[up_to(9)];
        return origin.answer(status == 204 ? "" : "an answer", status, "Content-Type: text/plain\r\n");
      }
      case 4:
        return origin.end_stream();
      case 5:
        return origin.send("garbage\r\n\r\n");
      case 6:
      case 7:
      case 8:
        return origin.begin_stream(chance(2) ? "Access-Control-Allow-Origin: http://x\r\n" : "");
      case 9:
        return origin.chunk("id: o" + std::to_string(up_to(20)) + "\ndata: " + std::string(up_to(2000), 'x') + "\n\n");
      case 10:
        return origin.chunk(":comment\nretry: 20\nda");
      default:
        return origin.chunk("data: " + std::to_string(++event_) + "\n\n");
    }
  }

  // New connections and requests of the proxy's.
  void look() {
    while (auto* origin = proxy_.origin.try_next_head()) {
      if (std::find(origins_.begin(), origins_.end(), origin) == origins_.end()) origins_.push_back(origin);
    }
    if (!clients_.empty()) {
      const auto id = any_of(clients_).last_id();
      if (!id.empty() && id.size() < 128) ids_.push_back(id);
      if (ids_.size() > 30) ids_.erase(ids_.begin());
    }
  }

  // Ids rise by one from entry to entry. One reader's own sync-required borrows the id of the place before.
  static void check(TestClient& client) {
    std::optional<std::uint64_t> last;
    for (const auto& event : client.events()) {
      if (event.id.empty()) continue;
      const auto number = number_of(event.id);
      const bool is_entry = event.event.empty() || event.data.find("\"requested\":null") != std::string::npos;
      const bool is_own = event.event == "sync-required" && !says(event, "dropped") && !says(event, "upstream-gap");
      if (last && is_entry && !is_own && !event.data.empty()) CHECK(number == *last + 1);
      last = number;
    }
  }

  std::minstd_rand random_;
  ProxyFixture proxy_;
  std::vector<TestClient> clients_;
  std::vector<OriginConnection*> origins_;
  std::vector<std::string> ids_;
  std::uint64_t event_ = 0;
};

}  // namespace

TEST_CASE("whatever readers and upstreams of shared channels do, nothing is touched after its end or left behind") {
  // SSEQUEL_SEED=N begins elsewhere.
  const char* from = std::getenv("SSEQUEL_SEED");
  const auto first = from ? static_cast<std::uint32_t>(std::atoi(from)) : 1;
  for (std::uint32_t seed = first; seed < first + 24; ++seed) {
    INFO(seed);
    SharedChaos chaos(seed);
    chaos.run(500);
    chaos.finish(seed % 2 == 0);
  }
}
