#include "gateway/shared_request.h"

#include "base/ascii.h"
#include "gateway/forward.h"
#include "gateway/snapshot.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/stream_head.h"
#include "relay/upstream_request.h"
#include "replay/event_id.h"

namespace ssequel::gateway {

SharedRequest::SharedRequest(Worker& worker, ClientSession& client, std::shared_ptr<const relay::Route> route,
                             http::RequestHead head, relay::LastEventId id, AccessRecord record)
    : worker_(worker),
      home_(&worker),
      client_(client),
      route_(std::move(route)),
      head_(std::move(head)),
      id_(std::move(id)),
      record_(std::move(record)),
      origin_(head_.fields.get("Origin").value_or(std::string_view())),
      accepts_by_name_(accepts_event_stream(head_.fields)) {}

SharedRequest::~SharedRequest() {
  *alive_ = false;
  if (step_ != Step::Over) on_client_gone();
}

void SharedRequest::on_client_gone() {
  if (step_ == Step::Authorizing) worker_.authorizer().forget(*this);
  if (step_ == Step::Snapshot) worker_.snapshots().forget(*this);
  leave_channel();
  side_.reset();
  if (std::exchange(step_, Step::Over) != Step::Over) worker_.log_access(record_, 499);
}

void SharedRequest::on_drain() {
  if (step_ == Step::Over) return;
  if (step_ == Step::Authorizing) worker_.authorizer().forget(*this);
  if (step_ == Step::Snapshot) worker_.snapshots().forget(*this);
  leave_channel();
  step_ = Step::Over;
  side_.reset();
  ++worker_.route_counters(route_->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Drain)];
  record_.cause = "drain";
  worker_.log_access(record_, 200);
  worker_.answer_trouble(client_, *route_, head_, worker_.drain_retry(*route_));
}

void SharedRequest::leave_channel() {
  if (step_ == Step::Joining) worker_.joins().forget(*this);
  auto* host = key_.empty() ? nullptr : worker_.channels().find(key_);
  if (!host) return;
  if (credential_ && credential_->users == 0) host->channel().forget(credential_);
  if (step_ == Step::Waiting) host->unwait(*this);
  if (step_ == Step::Cors) host->leave_cors(origin_, static_cast<CorsWaiter&>(*this));
  if (step_ == Step::Waiting || step_ == Step::Cors || step_ == Step::Snapshot || step_ == Step::CatchingUp) {
    host->on_request_left();
  }
}

void SharedRequest::start() {
  identity_ = relay::identity_of(head_.fields, route_->identity);
  if (route_->authorize.kind == relay::Authorize::Kind::Path) {
    step_ = Step::Authorizing;
    worker_.authorizer().ask(*route_, head_, client_.peer_address(), *this);
    return;
  }
  attach();
}

void SharedRequest::on_verdict(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::Admitted:
      is_authorized_ = true;
      if (!route_->identity.authorize.empty() && !verdict.identity.empty()) identity_ = verdict.identity;
      attach();
      return;
    case Verdict::Kind::Refused:
      step_ = Step::Over;
      worker_.log_access(record_, verdict.status);
      answer_refusal(client_, verdict);
      return;
    case Verdict::Kind::NoVerdict:
      trouble(relay::TroubleReason::Authorizer, verdict.status, verdict.retry_after);
      return;
  }
}

bool SharedRequest::needs_verdict() const {
  // `auto` with an identity in the key: the channel's own upstream connection is the verdict.
  return route_->authorize.kind == relay::Authorize::Kind::Auto && route_->key_has_identity() && !identity_.empty();
}

std::shared_ptr<relay::Credential> SharedRequest::credential(ChannelHost& host) {
  if (credential_) return credential_;
  credential_ = host.channel().find_credential(identity_);
  if (!credential_) {
    credential_ = std::make_shared<relay::Credential>();
    credential_->identity = identity_;
  }
  credential_->fields = head_.fields;
  credential_->peer_address = client_.peer_address();
  return credential_;
}

bool SharedRequest::is_inside(const replay::ReplayLog& log) const {
  if (!id_.is_present || !id_.is_readable) return false;
  const auto resume = replay::resume(log, id_.value);
  return resume.kind == replay::Resume::Kind::Suffix && resume.place < log.published();
}

