// A request on a session route that is told a gap with a snapshot (`on_gap.snapshot`): its place in the log is fixed,
// the snapshot is being fetched.
#pragma once

#include <string>

#include "gateway/session_pending.h"
#include "gateway/snapshot.h"
#include "gateway/stream_answer.h"

namespace ssequel::gateway {

class SessionSnapshot final : public PendingSession, private SnapshotWaiter {
 public:
  struct Luggage {
    std::string tag;
    Beginning beginning;
    // It opened the session: its content goes on to the upstream, and these are for it alone.
    bool is_opener = false;
    http::Fields set_cookies;
  };
  SessionSnapshot(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record, Luggage luggage);
  ~SessionSnapshot() override;
  void start(const relay::Channel& channel);

 private:
  void on_admitted() override {}
  void on_snapshot(const Snapshot& snapshot) override;
  void leave() override;
  void without_channel();

  Luggage luggage_;
  bool is_waiting_ = false;
};

}  // namespace ssequel::gateway
