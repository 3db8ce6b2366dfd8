// The whole program with several event loops, each on its thread: a channel is one log with one upstream wherever its
// subscribers were accepted, a session is found by its tag from any loop, and a drain ends them all.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>

#include "app/server.h"
#include "support/proxy_fixture.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

class ThreadedProxy {
 public:
  explicit ThreadedProxy(std::vector<relay::Route> routes) {
    app::Config config;
    auto& options = config.options;
    options.listen = {{net::Address::Kind::Tcp, "127.0.0.1", 0, ""}};
    options.admin = {net::Address::Kind::Tcp, "127.0.0.1", 0, ""};
    options.upstream.port = origin.port();
    options.threads = 3;
    options.drain = {.delay = Millis(1), .timeout = Millis(5000), .retry_spread = Millis(0)};
    options.routes = std::move(routes);
    logger_.set_level(LogLevel::Error);
    server_ = std::make_unique<app::Server>(logger_, clock_, random_, std::move(config), "",
                                            [](const std::string&) { return std::nullopt; });
    REQUIRE(server_->open());
    port = server_->ports().front();
    thread_ = std::thread([this] { exit_code_ = server_->run(); });
  }
  ~ThreadedProxy() {
    if (thread_.joinable()) CHECK(stop() == 0);
  }
  // SIGTERM; the exit code.
  int stop() {
    std::raise(SIGTERM);
    thread_.join();
    return exit_code_;
  }
  TestClient get(std::string_view target, std::string_view fields = {}) {
    TestClient client(loop, RawSocket::connect_tcp(port));
    client.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n" +
                std::string(fields) + "\r\n");
    return client;
  }

  TestLoop loop;
  ScriptedOrigin origin{loop};
  std::uint16_t port = 0;

 private:
  SystemClock clock_;
  SystemRandom random_;
  app::FdLogger logger_{2, clock_};
  std::unique_ptr<app::Server> server_;
  std::thread thread_;
  int exit_code_ = -1;
};

}  // namespace

TEST_CASE("subscribers accepted by different loops read one log of one upstream stream") {
  auto route = shared_route();
  route.ids.start = 1;
  ThreadedProxy proxy({route});
  std::vector<TestClient> clients;
  for (int i = 0; i < 24; ++i) clients.push_back(proxy.get("/events/a"));
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  for (auto& client : clients) REQUIRE(client.await_head());
  std::string content;
  for (int i = 0; i < 300; ++i) content += "data: " + std::to_string(i) + "\n\n";
  upstream->chunk(content);
  for (auto& client : clients) {
    REQUIRE(client.await_events(300));
    const auto events = client.events();
    for (std::size_t i = 0; i < 300; ++i) {
      CHECK(events[i].data == std::to_string(i));
      CHECK(events[i].id == std::to_string(i + 1));
    }
  }
  CHECK(proxy.origin.requests() == 1);

  // Some leave, others come with a resume point, on whichever loop.
  for (int i = 0; i < 12; ++i) clients.pop_back();
  for (int i = 0; i < 12; ++i) clients.push_back(proxy.get("/events/a", "Last-Event-ID: 290\r\n"));
  upstream->chunk("data: last\n\n");
  for (auto& client : clients) REQUIRE(client.await_content("data: last"));
  CHECK(clients.back().events().front().id == "291");
  CHECK(clients.back().data().size() == 11);
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a burst far larger than the window reaches every loop's readers that read") {
  auto route = shared_route();
  route.ids.start = 1;
  route.window.events = 50;
  ThreadedProxy proxy({route});
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(proxy.get("/events/a"));
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  for (auto& client : clients) REQUIRE(client.await_head());
  std::string content;
  for (int i = 0; i < 5000; ++i) content += "data: " + std::to_string(i) + "\n\n";
  upstream->chunk(content + "data: end\n\n");
  for (auto& client : clients) {
    REQUIRE(client.await_content("data: end"));
    const auto events = client.events();
    REQUIRE(events.size() == 5001);  // No gap, and so no sync-required.
    for (std::size_t i = 0; i < events.size(); ++i) REQUIRE(events[i].id == std::to_string(i + 1));
  }
}

