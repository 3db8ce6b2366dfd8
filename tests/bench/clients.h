// Many event-stream clients in one thread. Each judges what it gets by the numbers in the events' data (see origin.h):
// how many came, whether one is missing or came twice, how late.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "origin.h"
#include "poller.h"

namespace ssequel::bench {

struct Tally {
  std::uint64_t deliveries = 0;
  std::uint64_t missing = 0;
  std::uint64_t repeated = 0;
  // Latency in microseconds, 8 steps to a doubling.
  std::array<std::uint64_t, 8 * 40> latency{};

  void add_latency(std::int64_t nanoseconds);
  [[nodiscard]] double quantile_ms(double q) const;
};

class Clients {
 public:
  Clients(Poller& poller, int port, std::string path);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  // Begins `count` connections; last_event_id empty: none. `goal`: after so many events a client counts as done.
  void start(int count, const std::string& last_event_id, std::uint64_t goal);
  [[nodiscard]] int started() const { return static_cast<int>(clients_.size()); }
  [[nodiscard]] int streaming() const { return streaming_; }  // Have their response head.
  [[nodiscard]] int done() const { return done_; }
  [[nodiscard]] int lost() const { return lost_; }
  [[nodiscard]] Tally& tally() { return tally_; }
  // The id that the event with this number came with; empty if none was seen.
  [[nodiscard]] std::string id_of(std::uint64_t number) const;
  // The clients that have not seen the newest event.
  [[nodiscard]] int behind(std::uint64_t newest) const;

 private:
  class Client;
  Poller& poller_;
  const int port_;
  const std::string path_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::string> ids_;  // By number, of the first client.
  Tally tally_;
  int streaming_ = 0;
  int done_ = 0;
  int lost_ = 0;
};

}  // namespace ssequel::bench
