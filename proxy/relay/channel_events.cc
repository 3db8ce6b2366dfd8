// The channel as its parsers' listener: events become entries with ids of ours; comments and retry lines go past the
// log. No parser is fed, ended or destroyed from here (sse/parser.h): what readers do meanwhile is settled later.
#include "base/assert.h"
#include "relay/channel.h"
#include "sse/buffer.h"

namespace ssequel::relay {

Channel::Flow Channel::on_event(const sse::Event& event) {
  backoff_.reset();
  if (is_known(event.id)) return Flow::Go;
  return arrive(event.lines, event.id, event.last_event_id, false);
}

bool Channel::is_known(std::optional<std::string_view> origin) {
  if (route().dedupe != Dedupe::Id || !origin || origin->empty() || !log_->has_origin(*origin)) return false;
  ++counters_.deduplicated;
  return true;
}

Channel::Flow Channel::on_oversized(const sse::OversizedEvent& event) {
  backoff_.reset();
  if (is_known(event.id)) return Flow::Go;
  ++counters_.dropped_oversized;
  return arrive({}, event.id, event.last_event_id, true);
}

Channel::Flow Channel::arrive(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky,
                              bool oversized) {
  tell_gap();
  if (oversized) {
    append_sync(sse::SyncReason::Dropped, origin);
  } else {
    const auto number = sequencer_.next(log_->next_number() - 1);
    SSEQUEL_ASSERT(number, "a counting sequencer always has a next id");
    append(lines, origin, sticky, *number);
  }
  has_paused_ = must_pause();
  return has_paused_ ? Flow::Pause : Flow::Go;
}

void Channel::append(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky,
                     std::uint64_t number) {
  if (origin && origin->empty()) origin.reset();
  if (origin) ++counters_.ids_rewritten;
  id_scratch_.clear();
  replay::append_id(id_scratch_, log_->form(), number, sticky);
  scratch_.clear();
  sse::append_frame(scratch_, id_scratch_, lines, origin, route().ids.origin, route().ids.place);
  const Millis now = clock_.now();
  log_->append(scratch_, number, origin, now);
  ++counters_.events_emitted;
  publish();
  log_->evict(now, keep_from());
  sse::clear(scratch_);
}

void Channel::append_sync(sse::SyncReason reason, std::optional<std::string_view> origin) {
  const auto number = sequencer_.next(log_->next_number() - 1);
  const auto data = sse::sync_required_data(reason, std::nullopt, log_->oldest_id(), log_->newest_id());
  ++counters_.sync_required[static_cast<std::size_t>(reason)];
  append(sse::event_lines(route().on_gap.event, data), origin, parser_.last_event_id(), *number);
}

void Channel::tell_gap() {
  if (!std::exchange(gap_pending_, false)) return;
  ++counters_.gaps_sequence;
  append_sync(sse::SyncReason::UpstreamGap, std::nullopt);
}

void Channel::on_comment(std::string_view text) {
  if (is_shared()) return;
  publish();
  port_.wake(*this);
  id_scratch_.assign(":").append(text).append("\n");
  port_.broadcast(*this, id_scratch_);
}

void Channel::on_retry(std::uint64_t reconnection_time_ms) {
  upstream_retry_ms_ = reconnection_time_ms;
  if (is_shared() || route().retry == Millis(0)) return;
  publish();
  port_.wake(*this);
  port_.broadcast(*this, sse::retry_line(retry_ms()));
}

void Channel::publish() { log_->publish(log_->appended()); }

}  // namespace ssequel::relay
