#include "gateway/channel_host.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/assert.h"
#include "gateway/subscription.h"
#include "gateway/worker.h"
#include "relay/identity.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxOrigins = 16;

[[nodiscard]] bool is_final(int status) {
  return status == 204 || status == 401 || status == 403 || status == 404 || status == 410;
}

}  // namespace

ChannelHost::ChannelHost(Worker& worker, relay::Channel::Setup setup, relay::RouteCounters& counters)
    : worker_(worker),
      counters_(counters),
      upstream_deadline_(worker.deadlines(), *this),
      rest_deadline_(worker.deadlines(), *this),
      channel_(std::move(setup), *this, worker.house().random, worker.clock(), counters),
      feed_(std::make_shared<ChannelFeed>()),
      readers_(worker, make_feed(), static_cast<ReaderGroupOwner&>(*this),
               channel_.is_shared() || channel_.setup().method == "GET") {}

ChannelHost::~ChannelHost() {
  *alive_ = false;
  if (upstream_) upstream_->abandon();
}

// -------------------------------------------------------------------------------------------------- subscribers

std::shared_ptr<ChannelFeed> ChannelHost::make_feed() {
  feed_->route = channel_.shared_route();
  feed_->log = channel_.log();
  feed_->request_host = channel_.setup().host;
  return feed_;
}

void ChannelHost::admit_reader(const std::shared_ptr<relay::Credential>& credential) {
  channel_.on_reader_joined();
  worker_.channels().note_watch(*this);
  review_orphan();
  if (!credential) return;
  ++credential->users;
  channel_.admit(credential);
}

void ChannelHost::on_left(const std::shared_ptr<relay::Credential>& credential) {
  if (credential && --credential->users == 0) channel_.forget(credential);
  channel_.on_reader_left();
  worker_.channels().note_watch(*this);
  review_orphan();
}

void ChannelHost::review_orphan() {
  const bool has_upstream = upstream_ && !upstream_->is_over();
  const bool is_orphan = !channel_.is_shared() && !is_closed_ && has_upstream && channel_.readers() == 0;
  if (is_orphan == is_orphan_) return;
  is_orphan_ = is_orphan;
  auto& orphans = worker_.house().orphans;
  const auto& route = channel_.route();
  if (!is_orphan) {
    count_orphaned();
    orphans.remove(route.name, channel_.setup().key);
    return;
  }
  orphaned_place_ = channel_.log()->appended();
  orphaned_position_ = channel_.log()->appended_position();
  const Orphans::Limits limits{.per_identity = route.orphans_per_identity, .total = route.orphans_total};
  for (auto& victim : orphans.add(route.name, binding_.identity, channel_.setup().key, worker_, limits)) {
    worker_.log_once("orphans:" + route.name, LogLevel::Warn,
                     "a route's `orphans` are too many; the upstream requests that were left first are let go",
                     route.name);
    // In a turn of its own: a channel may be at work, and another loop's is not ours to touch.
    victim.worker->post([worker = victim.worker, tag = std::move(victim.tag)] {
      if (auto* host = worker->channels().find(tag)) host->cancel_orphan();
    });
  }
}

void ChannelHost::count_orphaned() {
  const auto& log = *channel_.log();
  counters_.orphaned_events += log.appended() - std::exchange(orphaned_place_, log.appended());
  counters_.orphaned_bytes += log.appended_position() - std::exchange(orphaned_position_, log.appended_position());
}

void ChannelHost::cancel_orphan() {
  if (!is_orphan_) return;
  ++counters_.orphans_cancelled;
  channel_.let_go();
}

std::shared_ptr<RemoteReaders> ChannelHost::readers_on(Worker& home) {
  auto& readers = remote_[&home];
  if (!readers) readers = std::make_shared<RemoteReaders>(home, *this, feed_, alive_);
  if (readers->readers++ == 0) readers->set_swept(channel_.log()->published());
  return readers;
}

void ChannelHost::on_remote_left(RemoteReaders& readers, const std::shared_ptr<relay::Credential>& credential) {
  --readers.readers;
  on_left(credential);
}

