// Where the load's events come from. An origin: each GET gets a chunked event stream of its own (`/json`: a short
// answer, for plain requests). Or a publisher: the same events pushed to a server by POSTs over one connection.
//
// An event's data is its number, the time it was due, and padding to 200 bytes. Due, not sent: an origin that is held
// up shows as latency.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "poller.h"

namespace ssequel::bench {

inline constexpr std::size_t kSequenceDigits = 12;
inline constexpr std::size_t kDueDigits = 19;
inline constexpr std::size_t kPayload = 200;

class Origin final : public Pollable {
 public:
  Origin(Poller& poller, int port);
  ~Origin() override;
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;
  // From now on events are published: `port` of 127.0.0.1, `path`.
  void publish_to(int port, const std::string& path);
  // One more event, for flush() to send.
  void emit(std::int64_t due);
  void flush();
  [[nodiscard]] std::uint64_t emitted() const { return emitted_; }
  [[nodiscard]] std::size_t streams() const { return streams_; }

 private:
  class Connection;
  void on_ready(std::uint32_t events) override;  // Somebody connects.

  Poller& poller_;
  const int listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Connection* publisher_ = nullptr;
  std::string publish_head_;
  std::string batch_;  // Emitted, not yet flushed.
  std::uint64_t emitted_ = 0;
  std::size_t streams_ = 0;
};

}  // namespace ssequel::bench
