// Who reads the channel, how far, and with whose fields the upstream is asked.
#include <algorithm>

#include "base/assert.h"
#include "base/seeded_bug.h"
#include "relay/channel.h"

namespace ssequel::relay {

// ---------------------------------------------------------------------------------------------------- readers

void Channel::on_reader_joined() {
  ++readers_;
  last_watched_ = clock_.now();
  stop_resting();
  if (readers_ == 1) tell_watch();
}

void Channel::on_reader_left() {
  SSEQUEL_ASSERT(readers_ > 0, "a reader leaves once");
  --readers_;
  last_watched_ = clock_.now();
  is_foremost_stale_ = true;
  if (readers_ == 0) {
    is_rest_due_ = true;
    if (!is_taking_in_) settle();
  }
}

void Channel::on_guest_left() {
  const bool has_upstream = state_ == State::Connecting || state_ == State::Streaming || state_ == State::Waiting;
  if (readers_ != 0 || !has_upstream) return;
  if (std::exchange(is_join_time_, false)) is_lingering_ = false;
  rest();
}

void Channel::set_eager(bool is_eager) {
  is_eager_ = is_eager;
  if (is_eager_ && readers_ == 0) stop_resting();
  tell_watch();
}

void Channel::rest() {
  if (state_ == State::Following && !is_kept()) {
    port_.cancel_timer(*this, ChannelTimer::Upstream);
    if (is_shared()) enter(State::Dormant);
  }
  // A session's response that is over has no upstream to keep, though the channel is not told to have ended yet.
  const bool is_reading = state_ == State::Streaming && (is_shared() || !arrived_end_);
  const bool has_upstream = is_reading || state_ == State::Connecting || state_ == State::Waiting;
  if (has_upstream) {
    // What happens meanwhile, trouble above all, does not begin the linger anew.
    if (is_kept() || route().linger == kForever || is_lingering_) return tell_watch();
    if (route().linger > Millis(0)) {
      is_lingering_ = true;
      port_.set_timer(*this, ChannelTimer::Rest, route().linger);
      tell_watch();
      return;
    }
    let_go();
  }
  is_lingering_ = false;
  port_.set_timer(*this, ChannelTimer::Rest, route().retain);
  tell_watch();
}

void Channel::stop_resting() {
  is_lingering_ = is_join_time_ = false;
  port_.cancel_timer(*this, ChannelTimer::Rest);
}

void Channel::on_foremost(replay::Place place) {
  if (place > foremost_) {
    foremost_ = place;
    foremost_position_ = log_->position(place);
    if (nodes_) nodes_->set_foremost(place);
  }
  if (is_paused_ || !pending_.empty() || can_move()) take_in();
}

void Channel::expire() {
  evict(clock_.now());
  if ((is_paused_ || can_move()) && !must_hold()) take_in();
}

void Channel::shed(std::uint64_t bytes) {
  log_->evict_bytes(bytes);
  tell_evicted();
}

replay::Place Channel::keep_from() const {
  return is_shared() || seeded_bug("evicts-undelivered") ? replay::ReplayLog::kNoPlace : foremost_;
}

bool Channel::are_readers_behind() {
  if (!is_shared() && seeded_bug("evicts-undelivered")) return false;
  if (!is_shared()) return log_->is_full() && log_->first() >= foremost_;
  const auto others = nodes_ ? nodes_->foremost() : std::nullopt;
  if (readers_ == 0 && !others) return false;
  const auto behind = [&] {
    auto place = readers_ == 0 ? 0 : foremost_;
    auto position = readers_ == 0 ? 0 : foremost_position_;
    if (others && (*others > place || readers_ == 0)) {
      place = *others;
      position = log_->position(place);
    }
    const auto events = log_->appended() - std::min(place, log_->appended());
    const auto bytes = log_->appended_position() - std::min(position, log_->appended_position());
    const auto most = log_->bounds().events;
    // Room for one more event, so that it is half a window with it. Nothing ahead is never too much.
    const auto half = log_->bounds().bytes / 2;
    const auto most_bytes = half - std::min(half, route().event_bytes);
    return (most != 0 && events >= std::max<std::uint64_t>(1, most / 2)) ||
           bytes >= std::max<std::uint64_t>(1, most_bytes);
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
  const bool is_asking = state_ == State::Connecting || state_ == State::Waiting;
  if (readers_ == 0 && is_asking) stop_resting();
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

}  // namespace ssequel::relay