void ChannelHost::wake(relay::Channel&) {
  for (auto& [home, readers] : remote_) readers->wake();
  readers_.sweep();
  if (!is_open_due_ || !channel_.is_begun()) return;
  is_open_due_ = false;
  // In a turn of its own: the channel is at work.
  worker_.loop().defer([this, alive = alive_] {
    if (*alive && !is_closed_ && channel_.state() == relay::Channel::State::Streaming) tell_open();
  });
}

void ChannelHost::broadcast(relay::Channel&, std::string_view line) { readers_.broadcast(line); }

void ChannelHost::end_readers(relay::Channel&) {
  for (auto& [home, readers] : remote_) readers->end_all();
  readers_.end_all([] { return std::nullopt; });
}

replay::Place ChannelHost::foremost(relay::Channel&) { return held_back(readers_.foremost()); }

void ChannelHost::on_reached(replay::Place place) { channel_.on_foremost(held_back(place)); }

// The upstream follows the foremost reader of all, but waits for every loop to have looked: readers elsewhere are not
// slow because a message takes its time.
replay::Place ChannelHost::held_back(replay::Place reached) const {
  replay::Place swept = replay::ReplayLog::kNoPlace;
  for (const auto& [home, readers] : remote_) {
    if (readers->readers == 0) continue;
    reached = std::max(reached, readers->reached());
    swept = std::min(swept, readers->swept());
  }
  return std::min(reached, swept);
}

// ------------------------------------------------------------------------------------------------------ waiters

void ChannelHost::wait(ChannelWaiter& waiter) {
  waiters_.push_back(&waiter);
  worker_.channels().note_watch(*this);
  using State = relay::Channel::State;
  if (channel_.state() == State::Connecting || channel_.state() == State::Streaming) return;
  if (channel_.state() == State::Following && waiters_.size() > 1) return;  // The first one has it ask.
  asks_after_final_ |= channel_.state() == State::Final;
  channel_.connect();
}

void ChannelHost::unwait(ChannelWaiter& waiter) {
  std::erase(waiters_, &waiter);
  if (waiters_.empty() && channel_.readers() == 0 && !channel_.head() && !channel_.is_kept()) {
    // Who opened it is gone before the upstream has said anything: nobody is left to ask for.
    worker_.channels().retire(*this);
  }
}

void ChannelHost::on_request_left() {
  if (is_closed_) return;
  if (!is_waited_for()) channel_.on_guest_left();
  worker_.channels().note_watch(*this);
}

void ChannelHost::tell_open() {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_open();
  worker_.channels().note_watch(*this);
}

void ChannelHost::tell_open_when_begun() {
  is_open_due_ = !channel_.is_begun();
  if (!is_open_due_) tell_open();
}

void ChannelHost::tell_trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_trouble(reason, status, retry_after);
  worker_.channels().note_watch(*this);
}

void ChannelHost::tell_closed() {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_closed();
}

// ----------------------------------------------------------------------------------------------------- upstream

void ChannelHost::connect(relay::Channel&) {
  drop_upstream();
  is_open_due_ = false;
  const auto& route = channel_.route();
  const auto& setup = channel_.setup();
  // An eager channel has no subscriber whose fields could go along.
  static const http::Fields kNone;
  const auto& credential = channel_.credential();
  const bool with_identity = route.sends_identity();
  UpstreamSession::Request request;
  request.method = "GET";
  const auto& fields = credential ? credential->fields : kNone;
  request_origin_ = std::string(fields.get("Origin").value_or(std::string_view()));
  request_identity_ = credential ? credential->identity : std::string();
  const auto last_event_id = channel_.take_upstream_last_event_id();
  relay::append_shared_request(request.head, fields, setup.target,
                               setup.host.empty() ? worker_.settings().options.upstream.authority() : setup.host,
                               {.address = credential ? std::string_view(credential->peer_address) : std::string_view(),
                                .via = worker_.settings().options.via},
                               route, with_identity, last_event_id);
  upstream_ = std::make_unique<UpstreamSession>(worker_.pool(), static_cast<UpstreamListener&>(*this));
  upstream_->start(std::move(request), worker_.settings().options.limits.head_timeout);
}

