// A node's number by a lease in Redis: the first that is free, renewed three times a lease, given back at the end.
//
// One hash holds all: a field a node, "TOKEN EXPIRY BOUND". EXPIRY is by Redis's own clock. BOUND is the latest time,
// by the holder's clock, that its ids may bear; whoever takes the number next begins after it, so that two clocks that
// differ give no id twice. What is not renewed in time is not used any more: ids stop before anybody else can have the
// number. One loop's thread; the seat is everybody's.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "ids/ledger.h"
#include "ids/node_seat.h"
#include "net/deadline.h"
#include "redis/client.h"

namespace ssequel::ids {

struct NodeLeaseOptions {
  std::string key;
  unsigned node_bits = 10;
  Millis lease{3000};
};

class NodeLease final : private net::Deadline::Listener {
 public:
  // Begins to ask. All references must outlive it.
  NodeLease(net::DeadlineQueue& deadlines, Random& random, const Clock& clock, redis::Client& client, Ledger& ledger,
            NodeLeaseOptions options, std::shared_ptr<NodeSeat> seat);
  // Gives the number back, as far as the connection still takes it; Client::flush() sends it.
  ~NodeLease() override;
  // Redis is there again.
  void wake();

 private:
  void ask();
  void on_answer(const redis::Answer& answer, Millis asked_at, std::uint64_t bound_ms);
  void on_deadline(net::Deadline& deadline) override;
  [[nodiscard]] std::uint64_t now_ms() const { return static_cast<std::uint64_t>(clock_.unix_micros() / 1000); }

  const Clock& clock_;
  redis::Client& client_;
  Ledger& ledger_;
  const NodeLeaseOptions options_;
  const std::shared_ptr<NodeSeat> seat_;
  const std::string token_;
  const std::uint64_t hint_;  // Where to begin to look, so that not all look at the same.
  net::Deadline renewal_;
  std::optional<std::uint64_t> node_;
  std::uint64_t after_ms_ = 0;  // The bound of who had it before.
  bool is_asking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::ids
