// The channel as one of several nodes that share its log: who reads the upstream, and what comes of others.
#include <algorithm>

#include "base/assert.h"
#include "relay/channel.h"
#include "sse/buffer.h"

namespace ssequel::relay {

bool Channel::stands_for(std::string_view identity) const {
  if (state_ == State::Following) return is_led_;
  return state_ == State::Streaming && opened_with_ && opened_with_->identity == identity;
}

// ------------------------------------------------------------------------------------------------ who leads

void Channel::tell_watch() {
  if (!nodes_) return;
  auto watch = replay::Watch::None;
  switch (state_) {
    case State::Dormant:
    case State::Final:
    case State::Ended:
      // A session whose upstream is gone is written to no more, unless somebody asks for more.
      if (is_seeking_) watch = replay::Watch::Reads;
      break;
    case State::Following:
      // Whoever takes the lease of a session only says that its one response is lost.
      watch = is_shared() || readers_ != 0 ? replay::Watch::Reads : replay::Watch::None;
      break;
    case State::Connecting:
    case State::Streaming:
    case State::Waiting:
      watch = is_lingering_ || (is_guest_ && !is_eager_ && readers_ == 0) ? replay::Watch::Keeps : replay::Watch::Reads;
      break;
  }
  nodes_->watch(watch);
}

void Channel::follow() {
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  if (readers_ == 0 && !is_lingering_) stop_resting();
  enter(State::Following);
  if (is_led_ && head_) port_.opened_elsewhere(*this);
  // Nobody waits for an eager channel, and readers have their streams.
  const bool is_waited_for = !is_kept() && (!head_ || readers_ == 0);
  if (is_waited_for) port_.set_timer(*this, ChannelTimer::Upstream, kBasePatience);
  tell_watch();
}

void Channel::on_leading(bool has_lost) {
  SSEQUEL_ASSERT(!is_taking_in_, "a lease comes in a turn of its own");
  is_leading_ = true;
  is_led_ = false;
  if (!is_seeking_ && state_ != State::Following) {  // Nobody wants it any more.
    release_when_told(false);
    release_if_due();
    return;
  }
  // Not earlier: what this node does not tell, another one will, with numbers of its own.
  store_gap_pending_ = has_lost;
  if (has_lost) log_->skip_to(number_after_loss());
  if (is_seeking_) return end_seeking();
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  if (!is_shared()) {
    // The node that read the upstream is gone, and with it the one response there was.
    enter(State::Streaming);
    tell_store_gap();
    arrived_end_ = false;
    conclude();
    return;
  }
  if (log_->has_begun() && store_gap_pending_) {
    tell_store_gap();
    take_in();
  }
  opened_by_reader_ = true;
  begin_connect();
}

// Numbers that were given to what is lost are given to nothing else: see `start` and clocks in config/README.md.
replay::Number Channel::number_after_loss() const {
  auto above = log_->next_number();
  const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(clock_.unix_micros(), 0));
  switch (route().ids.strategy) {
    case Strategy::Sequence:
      above = std::max<replay::Number>(above, micros);
      break;
    case Strategy::Snowflake:
      above += replay::Number{1000} << 22;
      break;
    case Strategy::Ulid:
      above += replay::Number{1000} << 80;
      break;
    case Strategy::Redis:
    case Strategy::Postgres:
      break;
  }
  return std::min(above, replay::max_number(log_->form().spelling));
}

void Channel::on_following(std::string_view last_id) {
  SSEQUEL_ASSERT(!is_taking_in_, "a lease goes in a turn of its own");
  is_release_due_ = false;
  if (gives_places_away() || (!is_leading_ && log_->appended() == log_->published())) return;
  is_leading_ = false;
  const bool wants = state_ == State::Connecting || state_ == State::Streaming || state_ == State::Waiting;
  drop_intake();
  log_->roll_back();
  committed_position_ = log_->appended_position();
  begins_at_ = std::min(begins_at_, log_->appended());
  parser_.set_last_event_id(last_id);
  gap_pending_ = store_gap_pending_ = false;
  if (!is_shared()) {
    if (state_ != State::Ended) enter(State::Following);
    port_.wake(*this);
    return;
  }
  if (wants && !is_lingering_) {
    follow();
  } else if (wants) {
    is_lingering_ = is_join_time_ = false;
    enter(State::Dormant);
    rest();
  }
}

void Channel::drop_intake() {
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  is_connect_due_ = false;
  if (state_ == State::Streaming || state_ == State::Connecting) port_.disconnect(*this);
  opened_with_.reset();
  opened_at_.reset();
  away_since_.reset();
  pending_.clear();
  compressed_.clear();
  pending_end_.reset();
  arrived_end_.reset();
  is_end_logged_ = false;
  is_paused_ = false;
  reset_parsers();
  queue_.clear();
}