void ChannelHost::drop_upstream() {
  if (!upstream_) return;
  if (!upstream_->is_over()) upstream_->abandon();
  worker_.graveyard().take(std::move(upstream_));
  review_orphan();
}

void ChannelHost::disconnect(relay::Channel&) { drop_upstream(); }

void ChannelHost::adopt_upstream(std::unique_ptr<UpstreamSession> upstream, const http::ResponseHead& head,
                                 std::string_view request_origin, http::ContentCoding coding) {
  upstream_ = std::move(upstream);
  upstream_->set_listener(*this);
  channel_.on_upstream_open(relay::make_stream_head(head, request_origin, false), coding);
}

void ChannelHost::continue_with(std::unique_ptr<UpstreamSession> upstream, const http::ResponseHead& head,
                                std::string_view request_origin, http::ContentCoding coding) {
  drop_upstream();
  channel_.prepare_to_continue();
  adopt_upstream(std::move(upstream), head, request_origin, coding);
}

void ChannelHost::stop_continuing() {
  is_continuing_ = false;
  for (auto* waiter : std::exchange(continue_waiters_, {})) waiter->on_continued();
  worker_.channels().note_watch(*this);
}

void ChannelHost::grown_elsewhere(relay::Channel&) { worker_.channels().account(*this); }

void ChannelHost::seek_lease(ContinueWaiter& waiter) {
  continue_waiters_.push_back(&waiter);
  if (std::exchange(is_continuing_, true)) return;  // Somebody does.
  channel_.seek_lease();
}

bool ChannelHost::upload(Subscription& uploader, std::string_view content) {
  if (!upstream_ || upstream_->is_over() || upstream_->write_content(content)) return true;
  uploader_ = &uploader;
  return false;
}

void ChannelHost::finish_upload(const http::Fields& trailers) {
  uploader_ = nullptr;
  if (upstream_ && !upstream_->is_over()) upstream_->finish_content(trailers);
}

void ChannelHost::break_upload() {
  uploader_ = nullptr;
  channel_.let_go();
}

void ChannelHost::on_upstream_writable() {
  if (uploader_) std::exchange(uploader_, nullptr)->on_upload_writable();
}

void ChannelHost::set_reading(relay::Channel&, bool on) {
  if (!upstream_ || upstream_->is_over()) return;
  if (on) {
    upstream_->resume();
  } else {
    upstream_->pause();
  }
}

void ChannelHost::on_upstream_head(http::ResponseHead& head) {
  const auto coding = http::content_coding(head.fields.get("Content-Encoding").value_or(std::string_view()));
  if (relay::is_event_stream(head, channel_.route().upstream_format) && coding) {
    warn_of_vary(head);
    cors_.clear();  // Part of the head, which is renewed.
    asks_after_final_ = false;
    channel_.on_upstream_open(relay::make_stream_head(head, request_origin_, true), *coding);
    tell_open_when_begun();
    return;
  }
  if (!coding && relay::is_event_stream(head, channel_.route().upstream_format)) {
    worker_.warn_of_coding(channel_.route().name);
  }
  answer_without_stream(head);
}

void ChannelHost::warn_of_vary(const http::ResponseHead& head) {
  const auto& route = channel_.route();
  head.fields.for_each([&](const http::Field& field) {
    if (!ascii::equals(field.name, "Vary")) return;
    ascii::for_each_element(field.value, [&](std::string_view name) {
      if (ascii::starts_with(name, "Accept") || ascii::equals(name, "Origin")) return;
      if (route.key_has_identity() && relay::is_identity_field(name, route.identity)) return;
      for (const auto& part : route.key) {
        if (part.kind == relay::KeyPart::Kind::Header && ascii::equals(part.name, name)) return;
      }
      worker_.log_once("vary:" + route.name + ":" + ascii::to_lower(name), LogLevel::Warn,
                       "the upstream's stream varies on a field that is not in the route's key: clients that differ in "
                       "it share one stream; the field: " +
                           std::string(name),
                       route.name);
    });
  });
}

