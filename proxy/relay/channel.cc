#include "relay/channel.h"

#include <algorithm>

#include "base/assert.h"

namespace ssequel::relay {
namespace {

// Compressed content is inflated a slice at a time, so that a bomb of 1000:1 stays within a mebibyte.
constexpr std::size_t kInflateSlice = 1024;

replay::Bounds bounds_of(const Route& route) {
  return {.events = route.window_events(), .bytes = route.window.bytes, .age = route.window.age};
}

}  // namespace

Channel::Channel(Setup setup, ChannelPort& port, Random& random, const Clock& clock, RouteCounters& counters)
    : setup_(std::move(setup)),
      port_(port),
      random_(random),
      clock_(clock),
      counters_(counters),
      log_(std::make_shared<replay::ReplayLog>(setup_.id_form, setup_.first_number, bounds_of(route()))),
      parser_(*this, route().event_bytes),
      backoff_(route().reconnect_min, route().reconnect_max),
      last_watched_(clock.now()) {
  if (route().upstream_format == UpstreamFormat::Ndjson) {
    ndjson_ = std::make_unique<sse::NdjsonParser>(*this, route().event_bytes);
  }
  ++counters_.channels;
}

Channel::~Channel() {
  if (state_ == State::Streaming) --counters_.upstream_connected;
  --counters_.channels;
}

void Channel::enter(State state) {
  if (state_ == state) return;
  if (state_ == State::Streaming) --counters_.upstream_connected;
  if (state == State::Streaming) ++counters_.upstream_connected;
  state_ = state;
}

std::uint64_t Channel::retry_ms() const {
  if (route().retry) return static_cast<std::uint64_t>(route().retry->count());
  if (is_shared()) return 3000;
  return upstream_retry_ms_.value_or(0);
}

// ---------------------------------------------------------------------------------------------------- upstream

void Channel::connect() {
  SSEQUEL_ASSERT(state_ != State::Streaming && state_ != State::Connecting, "one upstream");
  opened_by_reader_ = true;
  backoff_.reset();
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  begin_connect();
}

void Channel::begin_connect() {
  // *contiguous*: entries of another connection follow what is in the log; events may be missing between them.
  if (log_->appended() != 0) gap_pending_ = route().on_upstream_gap == OnUpstreamGap::Tell;
  if (!is_shared()) {
    // After a clean end the service said that was all: nothing is missing.
    const auto end = log_->last_end();
    if (end && end->is_clean) gap_pending_ = false;
  }
  enter(State::Connecting);
  port_.connect(*this);
}

std::optional<std::string> Channel::take_upstream_last_event_id() {
  if (!parser_.last_event_id().empty()) return std::string(parser_.last_event_id());
  if (first_last_event_id_.empty()) return std::nullopt;
  return std::exchange(first_last_event_id_, {});
}

void Channel::on_upstream_open(StreamHead head, http::ContentCoding coding) {
  head_ = std::make_shared<const StreamHead>(std::move(head));
  inflater_.reset();
  if (coding != http::ContentCoding::Identity) inflater_ = std::make_unique<http::Inflater>(coding);
  opened_with_ = credential_;
  refused_.clear();
  enter(State::Streaming);
  if (route().upstream_idle > Millis(0)) port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
  // Where a subscriber's coming opened the upstream again, the entry is made now, and who has no resume point begins
  // behind it.
  if (std::exchange(opened_by_reader_, false)) {
    tell_gap();
    publish();
    port_.wake(*this);
  }
}

void Channel::on_upstream_bytes(std::string_view content) {
  if (state_ != State::Streaming) return;
  if (route().upstream_idle > Millis(0)) port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
  if (inflater_) {
    compressed_ += content;
  } else if (!pending_.empty()) {
    pending_ += content;
  } else {
    // The usual case: no copy but for what readers are not ready for.
    is_taking_in_ = true;
    const auto taken = ndjson_ ? ndjson_->feed(content) : parser_.feed(content);
    is_taking_in_ = false;
    if (taken != content.size()) pending_ = content.substr(taken);
  }
  take_in();
}

void Channel::take_in() {
  if (is_taking_in_) return;
  is_taking_in_ = true;
  for (;;) {
    publish();
    port_.wake(*this);
    if (must_pause()) break;
    if (!pending_.empty()) {
      const auto taken = ndjson_ ? ndjson_->feed(pending_) : parser_.feed(pending_);
      pending_.erase(0, taken);
      continue;
    }
    if (compressed_.empty() || !inflater_) break;
    const auto slice = std::min(compressed_.size(), kInflateSlice);
    const auto inflated = inflater_->feed(std::string_view(compressed_).substr(0, slice),
                                          [this](std::string_view bytes) { pending_ += bytes; });
    compressed_.erase(0, slice);
    if (!inflated) {
      // A broken coding: nothing behind it can be trusted.
      compressed_.clear();
      is_taking_in_ = false;
      port_.disconnect(*this);
      on_upstream_end(false);
      return;
    }
  }
  is_taking_in_ = false;
  const bool pause = !pending_.empty() || !compressed_.empty() || must_pause();
  if (pending_.empty()) pending_.shrink_to_fit();
  if (pause != is_paused_ && state_ == State::Streaming) {
    is_paused_ = pause;
    if (!pending_end_) port_.set_reading(*this, !pause);
  }
  if (!pause && pending_end_) finish_end();
}

void Channel::on_upstream_end(bool is_clean) {
  if (state_ != State::Streaming) return;
  if (inflater_ && is_clean) is_clean = compressed_.empty() ? inflater_->is_at_end() : is_clean;
  pending_end_ = is_clean;
  if (pending_.empty() && compressed_.empty()) finish_end();
}

void Channel::finish_end() {
  const bool is_clean = *std::exchange(pending_end_, std::nullopt);
  if (ndjson_ && is_clean) ndjson_->end();
  parser_.end();  // An unfinished block is dropped, as the standard says.
  pending_.clear();
  compressed_.clear();
  is_paused_ = false;
  publish();
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  if (!is_shared()) {
    log_->add_end(is_clean);
    enter(State::Ended);
    port_.wake(*this);
    if (readers_ == 0) rest();
    return;
  }
  port_.wake(*this);
  wait_and_retry(Millis(0));
}

void Channel::wait_and_retry(Millis least) {
  ++counters_.upstream_reconnects;
  opened_with_.reset();
  enter(State::Waiting);
  const Millis said(static_cast<std::int64_t>(std::min<std::uint64_t>(upstream_retry_ms_.value_or(0), 3'600'000)));
  port_.set_timer(*this, ChannelTimer::Upstream, backoff_.next(random_, std::max(least, said)));
}

void Channel::on_upstream_trouble(Millis retry_after) {
  if (is_shared()) {
    wait_and_retry(retry_after);
    if (readers_ == 0) rest();
  } else {
    enter(State::Ended);
    if (readers_ == 0) rest();
  }
}

void Channel::on_upstream_final() {
  if (credential_) refused_.push_back(credential_);
  // Each other identity's fields are tried once.
  for (auto candidate = credentials_.rbegin(); candidate != credentials_.rend(); ++candidate) {
    if (std::find(refused_.begin(), refused_.end(), *candidate) != refused_.end()) continue;
    credential_ = *candidate;
    begin_connect();
    return;
  }
  refused_.clear();
  opened_with_.reset();
  enter(State::Final);
  port_.end_readers(*this);
  if (readers_ == 0) rest();
}

void Channel::let_go() {
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  if (state_ == State::Streaming || state_ == State::Connecting) port_.disconnect(*this);
  opened_with_.reset();
  pending_.clear();
  compressed_.clear();
  pending_end_.reset();
  is_paused_ = false;
  parser_.end();
  if (is_shared()) {
    if (state_ != State::Final) enter(State::Dormant);
    return;
  }
  if (state_ == State::Streaming) log_->add_end(false);
  enter(State::Ended);
}

void Channel::on_timer(ChannelTimer timer) {
  switch (timer) {
    case ChannelTimer::Upstream:
      if (state_ == State::Waiting) {
        begin_connect();
      } else if (state_ == State::Streaming) {  // Silent for upstream_idle.
        port_.disconnect(*this);
        on_upstream_end(false);
      }
      return;
    case ChannelTimer::Rest:
      if (readers_ != 0) return;
      if (is_lingering_) {
        is_lingering_ = false;
        let_go();
        rest();
      } else {
        port_.retire(*this);
      }
      return;
  }
}

// ---------------------------------------------------------------------------------------------------- readers

void Channel::on_reader_joined() {
  ++readers_;
  last_watched_ = clock_.now();
  is_lingering_ = false;
  port_.cancel_timer(*this, ChannelTimer::Rest);
}

void Channel::on_reader_left() {
  SSEQUEL_ASSERT(readers_ > 0, "a reader leaves once");
  --readers_;
  last_watched_ = clock_.now();
  is_foremost_stale_ = true;
  if (readers_ == 0) {
    rest();
    if (is_shared() && state_ == State::Streaming) take_in();  // Nobody is waited for.
  }
}

void Channel::rest() {
  const bool has_upstream = state_ == State::Streaming || state_ == State::Connecting || state_ == State::Waiting;
  if (has_upstream) {
    if (setup_.is_eager || route().linger == kForever) return;
    is_lingering_ = true;
    if (route().linger > Millis(0)) {
      port_.set_timer(*this, ChannelTimer::Rest, route().linger);
      return;
    }
    is_lingering_ = false;
    let_go();
  }
  port_.set_timer(*this, ChannelTimer::Rest, route().retain);
}

void Channel::on_foremost(replay::Place place) {
  if (place > foremost_) {
    foremost_ = place;
    foremost_position_ = log_->position(place);
  }
  if (is_paused_ || !pending_.empty()) take_in();
}

replay::Place Channel::keep_from() const { return is_shared() ? replay::ReplayLog::kNoPlace : foremost_; }

bool Channel::must_pause() {
  if (!is_shared()) return log_->is_full() && log_->first() >= foremost_;
  if (readers_ == 0) return false;
  const auto behind = [this] {
    const auto events = log_->appended() - std::min(foremost_, log_->appended());
    const auto bytes = log_->appended_position() - std::min(foremost_position_, log_->appended_position());
    const auto most = log_->bounds().events;
    return (most != 0 && events >= std::max<std::uint64_t>(1, most / 2)) || bytes >= log_->bounds().bytes / 2;
  };
  if (std::exchange(is_foremost_stale_, false)) {
    foremost_ = port_.foremost(*this);
    foremost_position_ = log_->position(foremost_);
  }
  return behind();
}

// ---------------------------------------------------------------------------------------------------- credentials

void Channel::admit(const std::shared_ptr<Credential>& credential) {
  forget(credential);
  credentials_.push_back(credential);
  credential_ = credential;
}

void Channel::forget(const std::shared_ptr<Credential>& credential) {
  std::erase(credentials_, credential);
  if (credential_ == credential && !credentials_.empty()) credential_ = credentials_.back();
}

std::shared_ptr<Credential> Channel::find_credential(std::string_view identity) const {
  for (const auto& known : credentials_) {
    if (known->identity == identity) return known;
  }
  return nullptr;
}

// ---------------------------------------------------------------------------------------------------- events

Channel::Flow Channel::on_event(const sse::Event& event) {
  backoff_.reset();
  if (route().dedupe == Dedupe::Id && event.id && !event.id->empty() && log_->find_origin(*event.id)) {
    ++counters_.deduplicated;
    return Flow::Go;
  }
  return arrive(event.lines, event.id, event.last_event_id, false);
}

Channel::Flow Channel::on_oversized(const sse::OversizedEvent& event) {
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
  return must_pause() ? Flow::Pause : Flow::Go;
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
