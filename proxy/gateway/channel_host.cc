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

// A sweep over many sockets takes a while; the others are looked at in between.
constexpr std::size_t kSweep = 1024;
constexpr std::size_t kMaxRuns = 16;
constexpr std::size_t kReadBytes = 1024 * 1024;
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
      channel_(std::move(setup), *this, worker.house().random, worker.house().clock, counters) {}

ChannelHost::~ChannelHost() {
  *alive_ = false;
  if (upstream_) upstream_->abandon();
}

// -------------------------------------------------------------------------------------------------- subscribers

void ChannelHost::join(Subscription& subscription) {
  subscribers_.push_back(&subscription);
  channel_.on_reader_joined();
}

void ChannelHost::leave(Subscription& subscription) {
  const auto at = std::find(subscribers_.begin(), subscribers_.end(), &subscription);
  SSEQUEL_ASSERT(at != subscribers_.end(), "a subscription is in its channel's list");
  if (is_sweeping_) {
    *at = nullptr;
    ++holes_;
  } else {
    *at = subscribers_.back();
    subscribers_.pop_back();
  }
  channel_.on_reader_left();
}

void ChannelHost::compact() {
  if (holes_ == 0) return;
  std::erase(subscribers_, nullptr);
  holes_ = 0;
}

void ChannelHost::wake(relay::Channel&) {
  sweep_left_ = subscribers_.size();
  if (!sweep_deferred_ && !is_sweeping_) sweep();
}

void ChannelHost::sweep() {
  if (subscribers_.empty()) return;
  is_sweeping_ = true;
  replay::Place reached = 0;
  for (std::size_t served = 0; served < kSweep && sweep_left_ > 0; ++served, --sweep_left_) {
    if (sweep_at_ >= subscribers_.size()) sweep_at_ = 0;
    auto* subscription = subscribers_[sweep_at_++];
    if (!subscription) continue;
    subscription->serve();
    reached = std::max(reached, subscription->cursor());
  }
  is_sweeping_ = false;
  compact();
  runs_.clear();
  runs_from_ = replay::ReplayLog::kNoPlace;
  if (sweep_left_ > 0 && !sweep_deferred_) {
    sweep_deferred_ = true;
    worker_.loop().defer([this, alive = alive_] {
      if (!*alive) return;
      sweep_deferred_ = false;
      sweep();
    });
  }
  if (reached != 0) channel_.on_foremost(reached);
}

bool ChannelHost::read(replay::Place from, replay::Place stop, const std::vector<replay::Run>*& runs) {
  const auto& log = *channel_.log();
  // The first subscriber of a sweep looks; those at the same place find it here.
  if (is_sweeping_ && from == runs_from_ && stop == runs_stop_ && !runs_.empty() &&
      runs_.back().end == log.published()) {
    runs = &runs_;
    return true;
  }
  const bool held = log.read(from, stop, kMaxRuns, kReadBytes, runs_);
  runs_from_ = from;
  runs_stop_ = stop;
  runs = &runs_;
  return held;
}

void ChannelHost::broadcast(relay::Channel&, std::string_view line) {
  for (auto* subscription : subscribers_) {
    if (subscription) subscription->send_line(line);
  }
}

void ChannelHost::end_readers(relay::Channel&) {
  for_each_subscription([](Subscription& subscription) { subscription.end(std::nullopt); });
}

replay::Place ChannelHost::foremost(relay::Channel&) {
  replay::Place most = 0;
  for (const auto* subscription : subscribers_) {
    if (subscription) most = std::max(most, subscription->cursor());
  }
  return most;
}

// ------------------------------------------------------------------------------------------------------ waiters

void ChannelHost::wait(ChannelWaiter& waiter) {
  waiters_.push_back(&waiter);
  using State = relay::Channel::State;
  if (channel_.state() != State::Connecting && channel_.state() != State::Streaming) channel_.connect();
}

void ChannelHost::unwait(ChannelWaiter& waiter) {
  std::erase(waiters_, &waiter);
  if (waiters_.empty() && channel_.readers() == 0 && !channel_.head() && !channel_.setup().is_eager) {
    // Who opened it is gone before the upstream has said anything: nobody is left to ask for.
    worker_.channels().retire(*this);
  }
}

void ChannelHost::tell_open() {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_open();
}

