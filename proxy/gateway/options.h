// Everything of the configuration that is no route. Plain values with their defaults; app/config.cc fills them in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/upstream_url.h"
#include "net/address.h"
#include "relay/route.h"

namespace ssequel::gateway {

using namespace std::chrono_literals;

struct Limits {
  std::uint64_t connections = 20000;
  std::uint64_t upstream_connections = 20000;
  std::uint64_t channels = 10000;
  std::uint64_t header_bytes = 32 * 1024;
  Millis header_timeout = 10s;
  Millis idle_timeout = 75s;
  Millis connect_timeout = 5s;
  Millis head_timeout = 0s;  // 0: as long as the client waits.
  Millis send_timeout = 30s;
  std::uint64_t event_bytes = 1024 * 1024;
  std::optional<std::uint64_t> store_bytes;  // nullopt: auto
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Drain {
  Millis delay = 2s;
  Millis timeout = 20s;
  Millis retry_spread = 5s;
  friend bool operator==(const Drain&, const Drain&) = default;
};

struct LogOptions {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Text;
  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

enum class StoreKind { Memory, Disk, Redis };
struct StoreOptions {
  StoreKind kind = StoreKind::Memory;
  std::string path = "/var/lib/ssequel";
  bool sync_always = false;
  friend bool operator==(const StoreOptions&, const StoreOptions&) = default;
};

struct RedisOptions {
  std::string url = "redis://127.0.0.1:6379/0";
  std::string prefix = "ssequel";
  Millis lease = 3s;
  friend bool operator==(const RedisOptions&, const RedisOptions&) = default;
};

struct PostgresOptions {
  std::string url = "postgresql://127.0.0.1/app";
  std::string sequence = "sse_event_seq";
  std::uint64_t block = 1000;
  friend bool operator==(const PostgresOptions&, const PostgresOptions&) = default;
};

struct Options {
  std::vector<net::Address> listen = {{net::Address::Kind::Tcp, "127.0.0.1", 8080, ""}};
  net::Address admin = {net::Address::Kind::Tcp, "127.0.0.1", 9464, ""};
  UpstreamUrl upstream = {.is_unix = false, .host = "127.0.0.1", .port = 3000, .path = ""};
  std::optional<unsigned> threads = 1;  // nullopt: auto
  LogOptions log;
  bool via = false;
  StoreOptions store;
  RedisOptions redis;
  PostgresOptions postgres;
  Limits limits;
  Drain drain;
  std::vector<relay::Route> routes;  // In order of matching; the built-in route is in it where it applies.
  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace ssequel::gateway