void ChannelHost::answer_without_stream(http::ResponseHead& head) {
  const int status = head.status;
  const Millis retry_after = worker_.retry_after_of(head.fields);
  const bool was_open = channel_.head() != nullptr || channel_.is_kept();
  const bool trouble = is_trouble(status);
  auto upstream = std::move(upstream_);
  const auto first = std::find_if(waiters_.begin(), waiters_.end(), [&](const ChannelWaiter* waiter) {
    return waiter->identity() == request_identity_ && (!trouble || waiter->wants_raw_answer());
  });
  if (first != waiters_.end()) {
    // The answer belongs to who asked; the others ask for themselves.
    auto* asked = *first;
    waiters_.erase(first);
    asked->on_channel_answer(std::move(upstream), head);
  } else {
    upstream->abandon();
    worker_.graveyard().take(std::move(upstream));
  }
  if (trouble) tell_trouble(relay::TroubleReason::Status, status, retry_after);
  if (!was_open) {
    auto others = std::exchange(waiters_, {});
    worker_.channels().retire(*this);
    for (auto* waiter : others) waiter->on_channel_closed();
    return;
  }
  if (is_final(status) && !channel_.is_kept()) {
    channel_.on_upstream_final();
    if (channel_.state() == relay::Channel::State::Final) tell_closed();
  } else {
    worker_.house().logger.warn("upstream gave no event stream; trying again",
                                {{"route", channel_.route().name}, {"status", status}});
    if (!trouble) tell_trouble(relay::TroubleReason::Status, status, retry_after);
    channel_.on_upstream_trouble(retry_after);
  }
}

void ChannelHost::on_upstream_content(std::string_view content) { channel_.on_upstream_bytes(content); }

void ChannelHost::on_upstream_read_over() {
  feed_->read_at_ns.store(std::chrono::steady_clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  channel_.on_upstream_read_over();
  if (is_orphan_) count_orphaned();
  worker_.channels().account(*this);
}

void ChannelHost::on_upstream_complete(const http::Fields&) {
  worker_.graveyard().take(std::move(upstream_));
  channel_.on_upstream_end(true);
  review_orphan();
  worker_.channels().account(*this);
}

void ChannelHost::on_upstream_upgraded(std::string_view) {
  on_upstream_failed(UpstreamFailure::Malformed, {ErrorCode::Malformed, "the upstream switched protocols unasked"});
}

void ChannelHost::on_upstream_failed(UpstreamFailure failure, const Error& error) {
  worker_.graveyard().take(std::move(upstream_));
  if (channel_.state() == relay::Channel::State::Streaming) {
    worker_.house().logger.warn("the upstream's stream broke off",
                                {{"route", channel_.route().name}, {"error", error.context}});
    channel_.on_upstream_end(false);
    review_orphan();
    return;
  }
  const bool is_limit = failure == UpstreamFailure::Connect && error.code == ErrorCode::RetryLater;
  const auto reason = is_limit                              ? relay::TroubleReason::Overload
                      : failure == UpstreamFailure::Timeout ? relay::TroubleReason::Timeout
                      : failure == UpstreamFailure::Connect ? relay::TroubleReason::Connect
                                                            : relay::TroubleReason::BadResponse;
  const int status = is_limit ? 503 : 0;
  if (channel_.head() || channel_.is_kept()) {
    worker_.house().logger.warn("no connection to the upstream; trying again",
                                {{"route", channel_.route().name}, {"error", error.context}});
    tell_trouble(reason, status, Millis(0));
    channel_.on_upstream_trouble(Millis(0));
    return;
  }
  retire_in_trouble(reason, status, is_limit ? Millis(1000) : Millis(0));
}

void ChannelHost::retire_in_trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  auto waiters = std::exchange(waiters_, {});
  worker_.channels().retire(*this);
  for (auto* waiter : waiters) waiter->on_channel_trouble(reason, status, retry_after);
}

void ChannelHost::give_up(relay::Channel&) {
  if (!channel_.head()) return retire_in_trouble(relay::TroubleReason::Overload, 503, Millis(1000));
  tell_trouble(relay::TroubleReason::Overload, 503, Millis(1000));
  if (!is_waited_for()) channel_.on_guest_left();
}

