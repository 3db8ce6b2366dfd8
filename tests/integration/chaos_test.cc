// Clients and an origin that do anything at any moment, chosen by a seed: nothing is touched after its end (the
// sanitizers see to that), nothing is left behind, and whoever read a session read it contiguously.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

class Chaos {
 public:
  explicit Chaos(std::uint32_t seed) : random_(seed), proxy_(options()) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      if (chance(3)) static_cast<void>(proxy_.run_until([&, turns = 0]() mutable { return ++turns > 1; }));
      look();
    }
  }
  void drain() {
    proxy_.worker().set_drain(gateway::DrainPhase::Ending);
    run(100);
  }
  // Everything is let go of: nothing stays.
  void finish() {
    for (auto& client : clients_) {
      check(client);
      client.close();
    }
    clients_.clear();
    auto& worker = proxy_.worker();
    static_cast<void>(proxy_.run_until([&] {
      proxy_.origin.close_all();
      return worker.sessions() == 0 && worker.busy_sessions() == 0 && worker.channels().size() == 0 &&
             worker.pool().connections() == 0;
    }));
    CHECK(worker.sessions() == 0);
    CHECK(worker.busy_sessions() == 0);
    CHECK(worker.channels().size() == 0);
    CHECK(worker.pool().connections() == 0);
    CHECK(worker.house().held_content == 0);
    for (const auto* route : {"session", "named", "shared"}) {
      CHECK(worker.house().orphans.count(route) == 0);
      const auto& counters = proxy_.counters(route);
      CHECK(counters.duplicates == 0);
      CHECK(counters.subscribers == 0);
      CHECK(counters.channels == 0);
      CHECK(counters.upstream_connected == 0);
    }
  }

 private:
  static gateway::Options options() {
    gateway::Options options;
    auto session = post_route();
    session.retain = 30ms;
    session.linger = 20ms;
    session.window.bytes = 4096;
    session.event_bytes = 1024;
    session.heartbeat = 15ms;
    session.reattach = {"Idempotency-Key"};
    session.orphans_per_identity = 2;
    session.on_gap.snapshot = "/state";
    // Whose it is says an authoriser that is as moody as everybody else.
    auto named = session;
    named.name = "named";
    named.match.path = "/named/**";
    named.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
    named.authorize_cache = 5ms;
    named.identity.authorize = "X-User-Id";
    auto shared = shared_route("/shared/**");
    shared.retain = 30ms;
    shared.linger = 20ms;
    shared.max_age = 60ms;
    shared.window.bytes = 4096;
    shared.event_bytes = 1024;
    options.routes = {session, named, shared};
    options.limits.channels = 8;
    options.limits.connections = 40;
    options.limits.upstream_connections = 16;
    options.limits.header_timeout = 100ms;
    options.limits.idle_timeout = 100ms;
    options.limits.send_timeout = 150ms;
    return options;
  }

  [[nodiscard]] std::size_t up_to(std::size_t bound) { return random_() % (bound + 1); }
  [[nodiscard]] bool chance(std::size_t one_in) { return up_to(one_in - 1) == 0; }
  template <class T>
  [[nodiscard]] T& any_of(std::vector<T>& all) {
    return all[up_to(all.size() - 1)];
  }

  [[nodiscard]] std::string request() {
    std::string id;
    if (!ids_.empty() && chance(2)) id = last_event_id(any_of(ids_));
    const std::string_view target = chance(3) ? "/named/a" : "/events/a";
    switch (up_to(11)) {
      case 0:
        return "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";
      case 1:
        return "POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome text";
      case 2:
        return "GET /plain HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nmore";
      case 3:
        return post(target, "prompt", id);
      case 8:
      case 9:
        return post(target, chance(3) ? "prompt" : "question", "Idempotency-Key: k\r\n");
      case 10:
        return std::string("POST ").append(target) +
               " HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nIdempotency-Key: k\r\nAuthorization: b\r\n"
               "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nques\r\n4\r\ntion\r\n0\r\n\r\n";
      case 4:
        return "GET /events/a HTTP/1.0\r\nAccept: text/event-stream\r\n" + id + "\r\n";
      case 5:
        return "GET /shared/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";
      case 6:
        return "GET /shared/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: b\r\nOrigin: "
               "http://o\r\n\r\n";
      case 7:
        return "OPTIONS /events/a HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: GET\r\n"
               "Access-Control-Request-Headers: last-event-id\r\nOrigin: http://o\r\n\r\n";
      default:
        return std::string("GET ").append(target) + " HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n" + id +
               "\r\n";
    }
  }

  void step() {
    if (clients_.size() < 16 && chance(6)) {
      clients_.push_back(proxy_.connect());
      if (chance(4)) clients_.back().socket.set_buffers(4096);
      const auto bytes = request();
      // Whole, cut, or with another behind it.
      clients_.back().send(chance(6) ? bytes.substr(0, up_to(bytes.size())) : chance(6) ? bytes + request() : bytes);
      return;
    }
    if (!clients_.empty() && chance(10)) {
      auto& client = any_of(clients_);
      if (chance(4)) {
        client.send(request());
        return;
      }
      check(client);
      if (chance(3)) {
        client.reset();
      } else if (chance(4)) {
        client.socket.finish_sending();
        return;
      } else {
        client.close();
      }
      std::swap(client, clients_.back());
      clients_.pop_back();
      return;
    }
    if (!origins_.empty()) act(*any_of(origins_));
  }

  // An origin that mostly behaves: else no stream would live long enough for anything to happen to it.
  void act(OriginConnection& origin) {
    if (!origin.socket.is_valid()) return;
    auto& is_streaming = streaming_[&origin];
    if (chance(60)) return origin.close();
    if (chance(80)) return origin.reset();
    if (chance(60)) return origin.send("garbage\r\n\r\n");
    if (!is_streaming) {
      if (origin.request.field("Upgrade")) {
        origin.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes");
      } else if (chance(6)) {
        origin.answer("an answer", chance(3) ? 503 : 200);
      } else {
        origin.begin_stream();
        is_streaming = true;
      }
      return;
    }
    if (chance(40)) {
      origin.end_stream();
      is_streaming = false;
    } else if (chance(12)) {
      origin.chunk("id: o\ndata: " + std::string(up_to(2000), 'x') + "\n\n");
    } else if (chance(12)) {
      origin.chunk(":comment\nretry: 20\n");
    } else if (chance(12)) {
      for (int i = 0; i < 40; ++i) origin.chunk("data: " + std::to_string(++event_) + std::string(800, '.') + "\n\n");
    } else {
      origin.chunk("data: " + std::to_string(++event_) + "\n\n");
    }
  }

  // New connections and requests of the proxy's.
  void look() {
    while (auto* origin = proxy_.origin.try_next_head()) {
      streaming_[origin] = false;
      if (std::find(origins_.begin(), origins_.end(), origin) == origins_.end()) origins_.push_back(origin);
    }
    if (origins_.size() > 16) origins_.erase(origins_.begin());
    if (!clients_.empty()) {
      if (const auto id = any_of(clients_).last_id(); !id.empty() && id.size() < 128) ids_.push_back(id);
      if (ids_.size() > 50) ids_.erase(ids_.begin());
    }
  }

  // Numbers within one log rise by one, but for announced gaps.
  static void check(TestClient& client) {
    std::map<std::string, std::uint64_t> last;
    for (const auto& event : client.events()) {
      if (event.id.size() < 24 || event.id[22] != '-' || event.event == "sync-required") {
        last.clear();
        continue;
      }
      const auto number = std::stoull(event.id.substr(23));
      auto& before = last[tag_of(event.id)];
      if (before != 0) CHECK(number == before + 1);
      before = number;
    }
  }

  std::minstd_rand random_;
  ProxyFixture proxy_;
  std::vector<TestClient> clients_;
  std::vector<OriginConnection*> origins_;
  std::map<OriginConnection*, bool> streaming_;
  Strings ids_;
  std::uint64_t event_ = 0;
};

}  // namespace

// SSEQUEL_SEEDS=FIRST-LAST runs others: a failure names the one to give back.
TEST_CASE("whatever clients and origin do, nothing is touched after its end and nothing is left behind") {
  std::uint32_t first = 1;
  std::uint32_t last = 6;
  if (const char* seeds = std::getenv("SSEQUEL_SEEDS")) REQUIRE(std::sscanf(seeds, "%u-%u", &first, &last) == 2);
  for (auto seed = first; seed <= last; ++seed) {
    INFO(seed);
    Chaos chaos(seed);
    chaos.run(600);
    // Some go with everything still running, some drain first.
    if (seed % 4 == 0) continue;
    if (seed % 4 == 1) chaos.drain();
    chaos.finish();
  }
}