TEST_CASE("a session is found by its tag from every loop, by GET and by its own method with content") {
  auto route = session_route();
  route.match.methods = {"GET", "POST"};
  ThreadedProxy proxy({route});
  TestClient opener(proxy.loop, RawSocket::connect_tcp(proxy.port));
  opener.send("POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\nhi");
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  upstream->chunk("data: one\n\ndata: two\n\n");
  REQUIRE(opener.await_events(2));
  const auto first = opener.events().front().id;
  opener.close();
  std::vector<TestClient> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(proxy.get("/events/a", "Last-Event-ID: " + first + "\r\n"));
  for (int i = 0; i < 9; ++i) {
    TestClient client(proxy.loop, RawSocket::connect_tcp(proxy.port));
    client.send("POST /events/a HTTP/1.1\r\nHost: a\r\nLast-Event-ID: " + first + "\r\nContent-Length: 2\r\n\r\nhi");
    clients.push_back(std::move(client));
  }
  for (auto& client : clients) REQUIRE(client.await_events(1));
  upstream->chunk("data: three\n\n");
  for (auto& client : clients) {
    REQUIRE(client.await_events(2));
    CHECK(client.data() == std::vector<std::string>{"two", "three"});
  }
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("a resumed request is answered while its content is still coming, on whatever loop it came in") {
  auto route = session_route();
  route.match.methods = {"GET", "POST"};
  ThreadedProxy proxy({route});
  TestClient opener(proxy.loop, RawSocket::connect_tcp(proxy.port));
  opener.send("POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\nhi");
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  upstream->chunk("data: one\n\ndata: two\n\n");
  REQUIRE(opener.await_events(2));
  const auto first = opener.events().front().id;
  std::vector<TestClient> clients;
  for (int i = 0; i < 9; ++i) {
    TestClient client(proxy.loop, RawSocket::connect_tcp(proxy.port));
    client.send("POST /events/a HTTP/1.1\r\nHost: a\r\nLast-Event-ID: " + first +
                "\r\nContent-Length: 1000\r\n\r\nhalf");
    clients.push_back(std::move(client));
  }
  for (auto& client : clients) REQUIRE(client.await_events(1));
  // The rest is read, and thrown away.
  for (auto& client : clients) client.send(std::string(996, 'x') + "GET /");
  upstream->chunk("data: three\n\n");
  for (auto& client : clients) REQUIRE(client.await_events(2));
  CHECK(proxy.origin.requests() == 1);
}

TEST_CASE("the content of a GET whose tag is gone goes upstream, on whatever loop it came in") {
  ThreadedProxy proxy({session_route()});
  std::vector<TestClient> clients;
  for (char c = 'A'; c < 'I'; ++c) {
    TestClient client(proxy.loop, RawSocket::connect_tcp(proxy.port));
    client.send(
        "GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 10\r\nLast-Event-ID: 1" +
        std::string(21, c) + "-5\r\n\r\nhello");
    clients.push_back(std::move(client));
  }
  for (auto& client : clients) client.send("world");
  for (std::size_t i = 0; i < clients.size(); ++i) {
    auto* upstream = proxy.origin.next();
    REQUIRE(upstream);
    CHECK(upstream->request.content == "helloworld");
    CHECK(upstream->request.count("Last-Event-ID") == 0);
    upstream->begin_stream();
    upstream->chunk("data: one\n\n");
  }
  for (auto& client : clients) {
    REQUIRE(client.await_content("data: one"));
    CHECK(client.field("Ssequel-Resume") == "sync-required; reason=unknown");
  }
}

TEST_CASE("a repeated request is asked once and joined from every loop, at the same moment and later") {
  auto route = session_route();
  route.match.methods = {"GET", "POST"};
  route.reattach = {"Idempotency-Key"};
  ThreadedProxy proxy({route});
  std::vector<TestClient> clients;
  const auto repeat = [&] {
    TestClient client(proxy.loop, RawSocket::connect_tcp(proxy.port));
    client.send(
        "POST /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nIdempotency-Key: k\r\n"
        "Content-Length: 2\r\n\r\nhi");
    clients.push_back(std::move(client));
  };
  for (int i = 0; i < 12; ++i) repeat();
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  CHECK(upstream->request.content == "hi");
  upstream->answer("{}", 200, "Content-Type: application/json\r\n");  // No stream: the next one asks.
  upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  const auto streams = [&clients] {
    return std::count_if(clients.begin(), clients.end(), [](auto& client) { return !client.events().empty(); });
  };
  REQUIRE(proxy.loop.run_until([&] { return streams() == 11; }, std::chrono::seconds(30)));
  for (int i = 0; i < 12; ++i) repeat();
  upstream->chunk("data: two\n\n");
  upstream->end_stream();
  REQUIRE(proxy.loop.run_until([&] { return streams() == 23; }, std::chrono::seconds(30)));
  for (auto& client : clients) {
    REQUIRE(client.await_complete());
    if (client.content() != "{}") CHECK(client.data() == std::vector<std::string>{"one", "two"});
  }
  CHECK(proxy.origin.requests() == 2);
}

TEST_CASE("orphans are bounded for the whole process, whichever loop they are on") {
  auto route = session_route();
  route.linger = relay::kForever;
  route.orphans_total = 3;
  ThreadedProxy proxy({route});
  std::vector<OriginConnection*> upstreams;
  for (int i = 0; i < 9; ++i) {
    auto client = proxy.get("/events/a");
    upstreams.push_back(proxy.origin.next());
    REQUIRE(upstreams.back());
    upstreams.back()->begin_stream();
    REQUIRE(client.await_head());
  }
  const auto gone = [&] {
    return std::count_if(upstreams.begin(), upstreams.end(), [](auto* upstream) { return upstream->is_gone(); });
  };
  REQUIRE(proxy.loop.run_until([&] { return gone() == 6; }, std::chrono::seconds(30)));
  static_cast<void>(proxy.loop.run_until([] { return false; }, Millis(50)));
  CHECK(gone() == 6);
}

TEST_CASE("a drain ends the streams of every loop, and the program with exit code 0") {
  ThreadedProxy proxy({shared_route()});
  std::vector<TestClient> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(proxy.get("/events/a"));
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  for (auto& client : clients) REQUIRE(client.await_head());
  upstream->chunk("data: one\n\n");
  for (auto& client : clients) REQUIRE(client.await_events(1));
  CHECK(proxy.stop() == 0);
  for (auto& client : clients) {
    REQUIRE(client.await_end());
    CHECK(client.content().find("retry: ") != std::string::npos);
    CHECK(client.is_complete());
  }
}

TEST_CASE("an authoriser hears one question at a time for a credential, and one verdict is every loop's") {
  auto route = shared_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  route.authorize_cache = std::chrono::seconds(60);
  ThreadedProxy proxy({route});
  std::vector<TestClient> clients;
  for (int i = 0; i < 24; ++i) clients.push_back(proxy.get("/events/a", "Cookie: login=1\r\n"));
  auto* question = proxy.origin.next();
  REQUIRE(question);
  CHECK(question->request.target() == "/auth");
  CHECK_FALSE(proxy.loop.run_until([&] { return proxy.origin.requests() > 1; }, Millis(300)));
  question->answer("");
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  CHECK(upstream->request.target() == "/events/a");
  upstream->begin_stream();
  for (auto& client : clients) REQUIRE(client.await_head());
  // Whoever comes later is admitted by what was said, on any loop; another login is asked for.
  for (int i = 0; i < 12; ++i) clients.push_back(proxy.get("/events/a", "Cookie: login=1\r\n"));
  for (auto& client : clients) REQUIRE(client.await_head());
  CHECK(proxy.origin.requests() == 2);
  std::vector<TestClient> refused;
  for (int i = 0; i < 12; ++i) refused.push_back(proxy.get("/events/a", "Cookie: login=2\r\n"));
  question = proxy.origin.next();
  REQUIRE(question);
  CHECK(question->request.field("Cookie") == "login=2");
  CHECK_FALSE(proxy.loop.run_until([&] { return proxy.origin.requests() > 3; }, Millis(300)));
  // They came before its answer was too old for them. What a refusal sets is for the one alone whose request asked.
  question->answer("", 403, "Set-Cookie: s=1\r\n");
  std::size_t cookies = 0;
  for (auto& client : refused) {
    REQUIRE(client.await_complete());
    CHECK(client.status() == 403);
    cookies += client.field("Set-Cookie") ? 1 : 0;
  }
  CHECK(cookies == 1);
  CHECK(proxy.origin.requests() == 3);
}

TEST_CASE("waiters for the authoriser that leave its loops, or are ended by a drain, are forgotten everywhere") {
  auto route = shared_route();
  route.authorize = {.kind = relay::Authorize::Kind::Path, .path = "/auth"};
  ThreadedProxy proxy({route});
  std::vector<TestClient> clients;
  for (int i = 0; i < 24; ++i) clients.push_back(proxy.get("/events/a"));
  auto* question = proxy.origin.next();
  REQUIRE(question);
  for (int i = 0; i < 18; ++i) clients.pop_back();
  proxy.loop.run_turns(20);
  clients.push_back(proxy.get("/events/a"));
  while (clients.size() > 1) clients.erase(clients.begin());
  question->answer("");
  auto* next = proxy.origin.next();
  REQUIRE(next);
  if (next->request.target() == "/auth") next->answer("");
  CHECK(proxy.stop() == 0);
}

TEST_CASE("one snapshot at a time is fetched for a credential, for the waiters of all loops") {
  auto route = shared_route();
  route.ids.start = 1;
  route.on_gap.snapshot = "/state";
  ThreadedProxy proxy({route});
  auto first = proxy.get("/events/a");
  auto* upstream = proxy.origin.next();
  REQUIRE(upstream);
  upstream->begin_stream();
  upstream->chunk("data: one\n\n");
  REQUIRE(first.await_events(1));
  std::vector<TestClient> clients;
  for (int i = 0; i < 24; ++i) clients.push_back(proxy.get("/events/a", "Last-Event-ID: 99\r\n"));
  auto* asked = proxy.origin.next();
  REQUIRE(asked);
  CHECK(asked->request.target() == "/state");
  CHECK_FALSE(proxy.loop.run_until([&] { return proxy.origin.requests() > 2; }, Millis(300)));
  asked->answer("old", 200, "Content-Type: text/plain\r\n");
  asked = proxy.origin.next();
  REQUIRE(asked);
  asked->answer("state", 200, "Content-Type: text/plain\r\n");
  std::size_t old = 0;
  for (auto& client : clients) {
    REQUIRE(client.await_events(1));
    const auto data = client.data().front();
    CHECK((data == "old" || data == "state"));
    old += data == "old" ? 1 : 0;
  }
  CHECK(old == 1);
  CHECK(proxy.origin.requests() == 3);
}
