// From arrival to the log: ids (some allocators answer later), entries, the journal behind the log. Where the allocator
// answers at once and there is no journal, an arrival is an entry and readable before the parser goes on: no copy, no
// allocation.
#include "base/assert.h"
#include "base/seeded_bug.h"
#include "relay/channel.h"
#include "sse/buffer.h"

namespace ssequel::relay {

bool Channel::is_known(std::optional<std::string_view> origin) {
  if (route().dedupe != Dedupe::Id || !origin || origin->empty() || !log_->has_origin(*origin)) return false;
  ++counters_.deduplicated;
  return true;
}

void Channel::tell_store_gap() {
  if (!std::exchange(store_gap_pending_, false)) return;
  arrive({.kind = Arrival::Kind::StoreGap, .lines = {}, .origin = std::nullopt, .sticky = parser_.last_event_id()});
}

void Channel::tell_gap() {
  tell_store_gap();
  if (!std::exchange(gap_pending_, false)) return;
  if (seeded_bug("upstream-gap-untold")) return;
  // One that still waits for its id, nothing behind it, tells this one too.
  if (queue_.ends_with(Arrival::Kind::UpstreamGap)) return;
  arrive({.kind = Arrival::Kind::UpstreamGap, .lines = {}, .origin = std::nullopt, .sticky = parser_.last_event_id()});
}

void Channel::arrive(const Arrival& arrival) {
  // Behind what waits, and where the journal takes nothing, no id is asked for.
  if (queue_.empty() && !is_held()) {
    if (gives_places_away()) return submit(arrival);
    if (const auto number = next_number()) {
      append(arrival, *number);
      return;
    }
  }
  queue_.push(arrival);
}

std::optional<replay::Number> Channel::next_number() {
  if (is_awaiting_ids_) return std::nullopt;
  const auto number = sequencer_->next(log_->next_number() - 1);
  is_awaiting_ids_ = !number;
  return number;
}

// The base is an id like the others, and given to no event: that of a log which is lost is never taken for it.
bool Channel::begin_log() {
  if (log_->has_begun() || gives_places_away()) return true;
  const auto base = next_number();
  if (!base) return false;
  log_->begin(*base);
  if (journal_) journal_->begin(*base + 1);
  return true;
}

bool Channel::move_queue() {
  const auto before = log_->appended();
  while (!queue_.empty() && !must_hold()) {
    const auto head = queue_.front();
    if (is_known(head.origin)) {  // One with this origin id stood before it in the queue.
      if (begins_at_ > log_->appended()) --begins_at_;
      queue_.pop();
      continue;
    }
    if (gives_places_away()) {
      submit(head);
      queue_.pop();
      continue;
    }
    const auto number = next_number();
    if (!number) break;
    append(head, *number);
    queue_.pop();
  }
  return log_->appended() != before;
}

void Channel::on_ids_ready() {
  SSEQUEL_ASSERT(!is_taking_in_, "ids come in a turn of their own");
  is_awaiting_ids_ = false;
  if (is_connect_due_ && begin_log()) {
    is_connect_due_ = false;
    port_.cancel_timer(*this, ChannelTimer::Upstream);
    port_.connect(*this);
  }
  // Readers are woken by take_in(), for all of them at once.
  if (!queue_.empty()) move_queue();
  take_in();
}

// ------------------------------------------------------------------------------------------------------- entries

std::string_view Channel::lines_of(const Arrival& arrival) {
  auto reason = sse::SyncReason::Dropped;
  switch (arrival.kind) {
    case Arrival::Kind::Event:
      return arrival.lines;
    case Arrival::Kind::Dropped:
      break;
    case Arrival::Kind::UpstreamGap:
      ++counters_.gaps_sequence;
      reason = sse::SyncReason::UpstreamGap;
      break;
    case Arrival::Kind::StoreGap:
      ++counters_.gaps_sequence;
      reason = sse::SyncReason::StoreGap;
      break;
  }
  ++counters_.sync_required[static_cast<std::size_t>(reason)];
  const auto data = sse::sync_required_data(reason, std::nullopt, log_->oldest_id(), log_->newest_id());
  sync_lines_ = sse::event_lines(route().on_gap.event, data);
  return sync_lines_;
}

void Channel::append(const Arrival& arrival, replay::Number number) {
  append(lines_of(arrival), arrival.origin, arrival.sticky, number);
}

void Channel::append(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky,
                     replay::Number number) {
  if (origin && origin->empty()) origin.reset();
  if (origin) ++counters_.ids_rewritten;
  id_scratch_.clear();
  replay::append_id(id_scratch_, log_->form(), number, sticky);
  scratch_.clear();
  sse::append_frame(scratch_, id_scratch_, lines, origin, route().ids.origin, route().ids.place);
  const Millis now = clock_.now();
  const auto place = log_->append(scratch_, number, origin, now);
  ++counters_.events_emitted;
  if (journal_)
    journal_->append({.place = place, .number = number, .origin = origin, .last_id = sticky, .frame = scratch_});
  publish();
  evict(now);
  sse::clear(scratch_);
}

void Channel::add_end(bool is_clean) {
  log_->add_end(is_clean);
  if (journal_) journal_->set_end({.at = log_->appended(), .is_clean = is_clean});
}

void Channel::evict(Millis now) {
  if (log_->evict(now, keep_from()) != 0) tell_evicted();
}

void Channel::tell_evicted() {
  if (!journal_ || log_->first() == evicted_) return;
  evicted_ = log_->first();
  journal_->evicted(evicted_);
}

// ------------------------------------------------------------------------------------------------------- journal

// *logged-first*: with a journal only on_committed() moves the published end.
void Channel::publish() {
  if (!journal_ || seeded_bug("emit-before-persist")) log_->publish(log_->appended());
}

bool Channel::is_held() const {
  if (!journal_) return false;
  const auto uncommitted =
      gives_places_away() ? nodes_->submitted_bytes() : log_->appended_position() - committed_position_;
  return is_stalled_ || uncommitted >= kMaxUncommittedBytes;
}

void Channel::on_committed(replay::Place end) {
  SSEQUEL_ASSERT(!is_taking_in_, "commits come in a turn of their own");
  const bool is_news = !log_->is_saved();
  log_->set_saved();
  if (end <= log_->published()) {
    if (is_news) port_.wake(*this);
    if (gives_places_away()) take_in();
    return;
  }
  log_->publish(end);
  committed_position_ = log_->position(end);
  evict(clock_.now());
  take_in();
}

// Why is the store's to tell, once for all channels.
void Channel::on_stalled(const Error&) {
  is_stalled_ = true;
  take_in();
}

void Channel::on_recovered() {
  is_stalled_ = false;
  take_in();
}

}  // namespace ssequel::relay