bool SharedRequest::probe() {
  if (route_->authorize.kind != relay::Authorize::Kind::Probe || is_authorized_ || has_verdict_) return false;
  step_ = Step::Authorizing;
  worker_.authorizer().ask(*route_, head_, client_.peer_address(), *this);
  return true;
}

void SharedRequest::attach() {
  using State = relay::Channel::State;
  step_ = Step::Attaching;
  key_ = relay::channel_key(*route_, head_, identity_);
  if (auto& owner = worker_.owner_of(key_); &owner != &worker_) {
    // Not from inside the parser: what follows the request has to move along.
    step_ = Step::Moving;
    worker_.loop().defer([this, alive = alive_, &owner] {
      if (*alive && step_ == Step::Moving) move_to(owner);
    });
    return;
  }
  auto* host = worker_.channels().find(key_);
  if (!host) {
    const auto* store = worker_.store();
    if (store != nullptr && store->is_shared()) {
      join();
    } else {
      open();
    }
    return;
  }
  auto& channel = host->channel();
  if (host->is_closed_by_upstream()) {
    // Inside the log: the rest and the end. Everyone else gets the upstream's own answer.
    if (!is_inside(*channel.log()) || needs_verdict()) {
      wait_for(*host);
      return;
    }
    if (probe()) return;
    then_final_ = true;
    admitted(*host);
    return;
  }
  if (!channel.head()) {
    wait_for(*host);
    return;
  }
  if (needs_verdict() && !has_verdict_) {
    if (!channel.stands_for(identity_)) {
      wait_for(*host);
      return;
    }
  }
  if (probe()) return;
  if (channel.state() == State::Dormant) {
    // Its coming opens the upstream again. Who has nothing to read meanwhile waits for what the upstream says.
    if (!id_.is_present) {
      wait_for(*host);
      return;
    }
    channel.admit(credential(*host));
    channel.connect();
  }
  admitted(*host);
}

void SharedRequest::move_to(Worker& owner) {
  step_ = Step::Over;
  struct Luggage {
    std::shared_ptr<const relay::Route> route;
    http::RequestHead head;
    relay::LastEventId id;
    AccessRecord record;
    std::string identity;
    Worker* home;
    bool is_authorized;
  };
  auto luggage = std::make_shared<Luggage>(
      Luggage{route_, std::move(head_), std::move(id_), std::move(record_), identity_, home_, is_authorized_});
  auto handover = client_.hand_over();
  if (!handover) return;
  owner.take_over(std::move(*handover), [&owner, luggage](ClientSession& session) {
    auto exchange = std::make_unique<SharedRequest>(owner, session, luggage->route, std::move(luggage->head),
                                                    std::move(luggage->id), std::move(luggage->record));
    auto& moved = *exchange;
    moved.home_ = luggage->home;
    moved.identity_ = luggage->identity;
    moved.is_authorized_ = luggage->is_authorized;
    session.begin(std::move(exchange));
    moved.attach();
  });
}

void SharedRequest::open() {
  if (route_->key_has_identity() && route_->identity.authorize.empty()) worker_.watch_cookies(*route_, head_);
  auto* host = worker_.channels().open_shared(route_, key_, relay::shared_target(head_, *route_), head_.host,
                                              route_->key_has_identity() && !identity_.empty(), false);
  if (!host) {
    trouble(relay::TroubleReason::Overload, 503, Millis(1000));
    return;
  }
  hand_on_id(*host);
  wait_for(*host);
}

void SharedRequest::hand_on_id(ChannelHost& host) {
  const bool is_ours = replay::has_tag_form(id_.value) || replay::has_form_of(id_.value, route_->ids.spelling());
  if (id_.is_present && id_.is_readable && !is_ours) host.channel().set_first_last_event_id(id_.value);
}

void SharedRequest::join() {
  step_ = Step::Joining;
  if (route_->key_has_identity() && route_->identity.authorize.empty()) worker_.watch_cookies(*route_, head_);
  worker_.joins().join({.route = route_,
                        .key = key_,
                        .target = relay::shared_target(head_, *route_),
                        .host = head_.host,
                        .has_identity = route_->key_has_identity() && !identity_.empty(),
                        .is_eager = false},
                       this);
}

