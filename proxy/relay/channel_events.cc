// The channel as its parsers' listener: events become arrivals; comments and retry lines go past the log. No parser is
// fed, ended or destroyed from here (sse/parser.h): what readers do meanwhile is settled later.
#include "base/seeded_bug.h"
#include "relay/channel.h"

namespace ssequel::relay {

Channel::Flow Channel::on_event(const sse::Event& event) {
  backoff_.reset();
  if (is_known(event.id)) return Flow::Go;
  tell_gap();
  arrive({.kind = Arrival::Kind::Event, .lines = event.lines, .origin = event.id, .sticky = event.last_event_id});
  return flow();
}

Channel::Flow Channel::on_oversized(const sse::OversizedEvent& event) {
  backoff_.reset();
  if (is_known(event.id)) return Flow::Go;
  ++counters_.dropped_oversized;
  if (seeded_bug("dropped-untold")) return flow();
  tell_gap();
  arrive({.kind = Arrival::Kind::Dropped, .lines = {}, .origin = event.id, .sticky = event.last_event_id});
  return flow();
}

Channel::Flow Channel::flow() {
  has_paused_ = must_pause();
  return has_paused_ ? Flow::Pause : Flow::Go;
}

// Comments and retry lines are no entries: where events wait for their ids, they go ahead of them.
void Channel::on_comment(std::string_view text) {
  if (is_shared()) return;
  publish();
  port_.wake(*this);
  id_scratch_.assign(":").append(text).append("\n");
  port_.broadcast(*this, id_scratch_);
}

void Channel::on_retry(std::uint64_t reconnection_time_ms) {
  upstream_retry_ms_ = reconnection_time_ms;
  if (journal_) journal_->set_retry(reconnection_time_ms);
  if (is_shared() || route().retry == Millis(0)) return;
  publish();
  port_.wake(*this);
  port_.broadcast(*this, sse::retry_line(retry_ms()));
}

}  // namespace ssequel::relay
