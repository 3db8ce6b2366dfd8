// A redis-server of a test's own: on a port of the kernel's choice, in a folder that goes with it, with nothing of the
// system's configuration. The tests need the package redis-server; redis-cli comes with it.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/temporary_folder.h"

namespace ssequel::test {

// A port that was free just now.
[[nodiscard]] inline std::uint16_t free_port() { return RawSocket::listening().port(); }

// Asks now and then. For what other processes do; the machine may be slow.
[[nodiscard]] inline bool wait_until(const std::function<bool()>& condition,
                                     std::chrono::milliseconds limit = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// What a command line prints.
[[nodiscard]] inline std::string shell(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen(("(" + command + ") 2>&1").c_str(), "r");
  std::array<char, 4096> piece{};
  while (const auto size = std::fread(piece.data(), 1, piece.size(), pipe)) out.append(piece.data(), size);
  ::pclose(pipe);
  return out;
}

class RedisServer {
 public:
  // settings: as on redis-server's command line; "sentinel" as the first one makes it one.
  explicit RedisServer(std::vector<std::string> settings = {}, std::string cli_options = {})
      : port_(free_port()), settings_(std::move(settings)), cli_options_(std::move(cli_options)) {
    start();
  }

  void start() {
    std::vector<std::string> command{
        "redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1", "--dir", folder_.path(),
        "--save",       "",       "--daemonize",         "no"};
    command.insert(command.end(), settings_.begin(), settings_.end());
    process_ = Process(command, folder_.path("log"));
    REQUIRE_MESSAGE(wait_until([this] { return cli("PING").find("PONG") != std::string::npos; }),
                    shell("tail -n 5 " + folder_.path("log")));
  }
  void stop() { process_.end(); }
  [[nodiscard]] Process& process() { return process_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string at() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }
  // What redis-cli prints.
  std::string cli(const std::string& command) const {
    return shell("timeout 10 redis-cli -p " + std::to_string(port_) + " " + cli_options_ + " " + command);
  }

 private:
  TemporaryFolder folder_;
  std::uint16_t port_;
  std::vector<std::string> settings_;
  std::string cli_options_;
  Process process_;
};

}  // namespace ssequel::test
