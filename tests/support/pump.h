// Streams too large for a test to hold in its hands: written as the socket takes them, read without being parsed anew
// each time.
#pragma once

#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/shared_story.h"

namespace ssequel::test {

inline constexpr std::size_t kBulkBytes = 64 * 1024;

// Numbered events, each with `size` bytes of data behind its number.
class Pump {
 public:
  Pump(OriginConnection& upstream, int events, std::size_t size = kBulkBytes) : upstream_(upstream) {
    for (int i = 0; i < events; ++i) {
      const auto event = "data: " + std::to_string(i) + " " + std::string(size, 'x') + "\n\n";
      char length[32];
      std::snprintf(length, sizeof length, "%zx\r\n", event.size());
      bytes_.append(length).append(event).append("\r\n");
    }
  }
  // True if everything is with the kernel.
  bool step() {
    while (sent_ < bytes_.size()) {
      const auto count =
          ::send(upstream_.socket.descriptor(), bytes_.data() + sent_, bytes_.size() - sent_, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent_ += static_cast<std::size_t>(count);
    }
    return true;
  }
  // Turns until the socket has taken nothing for a while.
  void run_until_stuck(ProxyFixture& proxy) {
    for (;;) {
      const auto before = sent_;
      static_cast<void>(proxy.run_until([this] { return step(); }, Millis(100)));
      if (sent_ == before) return;
    }
  }

 private:
  OriginConnection& upstream_;
  std::string bytes_;
  std::size_t sent_ = 0;
};

// The event of this number has come, whole, and is the last one so far.
[[nodiscard]] inline bool has_received(TestClient& client, int event) {
  const auto& bytes = client.socket.receive();
  const auto tail = bytes.size() > 2 * kBulkBytes ? bytes.size() - 2 * kBulkBytes : 0;
  return bytes.find("data: " + std::to_string(event) + " ", tail) != std::string::npos && bytes.ends_with("\n\n\r\n");
}

// The numbers that events begin with; -1 for sync-required.
[[nodiscard]] inline std::vector<int> numbers(TestClient& client) {
  std::vector<int> all;
  for (const auto& event : client.events()) {
    if (event.event == "sync-required") {
      all.push_back(-1);
    } else if (!event.data.empty()) {
      all.push_back(std::atoi(event.data.c_str()));
    }
  }
  return all;
}

[[nodiscard]] inline std::vector<int> first_numbers(std::size_t count) {
  std::vector<int> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(static_cast<int>(i));
  return all;
}

[[nodiscard]] inline relay::Route bulk_route() {
  auto route = public_route();
  route.window.bytes = 1024 * 1024;
  route.event_bytes = 2 * kBulkBytes;
  route.heartbeat = Millis(0);
  return route;
}

}  // namespace ssequel::test
