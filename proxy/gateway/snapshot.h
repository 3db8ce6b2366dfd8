// The content of `on_gap.snapshot`: a GET of that path with the subscriber's own fields, and what of the answer counts.
// One at a time for each credential and log: those who come while one is fetched, which may be older than
// their place in the log, share the next one.
#pragma once

#include <string>
#include <string_view>

#include "gateway/side_rounds.h"
#include "relay/route.h"
#include "replay/replay_log.h"

namespace ssequel::gateway {

struct Snapshot {
  std::string content;  // Not empty: the data of the event.
  std::string error;    // Not empty: why there is none.
};

class SnapshotWaiter : public SideWaiter {
 public:
  virtual void on_snapshot(const Snapshot& snapshot) = 0;
};

// Who asks, and for what.
struct SnapshotRequest {
  const relay::Route& route;
  const replay::ReplayLog& log;  // Which its place is in.
  const http::Fields& fields;    // Of the subscriber's own request; host, peer_address: as it came.
  std::string_view host;
  std::string_view peer_address;
};

class Snapshots {
 public:
  explicit Snapshots(Worker& worker);
  // To be asked when the subscriber's place in the log is fixed: nothing between snapshot and stream is lost then. The
  // waiter is told once, in a later turn; forget() it before it dies.
  void ask(const SnapshotRequest& request, SnapshotWaiter& waiter);
  void forget(SnapshotWaiter& waiter) { rounds_.forget(waiter); }
  void clear() { rounds_.clear(); }

 private:
  Worker& worker_;
  SideRounds rounds_;
};

// The request head.
[[nodiscard]] std::string snapshot_request(const SnapshotRequest& request, bool via);
// Only a 200 with uncoded text counts. Size and time are the SideRequest's to bound.
[[nodiscard]] Snapshot read_snapshot(Result<SideAnswer> answer);

}  // namespace ssequel::gateway