void ChannelHost::tell_trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_trouble(reason, status, retry_after);
}

void ChannelHost::tell_closed() {
  for (auto* waiter : std::exchange(waiters_, {})) waiter->on_channel_closed();
}

// ----------------------------------------------------------------------------------------------------- upstream

void ChannelHost::connect(relay::Channel&) {
  drop_upstream();
  const auto& route = channel_.route();
  const auto& setup = channel_.setup();
  // An eager channel has no subscriber whose fields could go along.
  static const http::Fields kNone;
  const auto& credential = channel_.credential();
  const bool with_identity = route.key_has_identity() || route.authorize.kind == relay::Authorize::Kind::Probe ||
                             route.authorize.kind == relay::Authorize::Kind::Path;
  UpstreamSession::Request request;
  request.method = "GET";
  const auto& fields = credential ? credential->fields : kNone;
  request_origin_ = std::string(fields.get("Origin").value_or(std::string_view()));
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
    channel_.on_upstream_open(relay::make_stream_head(head, request_origin_, true), *coding);
    tell_open();
    return;
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
                       "it share one stream",
                       route.name);
    });
  });
}

void ChannelHost::answer_without_stream(http::ResponseHead& head) {
  const int status = head.status;
  const Millis retry_after = retry_after_of(head.fields);
  const bool was_open = channel_.head() != nullptr || channel_.setup().is_eager;
  const bool trouble = is_trouble(status);
  auto upstream = std::move(upstream_);
  const auto first = std::find_if(waiters_.begin(), waiters_.end(),
                                  [&](const ChannelWaiter* waiter) { return !trouble || waiter->wants_raw_answer(); });
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
  if (is_final(status) && !channel_.setup().is_eager) {
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
  read_at_ = std::chrono::steady_clock::now();
  channel_.on_upstream_read_over();
  worker_.channels().account(*this);
}

void ChannelHost::on_upstream_complete(const http::Fields&) {
  worker_.graveyard().take(std::move(upstream_));
  channel_.on_upstream_end(true);
  worker_.channels().account(*this);
}

void ChannelHost::on_upstream_upgraded(std::string_view) {
  on_upstream_failed(UpstreamFailure::Malformed, {ErrorCode::Malformed, "the upstream switched protocols unasked"});
}

void ChannelHost::on_upstream_failed(UpstreamFailure failure, const Error& error) {
  worker_.graveyard().take(std::move(upstream_));
  if (channel_.state() == relay::Channel::State::Streaming) {
    channel_.on_upstream_end(false);
    return;
  }
  const auto reason = failure == UpstreamFailure::Timeout   ? relay::TroubleReason::Timeout
                      : failure == UpstreamFailure::Connect ? relay::TroubleReason::Connect
                                                            : relay::TroubleReason::BadResponse;
  if (channel_.head() || channel_.setup().is_eager) {
    worker_.house().logger.warn("no connection to the upstream; trying again",
                                {{"route", channel_.route().name}, {"error", error.context}});
    tell_trouble(reason, 0, Millis(0));
    channel_.on_upstream_trouble(Millis(0));
    return;
  }
  auto waiters = std::exchange(waiters_, {});
  worker_.channels().retire(*this);
  for (auto* waiter : waiters) waiter->on_channel_trouble(reason, 0, Millis(0));
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

void ChannelHost::close() {
  if (std::exchange(is_closed_, true)) return;
  upstream_deadline_.cancel();
  rest_deadline_.cancel();
  drop_upstream();
  tell_closed();
  for_each_subscription([](Subscription& subscription) { subscription.end(std::nullopt); });
  upstream_deadline_.cancel();
  rest_deadline_.cancel();
}

// ---------------------------------------------------------------------------------------------------------- CORS

std::shared_ptr<const http::Fields> ChannelHost::cors_for(const std::string& origin) const {
  const auto known = cors_.find(origin);
  return known == cors_.end() ? nullptr : known->second;
}

void ChannelHost::keep_cors(const std::string& origin, std::shared_ptr<const http::Fields> fields) {
  if (cors_.size() >= kMaxOrigins && !cors_.contains(origin)) cors_.erase(cors_.begin());
  cors_[origin] = std::move(fields);
}

}  // namespace ssequel::gateway
