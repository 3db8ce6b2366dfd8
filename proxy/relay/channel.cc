#include "relay/channel.h"

#include <algorithm>

#include "base/assert.h"
#include "base/seeded_bug.h"
#include "http/serializer.h"

namespace ssequel::relay {
namespace {

// Compressed content is inflated a slice at a time, so that a bomb of 1000:1 stays within a mebibyte.
constexpr std::size_t kInflateSlice = 1024;
// Who opened the upstream may have something else to ask before it joins (what its Origin may see).
constexpr Millis kJoinTime = 10s;
// What an upstream asks us to wait is heeded up to here.
constexpr Millis kMaxAskedBackoff = 1h;

}  // namespace

Channel::Channel(Setup setup, ChannelPort& port, Random& random, const Clock& clock, RouteCounters& counters)
    : sequencer_(setup.sequencer ? std::move(setup.sequencer) : std::make_unique<replay::CountingSequencer>()),
      journal_(std::move(setup.journal)),
      setup_(std::move(setup)),
      port_(port),
      random_(random),
      clock_(clock),
      counters_(counters),
      log_(setup_.log ? setup_.log
                      : std::make_shared<replay::ReplayLog>(setup_.id_form, setup_.first_number, route().bounds())),
      parser_(*this, route().event_bytes),
      backoff_(route().reconnect_min, route().reconnect_max),
      last_watched_(clock.now()),
      has_connected_(setup_.has_connected),
      is_eager_(setup_.is_eager),
      nodes_(journal_ ? journal_->nodes() : nullptr),
      is_leading_(nodes_ == nullptr || (!is_shared() && !setup_.kept)) {
  if (route().upstream_format == UpstreamFormat::Ndjson) {
    ndjson_ = std::make_unique<sse::NdjsonParser>(static_cast<sse::ParserListener&>(*this), route().event_bytes);
  }
  sequencer_->set_listener(*this);
  if (journal_) {
    journal_->set_listener(*this);
    if (nodes_) nodes_->set_nodes_listener(*this);
    evicted_ = log_->first();
    committed_position_ = log_->appended_position();
  } else {
    log_->set_saved();
  }
  if (setup_.kept) {
    head_ = setup_.kept->head;
    parser_.set_last_event_id(setup_.kept->last_id);
    upstream_retry_ms_ = setup_.kept->retry_ms;
    store_gap_pending_ = setup_.kept->has_lost;
    is_led_ = setup_.kept->is_led && head_;
  }
  ++counters_.channels;
}

void Channel::revive() {
  if (nodes_) {
    if (!is_shared()) enter(log_->last_end() ? State::Ended : State::Following);
  } else if (is_shared()) {
    tell_store_gap();
    publish();
  } else if (log_->last_end()) {
    log_->shrink_to_fit();
    enter(State::Ended);
  } else {
    // It broke off when the process did.
    tell_store_gap();
    enter(State::Streaming);
    arrived_end_ = false;
    conclude();
  }
  if (readers_ == 0) rest();
  tell_watch();
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
  if (is_shared()) return static_cast<std::uint64_t>(kSharedRetry.count());
  return upstream_retry_ms_.value_or(0);
}

// ---------------------------------------------------------------------------------------------------- upstream

void Channel::connect() {
  SSEQUEL_ASSERT(state_ != State::Streaming && state_ != State::Connecting, "one upstream");
  opened_by_reader_ = true;
  is_readers_end_due_ = false;
  is_release_due_ = false;
  if (!may_connect()) return follow();
  // An upstream in trouble is not asked more and more often because many come.
  if (state_ != State::Waiting) backoff_.reset();
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  if (readers_ == 0) stop_resting();
  begin_connect();
  tell_watch();
}

void Channel::prepare_to_continue() {
  opened_by_reader_ = true;
  expect_gap();
}

void Channel::begin_connect() {
  expect_gap();
  asked_with_ = credential_;
  enter(State::Connecting);
  is_connect_due_ = !begin_log();
  if (!is_connect_due_) return port_.connect(*this);
  // Nobody waits for an eager channel; it waits as long as it takes.
  if (!is_kept()) port_.set_timer(*this, ChannelTimer::Upstream, kBasePatience);
}

void Channel::expect_gap() {
  // *contiguous*: entries of another connection follow what is in the log; events may be missing between them. But
  // where every node has an upstream of its own, they are not those of this one.
  const bool has_earlier = gives_places_away() ? has_connected_ : log_->appended() != 0 || !queue_.empty();
  if (has_earlier) gap_pending_ = route().on_upstream_gap == OnUpstreamGap::Tell;
  if (!is_shared()) {
    // After a clean end the service said that was all: nothing is missing.
    const auto end = log_->last_end();
    if (end && end->is_clean) gap_pending_ = false;
  }
}

std::string_view Channel::last_origin_id() const {
  const auto id = parser_.last_event_id();
  return id.size() <= kMaxUpstreamId && http::is_field_value(id) ? id : std::string_view();
}

std::optional<std::string> Channel::take_upstream_last_event_id() {
  if (!parser_.last_event_id().empty()) {
    first_last_event_id_.clear();
    const auto id = last_origin_id();
    if (id.empty()) return std::nullopt;
    return std::string(id);
  }
  if (first_last_event_id_.empty()) return std::nullopt;
  return std::exchange(first_last_event_id_, {});
}

void Channel::on_upstream_open(StreamHead head, http::ContentCoding coding) {
  head_ = std::make_shared<const StreamHead>(std::move(head));
  if (journal_) journal_->set_head(serialize(*head_));
  inflater_.reset();
  if (coding != http::ContentCoding::Identity) inflater_ = std::make_unique<http::Inflater>(coding);
  opened_with_ = asked_with_;
  refused_.clear();
  opened_at_ = clock_.now();
  away_since_.reset();
  has_connected_ = true;
  enter(State::Streaming);
  tell_watch();
  if (readers_ == 0 && !is_lingering_ && !is_kept() && route().linger != kForever) {
    is_lingering_ = is_join_time_ = true;
    port_.set_timer(*this, ChannelTimer::Rest, std::max(route().linger, kJoinTime));
  }
  if (route().upstream_idle > Millis(0)) port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
  // Where a subscriber's coming opened the upstream again, the entry is made now, and who has no resume point begins
  // behind it.
  if (std::exchange(opened_by_reader_, false)) {
    if (gap_pending_) {
      tell_gap();
      begins_at_ = log_->appended() + queue_.size();
    }
    publish();
    port_.wake(*this);
  }
}

void Channel::on_upstream_bytes(std::string_view content) {
  if (state_ != State::Streaming || is_over()) return;
  SSEQUEL_ASSERT(!is_taking_in_, "content comes one piece at a time");
  if (route().upstream_idle > Millis(0)) port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
  if (inflater_) {
    compressed_ += content;
  } else if (is_paused_ || is_held() || queue_.is_full()) {  // Also the rest of the read in which it was paused.
    pending_ += content;
  } else {
    // The usual case: no copy but for what readers are not ready for.
    is_taking_in_ = true;
    const auto taken = feed(content);
    is_taking_in_ = false;
    if (taken == content.size() && !has_paused_) {
      settle();
      return;
    }
    pending_ = content.substr(taken);
  }
  take_in();
}

void Channel::take_in() {
  if (is_taking_in_) return;
  is_taking_in_ = true;
  for (;;) {
    publish();
    port_.wake(*this);
    if (must_hold()) break;
    if (move_queue()) continue;
    if (queue_.is_full()) break;
    if (!pending_.empty()) {
      const auto taken = feed(pending_);
      pending_.erase(0, taken);
      continue;
    }
    if (compressed_.empty()) break;
    inflate_slice();
  }
  is_taking_in_ = false;
  const bool pause = !pending_.empty() || !compressed_.empty() || must_pause();
  if (pending_.empty()) pending_.shrink_to_fit();
  if (pause != is_paused_ && state_ == State::Streaming) {
    is_paused_ = pause;
    if (!is_over()) {
      // While it was not read it could not be heard: its silence begins now.
      if (!pause && route().upstream_idle > Millis(0)) {
        port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
      }
      port_.set_reading(*this, !pause);
    }
  }
  come_to_end();
  settle();
  release_if_due();
}

std::size_t Channel::feed(std::string_view content) {
  has_paused_ = false;
  return ndjson_ ? ndjson_->feed(content) : parser_.feed(content);
}

void Channel::inflate_slice() {
  const auto slice = std::min(compressed_.size(), kInflateSlice);
  const auto inflated = inflater_->feed(std::string_view(compressed_).substr(0, slice),
                                        [this](std::string_view bytes) { pending_ += bytes; });
  compressed_.erase(0, slice);
  if (inflated) return;
  // A broken coding: nothing behind it can be trusted, what came before it is taken in.
  compressed_.clear();
  port_.disconnect(*this);
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  pending_end_ = false;
}

void Channel::settle() {
  if (std::exchange(is_let_go_due_, false)) let_go();
  if (std::exchange(is_rest_due_, false) && readers_ == 0) {
    rest();
    // Nobody is waited for.
    if (is_shared() && ((is_paused_ && state_ == State::Streaming) || can_move())) take_in();
  }
}

void Channel::reset_parsers() {
  if (seeded_bug("partial-event")) static_cast<void>(feed("\n\n"));
  parser_.end();  // An unfinished block is dropped, as the standard says.
  if (ndjson_) {
    ndjson_ = std::make_unique<sse::NdjsonParser>(static_cast<sse::ParserListener&>(*this), route().event_bytes);
  }
}

void Channel::on_upstream_end(bool is_clean) {
  if (state_ != State::Streaming || is_over()) return;
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  opened_with_.reset();  // It stands no more, whatever has still to be taken in of it.
  pending_end_ = is_clean;
  if (!is_taking_in_) come_to_end();
}

void Channel::come_to_end() {
  if (pending_end_ && pending_.empty() && compressed_.empty()) {
    // A coding cut short is a response cut short, however its framing ended.
    const bool is_clean = *std::exchange(pending_end_, std::nullopt) && (!inflater_ || inflater_->is_at_end());
    arrived_end_ = is_clean;
    if (ndjson_ && is_clean) ndjson_->end();
    reset_parsers();
    publish();
  }
  conclude();
}

void Channel::conclude() {
  if ((!arrived_end_ && !is_readers_end_due_) || !queue_.empty()) return;
  const bool is_all_published = log_->published() == log_->appended();
  if (is_all_published && std::exchange(is_readers_end_due_, false)) port_.end_readers(*this);
  if (!arrived_end_) return;
  if (is_shared()) {
    arrived_end_.reset();
    is_paused_ = false;
    wait_and_retry(Millis(0));
    port_.wake(*this);
    return;
  }
  // Journalled at once, so that it is committed with what is before it. A reader that began before it waits for that
  // (ReplayLog::end_for()), and so does the state by which others are answered.
  if (!std::exchange(is_end_logged_, true)) add_end(*arrived_end_);
  if (!is_all_published) return;
  arrived_end_.reset();
  is_end_logged_ = false;
  is_paused_ = false;
  // A finished session is kept for its window alone: what one works with is given back.
  inflater_.reset();
  for (auto* buffer : {&compressed_, &pending_, &scratch_, &id_scratch_}) std::string().swap(*buffer);
  log_->shrink_to_fit();
  enter(State::Ended);
  if (is_leading()) {
    // Whoever asks for more, on whatever node, takes it.
    is_leading_ = false;
    nodes_->release(false);
  }
  port_.wake(*this);
  if (readers_ == 0) rest();
  tell_watch();
}

void Channel::wait_and_retry(Millis least) {
  ++counters_.upstream_reconnects;
  opened_with_.reset();
  // One that stood for long is well, if it had no event to send.
  const auto opened_at = std::exchange(opened_at_, std::nullopt);
  if (opened_at && clock_.now() - *opened_at >= route().reconnect_max) backoff_.reset();
  if (!away_since_) {
    away_since_ = clock_.now();
    if (is_leading()) nodes_->set_away();
  }
  if (nodes_ && !gives_places_away() && clock_.now() - *away_since_ >= route().reconnect_max) {
    away_since_.reset();
    release_when_told(true);
    return follow();
  }
  enter(State::Waiting);
  const auto said = std::min<std::uint64_t>(upstream_retry_ms_.value_or(0), kMaxAskedBackoff.count());
  least = std::max(std::min(least, kMaxAskedBackoff), Millis(said));
  if (seeded_bug("never-reconnects")) return;
  port_.set_timer(*this, ChannelTimer::Upstream, backoff_.next(random_, least));
}

void Channel::on_upstream_trouble(Millis retry_after) {
  if (is_shared()) {
    wait_and_retry(retry_after);
    release_if_due();
    if (readers_ == 0) rest();
  } else {
    enter(State::Ended);
    if (readers_ == 0) rest();
  }
}

void Channel::on_upstream_final() {
  if (asked_with_) refused_.push_back(asked_with_);
  // Each other identity's fields are tried once.
  for (auto candidate = credentials_.rbegin(); candidate != credentials_.rend(); ++candidate) {
    if (!route().sends_identity()) break;  // The same request again.
    if (std::find(refused_.begin(), refused_.end(), *candidate) != refused_.end()) continue;
    credential_ = *candidate;
    begin_connect();
    return;
  }
  refused_.clear();
  opened_with_.reset();
  if (nodes_ && is_shared()) {
    // The others' fields are tried, too.
    if (!gives_places_away()) is_leading_ = false;
    nodes_->refuse(!route().sends_identity());
    return follow();
  }
  close();
}

void Channel::close() {
  enter(State::Final);
  is_readers_end_due_ = true;
  conclude();
  if (readers_ == 0) rest();
  tell_watch();
}

void Channel::let_go() {
  if (is_taking_in_) {
    is_let_go_due_ = true;
    return;
  }
  port_.cancel_timer(*this, ChannelTimer::Upstream);
  is_connect_due_ = false;
  if (state_ == State::Streaming || state_ == State::Connecting) port_.disconnect(*this);
  opened_with_.reset();
  opened_at_.reset();
  pending_.clear();
  compressed_.clear();
  pending_end_.reset();
  is_paused_ = false;
  reset_parsers();
  if (is_shared()) {
    arrived_end_.reset();
    if (state_ != State::Final) enter(State::Dormant);
    if (is_leading()) release_when_told(false);
    release_if_due();
    tell_watch();
    return;
  }
  if (state_ != State::Streaming) {
    enter(State::Ended);
    if (readers_ != 0) port_.wake(*this);
    return;
  }
  if (!arrived_end_) arrived_end_ = false;
  conclude();
}

void Channel::on_timer(ChannelTimer timer) {
  switch (timer) {
    case ChannelTimer::Upstream:
      if (is_seeking_) {
        end_seeking();
      } else if (is_connect_due_ || state_ == State::Following) {
        port_.give_up(*this);
      } else if (state_ == State::Waiting) {
        begin_connect();
      } else if (is_paused_) {  // Not read, hence not heard.
        port_.set_timer(*this, ChannelTimer::Upstream, route().upstream_idle);
      } else if (state_ == State::Streaming) {  // Silent for upstream_idle.
        port_.disconnect(*this);
        on_upstream_end(false);
      }
      return;
    case ChannelTimer::Rest:
      if (readers_ != 0) return;
      if (is_lingering_ && !is_shared() && nodes_ && nodes_->foremost()) {
        port_.set_timer(*this, ChannelTimer::Rest, std::max(route().linger, kJoinTime));  // Read on another node.
      } else if (is_lingering_) {
        is_lingering_ = is_join_time_ = false;
        let_go();
        rest();
      } else {
        port_.retire(*this);
      }
      return;
  }
}

}  // namespace ssequel::relay
