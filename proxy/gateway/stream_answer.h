// The beginning of a stream's response, the same for every way to it: where the cursor starts, what the head says, and
// what comes before the first frame.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateway/subscription.h"
#include "gateway/worker.h"
#include "relay/last_event_id.h"
#include "replay/resume.h"

namespace ssequel::gateway {

// Where one request goes on.
struct Beginning {
  replay::Place place = 0;
  std::optional<sse::SyncReason> sync;  // Told before anything else.
  std::string snapshot;                 // Instead of the JSON object, if not empty.
  std::string snapshot_error;           // Why there is none.
  bool prime = false;                   // An id before the first event.
  bool is_replay = false;               // Entries are waiting at the place.
};

struct StreamAnswer {
  const http::RequestHead* head = nullptr;
  const relay::LastEventId* last_event_id = nullptr;
  const http::Fields* cors = nullptr;         // For this client's Origin.
  const http::Fields* set_cookies = nullptr;  // Session, opener: of its own response.
  std::shared_ptr<relay::Credential> credential;
  Worker* home = nullptr;  // The loop that accepted the client, if another: the subscription lives there.
  bool uploads = false;    // The opening request's content is still on its way.
  bool then_upstream_lost = false;
  bool then_final = false;
  bool ends_now = false;  // The end that the log has at this place is this response's end too.
};

// Where Last-Event-ID says, by the log (and `start_at` without one); counts it.
[[nodiscard]] Beginning begin_by_id(Worker& worker, ChannelHost& host, const relay::LastEventId& id,
                                    bool looks_like_event_source);
// What a gap is told with. If the place has left the window meanwhile, that is said instead, and it is another one.
void take_snapshot(Beginning& beginning, const Snapshot& snapshot, const relay::Route& route,
                   const replay::ReplayLog& log);
// True if this request is given an id before its first event.
[[nodiscard]] bool wants_priming(const relay::Route& route, const http::RequestHead& head);
// Replaces the session's exchange by a subscription and writes the beginning.
void begin_stream(Worker& worker, ClientSession& client, ChannelHost& host, AccessRecord record,
                  const Beginning& beginning, StreamAnswer answer);
// A sync-required frame for one subscriber at `place`.
[[nodiscard]] std::string sync_frame(const relay::Route& route, const replay::ReplayLog& log, replay::Place place,
                                     sse::SyncReason reason, const relay::LastEventId& id, const std::string& snapshot,
                                     const std::string& error);

}  // namespace ssequel::gateway
