#include "support/proxy_fixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "app/kept_channels.h"

namespace ssequel::test {

void TestLogger::write(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) {
  static constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  std::string line = kNames[static_cast<std::size_t>(level)];
  line.append(" ").append(message);
  for (const auto& pair : pairs) line.append(" ").append(pair.key()).append("=").append(pair.value());
  lines.push_back(std::move(line));
}

std::size_t TestLogger::count(std::string_view text) const {
  return static_cast<std::size_t>(std::count_if(
      lines.begin(), lines.end(), [&](const std::string& line) { return line.find(text) != std::string::npos; }));
}

relay::Route session_route(std::string path) {
  relay::Route route;
  route.name = "session";
  route.match.path = std::move(path);
  return route;
}

relay::Route shared_route(std::string path) {
  relay::Route route;
  route.name = "shared";
  route.mode = relay::Mode::Shared;
  route.match.path = std::move(path);
  route.reconnect_min = Millis(1);
  route.reconnect_max = Millis(20);
  return route;
}

ProxyFixture::ProxyFixture(gateway::Options options) { open(std::move(options)); }

ProxyFixture::ProxyFixture(gateway::Options options, std::string folder) : folder_(std::move(folder)) {
  open(std::move(options));
}

ProxyFixture::ProxyFixture(relay::Route route) {
  gateway::Options options;
  options.routes.push_back(std::move(route));
  open(std::move(options));
}

void ProxyFixture::open(gateway::Options options) {
  options_ = options;
  using Kind = net::Address::Kind;
  options.listen = {{Kind::Tcp, "127.0.0.1", 0, ""}};
  options.upstream = {.is_unix = false, .host = "127.0.0.1", .port = origin.port(), .path = ""};
  house_.reset(new gateway::House{.logger = logger, .clock = clock_, .random = random_});
  if (!folder_.empty()) {
    auto store = store::DiskStore::open({.directory = folder_, .boot_id = boot_id}, logger, clock_);
    REQUIRE_MESSAGE(store, store.error().context);
    store_ = std::move(*store);
    house_->open_store = app::doors_of(*store_);
  }
  worker_ = std::make_unique<gateway::Worker>(*house_, loop.loop(), gateway::make_settings(std::move(options)));
  REQUIRE(worker_->listen(false));
  port_ = worker_->ports().front();
  if (store_) REQUIRE(app::revive_channels(*store_, *house_, *worker_));
}

ProxyFixture::~ProxyFixture() { worker_.reset(); }

void ProxyFixture::restart() {
  worker_.reset();
  store_->close(Millis(5000));
  store_.reset();
  open(std::move(options_));
}

void ProxyFixture::kill() {
  const auto copy = folder_ + "-";
  std::filesystem::create_directory(copy);
  // A commit may fall between two copies: each fits what is copied after it.
  for (const auto* name : {"ssequel.tail", "ssequel.db", "ssequel.db-wal"}) {
    const auto from = folder_ + "/" + name;
    if (std::filesystem::exists(from)) std::filesystem::copy_file(from, copy + "/" + name);
  }
  worker_.reset();
  store_.reset();
  folder_ = copy;
  open(std::move(options_));
}

TestClient ProxyFixture::connect() {
  TestClient client(loop, RawSocket::connect_tcp(port_));
  REQUIRE(client.socket.is_valid());
  return client;
}

TestClient ProxyFixture::request(std::string_view bytes) {
  auto client = connect();
  client.send(bytes);
  return client;
}

TestClient ProxyFixture::get_stream(std::string_view target, std::string_view fields) {
  std::string bytes = "GET ";
  bytes.append(target).append(" HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\n");
  return request(bytes.append(fields).append("\r\n"));
}

TestClient ProxyFixture::resume(std::string_view target, std::string_view id, std::string_view fields) {
  return get_stream(target, std::string("Last-Event-ID: ").append(id).append("\r\n").append(fields));
}

}  // namespace ssequel::test