void ChannelHost::opened_elsewhere(relay::Channel&) {
  cors_.clear();
  asks_after_final_ = false;
  // In a turn of its own: the channel is at work.
  worker_.loop().defer([this, alive = alive_] {
    if (*alive && !is_closed_) tell_open();
  });
}

// -------------------------------------------------------------------------------------------------------- timers

void ChannelHost::set_timer(relay::Channel&, relay::ChannelTimer timer, Millis after) {
  (timer == relay::ChannelTimer::Upstream ? upstream_deadline_ : rest_deadline_).set(std::max(Millis(1), after));
}

void ChannelHost::cancel_timer(relay::Channel&, relay::ChannelTimer timer) {
  (timer == relay::ChannelTimer::Upstream ? upstream_deadline_ : rest_deadline_).cancel();
}

void ChannelHost::on_deadline(net::Deadline& deadline) {
  channel_.on_timer(&deadline == &upstream_deadline_ ? relay::ChannelTimer::Upstream : relay::ChannelTimer::Rest);
}

void ChannelHost::retire(relay::Channel&) { worker_.channels().retire(*this); }

void ChannelHost::begin_anew(relay::Channel& channel) {
  if (channel.has_connected()) worker_.channels().note_torn(channel.setup().key);
  retire(channel);
}

void ChannelHost::close() {
  if (std::exchange(is_closed_, true)) return;
  if (!binding_.reattach.empty()) worker_.house().reattachments.forget(binding_.reattach, channel_.setup().key);
  upstream_deadline_.cancel();
  rest_deadline_.cancel();
  drop_upstream();
  tell_closed();
  stop_continuing();
  for (const auto& [origin, waiters] : std::exchange(cors_waiters_, {})) {
    for (auto* waiter : waiters) waiter->on_cors_changed();
  }
  for (auto& [home, readers] : std::exchange(remote_, {})) readers->close();
  readers_.end_all([] { return std::nullopt; });
  upstream_deadline_.cancel();
  rest_deadline_.cancel();
}

// ---------------------------------------------------------------------------------------------------------- CORS

std::shared_ptr<const http::Fields> ChannelHost::cors_for(const std::string& origin) const {
  const auto known = cors_.find(origin);
  return known == cors_.end() ? nullptr : known->second;
}

bool ChannelHost::ask_cors(const std::string& origin, CorsWaiter& waiter) {
  auto& waiters = cors_waiters_[origin];
  waiters.push_back(&waiter);
  return waiters.size() == 1;
}

std::vector<CorsWaiter*> ChannelHost::take_cors_waiters(const std::string& origin, CorsWaiter& asker) {
  const auto at = cors_waiters_.find(origin);
  if (at == cors_waiters_.end()) return {};
  auto others = std::move(at->second);
  cors_waiters_.erase(at);
  worker_.channels().note_watch(*this);
  std::erase(others, &asker);
  return others;
}

void ChannelHost::keep_cors(const std::string& origin, std::shared_ptr<const http::Fields> fields, CorsWaiter& asker) {
  if (cors_.size() >= kMaxOrigins && !cors_.contains(origin)) cors_.erase(cors_.begin());
  cors_[origin] = std::move(fields);
  for (auto* waiter : take_cors_waiters(origin, asker)) waiter->on_cors_changed();
}

void ChannelHost::fail_cors(const std::string& origin, relay::TroubleReason reason, int status, Millis retry_after,
                            CorsWaiter& asker) {
  for (auto* waiter : take_cors_waiters(origin, asker)) waiter->on_cors_trouble(reason, status, retry_after);
}

void ChannelHost::leave_cors(const std::string& origin, CorsWaiter& waiter) {
  const auto at = cors_waiters_.find(origin);
  if (at == cors_waiters_.end()) return;
  const bool was_asker = !at->second.empty() && at->second.front() == &waiter;
  if (!was_asker) {
    std::erase(at->second, &waiter);
    return;
  }
  // The next one asks.
  for (auto* other : take_cors_waiters(origin, waiter)) other->on_cors_changed();
}

}  // namespace ssequel::gateway