void Channel::seek_lease() {
  SSEQUEL_ASSERT(nodes_ && state_ == State::Ended, "only what has ended goes on");
  is_seeking_ = true;
  port_.set_timer(*this, ChannelTimer::Upstream, kBasePatience);
  tell_watch();
}

void Channel::end_seeking() {
  is_seeking_ = false;
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  tell_watch();
  port_.lease_sought(*this);
}

void Channel::set_guest(bool is_guest) {
  is_guest_ = is_guest;
  if (readers_ != 0) return;
  if (is_guest_) {
    if (is_lingering_) stop_resting();
    if (state_ == State::Dormant) connect();
    tell_watch();
  } else if (!is_eager_ && state_ != State::Dormant && state_ != State::Final) {
    rest();
  }
}

void Channel::catch_up(std::function<void(bool)> done) {
  if (!nodes_) return done(true);
  nodes_->catch_up(std::move(done));
}

std::string Channel::store_gap_lines() {
  return std::string(lines_of({.kind = Arrival::Kind::StoreGap, .lines = {}, .origin = std::nullopt, .sticky = {}}));
}

void Channel::release_when_told(bool tired) {
  is_release_due_ = true;
  is_tired_ = tired;
}

void Channel::release_if_due() {
  if (!is_release_due_ || !queue_.empty() || is_taking_in_) return;
  is_release_due_ = false;
  if (!is_leading()) return;
  is_leading_ = false;
  nodes_->release(is_tired_);
}

void Channel::stand_down() {
  if (!nodes_ || !is_shared()) return;
  const bool was_reading = state_ == State::Connecting || state_ == State::Streaming || state_ == State::Waiting;
  if (was_reading) let_go();
  release_if_due();
  // Its readers have what is in the log, and what another node appends.
  if (was_reading && readers_ != 0) follow();
}

// ------------------------------------------------------------------------------------------ what comes of others

void Channel::submit(const Arrival& arrival) {
  auto origin = arrival.origin;
  if (origin && origin->empty()) origin.reset();
  if (origin) ++counters_.ids_rewritten;
  nodes_->submit(lines_of(arrival), origin);
  ++counters_.events_emitted;
}

void Channel::on_entries(std::span<const replay::SharedEntry> entries) {
  SSEQUEL_ASSERT(!is_taking_in_, "entries come in a turn of their own");
  const Millis now = clock_.now();
  for (const auto& entry : entries) {
    SSEQUEL_ASSERT(entry.place == log_->appended(), "each place is one more than the last");
    if (entry.frame.empty()) {
      id_scratch_.clear();
      replay::append_id(id_scratch_, log_->form(), entry.number, {});
      scratch_.clear();
      sse::append_frame(scratch_, id_scratch_, entry.lines, entry.origin, route().ids.origin, route().ids.place);
      log_->append(scratch_, entry.number, entry.origin, now - entry.age);
      sse::clear(scratch_);
    } else {
      log_->append(entry.frame, entry.number, entry.origin, now - entry.age);
      parser_.set_last_event_id(entry.last_id);
    }
  }
  log_->set_saved();
  log_->publish(log_->appended());
  committed_position_ = log_->appended_position();
  evict(now);
  take_in();
  port_.grown_elsewhere(*this);
}

void Channel::on_begin(replay::Number first_number) {
  if (log_->has_begun()) return;
  log_->begin(first_number - 1);
  log_->set_saved();
}

void Channel::on_head(std::string_view serialized_head) {
  if (gives_places_away() && head_) return;  // Its own upstream's.
  auto head = parse_stream_head(serialized_head);
  if (!head) return;
  head_ = std::make_shared<const StreamHead>(std::move(*head));
  is_led_ = true;
  if (state_ == State::Final) {
    // Another node's upstream streams again.
    enter(State::Dormant);
    is_readers_end_due_ = false;
  }
  if (state_ != State::Following) return;
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  port_.opened_elsewhere(*this);
}

void Channel::on_retry_elsewhere(std::uint64_t milliseconds) { upstream_retry_ms_ = milliseconds; }

void Channel::on_end(bool is_clean) {
  if (is_shared()) return;
  log_->add_end(is_clean);
  enter(State::Ended);
  port_.wake(*this);
  if (readers_ == 0) rest();
  tell_watch();
}

void Channel::on_final() {
  if (state_ != State::Following && state_ != State::Dormant) return;
  refused_.clear();
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  close();
  port_.closed_elsewhere(*this);
}

void Channel::on_others_progress() {
  if (is_paused_ || can_move()) take_in();
}

void Channel::on_wanted_elsewhere() {
  if (readers_ != 0 || is_kept() || !is_leading() || !is_shared() || !is_lingering_) return;
  is_lingering_ = is_join_time_ = false;
  let_go();
  rest();
}

}  // namespace ssequel::relay