void SharedRequest::on_joined() {
  step_ = Step::Attaching;
  auto* host = worker_.channels().find(key_);
  if (host && host->channel().log()->appended() == 0 && !host->channel().head()) hand_on_id(*host);
  attach();
}

void SharedRequest::wait_for(ChannelHost& host) {
  step_ = Step::Waiting;
  host.channel().admit(credential(host));
  host.wait(*this);
}

void SharedRequest::on_channel_open() {
  step_ = Step::Attaching;
  auto* host = worker_.channels().find(key_);
  // To somebody else's fields it says nothing of this one.
  if (host) has_verdict_ = host->channel().stands_for(identity_);
  attach();
}

void SharedRequest::on_channel_answer(std::unique_ptr<UpstreamSession> upstream, http::ResponseHead& head) {
  step_ = Step::Attaching;
  leave_channel();
  step_ = Step::Over;
  auto forward = std::make_unique<Forward>(worker_, client_, std::move(record_));
  auto& passing = *forward;
  client_.replace(std::move(forward));
  passing.adopt(std::move(upstream), head);
}

void SharedRequest::on_channel_closed() { attach(); }

void SharedRequest::on_channel_trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  step_ = Step::Attaching;
  auto* host = worker_.channels().find(key_);
  const bool may_read = host && host->channel().head() && !needs_verdict() &&
                        (route_->authorize.kind != relay::Authorize::Kind::Probe || is_authorized_);
  if (may_read) {
    // Its replay now, heartbeats while the channel reconnects.
    admitted(*host);
    return;
  }
  leave_channel();
  trouble(reason, status, retry_after);
}

void SharedRequest::trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  step_ = Step::Over;
  side_.reset();
  auto& counters = worker_.route_counters(route_->name);
  ++counters.trouble[static_cast<std::size_t>(reason)];
  // An odd answer to somebody else, a redirect say, is none for this one.
  const int shown = is_trouble(status) ? status : reason == relay::TroubleReason::Timeout ? 504 : 502;
  record_.cause = std::to_string(shown);
  if (accepts_by_name_ && head_.method == "GET") {
    worker_.log_access(record_, 200);
    worker_.answer_trouble(client_, *route_, head_, worker_.trouble_retry(*route_, retry_after));
    return;
  }
  worker_.log_access(record_, shown);
  std::string extra;
  if (shown == 503 || retry_after > Millis(0)) {
    extra = "Retry-After: " + std::to_string(std::max<std::int64_t>(1, retry_after.count() / 1000)) + "\r\n";
  }
  client_.respond_problem(shown, shown == 504 ? "the upstream did not answer in time" : "no answer from the upstream",
                          extra);
}

// ------------------------------------------------------------------------------------------------- CORS, snapshot

ChannelHost* SharedRequest::admitted_to() {
  auto* host = worker_.channels().find(key_);
  return host && host->channel().log() == log_ ? host : nullptr;
}

void SharedRequest::admitted(ChannelHost& host) {
  log_ = host.channel().log();
  if (!origin_.empty()) {
    find_cors(host);
    return;
  }
  place(host);
}

void SharedRequest::find_cors(ChannelHost& host) {
  const auto head = host.channel().head();
  const auto allowed = head->cors.get("Access-Control-Allow-Origin");
  if (head->origin == origin_ || allowed == "*") {
    cors_ = std::shared_ptr<const http::Fields>(head, &head->cors);
    place(host);
    return;
  }
  if (auto known = host.cors_for(origin_)) {
    cors_ = std::move(known);
    place(host);
    return;
  }
  // What this Origin may see is the upstream's to say: one short request with the subscriber's own fields, for all who
  // come from there meanwhile.
  step_ = Step::Cors;
  if (!host.ask_cors(origin_, static_cast<CorsWaiter&>(*this))) return;
  std::string request;
  const bool with_identity = route_->sends_identity();
  relay::append_shared_request(request, head_.fields, relay::shared_target(head_, *route_), head_.host,
                               {.address = client_.peer_address(), .via = worker_.settings().options.via}, *route_,
                               with_identity, std::nullopt);
  side_ = std::make_unique<SideRequest>(worker_, static_cast<SideListener&>(*this), std::move(request), 0);
}

void SharedRequest::on_cors_changed() {
  side_.reset();  // If it was ours: the channel is gone.
  step_ = Step::Attaching;
  auto* host = admitted_to();
  if (!host) {
    attach();
    return;
  }
  find_cors(*host);
}

void SharedRequest::on_cors_trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  step_ = Step::Attaching;
  leave_channel();
  if (auto* host = worker_.channels().find(key_)) host->on_request_left();
  trouble(reason, status, retry_after);
}

void SharedRequest::on_side_answer(Result<SideAnswer> answer) {
  // Its own functions may be on the stack.
  worker_.loop().defer([dead = std::shared_ptr<SideRequest>(std::move(side_))] {});
  auto* host = admitted_to();
  if (!answer || is_trouble(answer->status)) {
    const auto reason = answer ? relay::TroubleReason::Status : relay::TroubleReason::BadResponse;
    const int status = answer ? answer->status : 0;
    const Millis retry_after = answer ? worker_.retry_after_of(answer->fields) : Millis(0);
    if (host) host->fail_cors(origin_, reason, status, retry_after, static_cast<CorsWaiter&>(*this));
    on_cors_trouble(reason, status, retry_after);
    return;
  }
  auto fields = std::make_shared<http::Fields>();
  answer->fields.for_each([&](const http::Field& field) {
    if (relay::is_cors_field(field.name)) fields->add(field.name, field.value);
  });
  cors_ = fields;
  if (!host) {
    attach();
    return;
  }
  step_ = Step::Attaching;
  host->keep_cors(origin_, std::move(fields), static_cast<CorsWaiter&>(*this));
  place(*host);
}

void SharedRequest::on_snapshot(const Snapshot& snapshot) {
  step_ = Step::Attaching;
  auto* host = admitted_to();
  if (!host) {
    attach();
    return;
  }
  take_snapshot(beginning_, snapshot, *route_, *host->channel().log());
  subscribe(*host);
}

bool SharedRequest::waits_for_entries(ChannelHost& host) {
  auto& channel = host.channel();
  if (!channel.has_nodes() || has_caught_up_ || !id_.is_present || !id_.is_readable) return false;
  const auto resume = replay::resume(*channel.log(), id_.value);
  if (resume.kind == replay::Resume::Kind::Suffix || resume.reason == sse::SyncReason::Window) return false;
  has_caught_up_ = true;
  step_ = Step::CatchingUp;
  channel.catch_up([this, alive = alive_](bool is_good) {
    if (!*alive || step_ != Step::CatchingUp) return;
    step_ = Step::Attaching;
    // A node that cannot ask does not decide: the client finds another, or comes again.
    if (!is_good) return trouble(relay::TroubleReason::Overload, 503, Millis(1000));
    if (auto* there = admitted_to()) return place(*there);
    attach();
  });
  return true;
}

void SharedRequest::place(ChannelHost& host) {
  if (waits_for_entries(host)) return;
  beginning_ = begin_by_id(worker_, host, id_, wants_priming(*route_, head_));
  if (!beginning_.sync || route_->on_gap.snapshot.empty()) {
    subscribe(host);
    return;
  }
  // Fetched after the place was fixed: nothing between snapshot and stream is lost.
  step_ = Step::Snapshot;
  worker_.snapshots().ask({.route = *route_,
                           .log = *host.channel().log(),
                           .fields = head_.fields,
                           .host = head_.host,
                           .peer_address = client_.peer_address()},
                          *this);
}

void SharedRequest::subscribe(ChannelHost& host) {
  step_ = Step::Over;
  StreamAnswer answer;
  answer.head = &head_;
  answer.last_event_id = &id_;
  answer.cors = cors_.get();
  answer.home = home_;
  answer.credential = credential(host);
  if (host.channel().state() == relay::Channel::State::Dormant && !then_final_) {
    // The upstream was let go while something else was asked for this one.
    host.channel().admit(answer.credential);
    host.channel().connect();
  }
  answer.then_final = then_final_ || host.channel().state() == relay::Channel::State::Final;
  begin_stream(worker_, client_, host, std::move(record_), beginning_, std::move(answer));
}

}  // namespace ssequel::gateway
