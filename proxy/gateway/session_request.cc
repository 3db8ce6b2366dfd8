#include "gateway/session_request.h"

#include "gateway/session_reattach.h"
#include "gateway/session_resume.h"
#include "gateway/session_snapshot.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/reattach.h"
#include "relay/stream_head.h"
#include "replay/event_id.h"

namespace ssequel::gateway {

relay::UpstreamLastEventId upstream_id_of(const relay::LastEventId& id) {
  using Kind = relay::UpstreamLastEventId::Kind;
  if (!id.has_tag) return {};
  const auto parsed = replay::parse_id(id.value);
  if (!parsed.origin || !http::is_field_value(*parsed.origin)) return {.kind = Kind::Removed, .value = {}};
  return {.kind = Kind::Replaced, .value = *parsed.origin};
}

namespace {

template <class Kind>
Kind& begin(Worker& worker, ClientSession& client, SessionContext&& context, AccessRecord&& record) {
  auto exchange = std::make_unique<Kind>(worker, client, std::move(context), std::move(record));
  auto& begun = *exchange;
  client.begin(std::move(exchange));
  return begun;
}

}  // namespace

void start_session_request(Worker& worker, ClientSession& client, std::shared_ptr<const relay::Route> route,
                           http::RequestHead& head, relay::LastEventId id, AccessRecord record) {
  SessionContext context;
  context.identity = relay::identity_of(head.fields, route->identity);
  context.route = std::move(route);
  context.id = std::move(id);
  context.head = std::move(head);
  if (context.head.method == "HEAD") {
    // No content, hence nothing to resume (RFC 9110 §9.3.2); our ids stay here all the same.
    const auto upstream_id = upstream_id_of(context.id);
    auto exchange = std::make_unique<Forward>(worker, client, std::move(record));
    auto& begun = *exchange;
    client.begin(std::move(exchange));
    begun.start(context.head, context.route.get(), upstream_id);
    return;
  }
  if (!context.route->identity.authorize.empty()) {
    begin<SessionAdmission>(worker, client, std::move(context), std::move(record)).start();
    return;
  }
  go_on_with_session(worker, client, std::move(context), std::move(record));
}

void go_on_with_session(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record) {
  if (context.id.has_tag) {
    begin<SessionResume>(worker, client, std::move(context), std::move(record)).start();
    return;
  }
  const bool is_plain = !context.id.is_present || context.id.is_readable;
  if (is_plain && relay::has_reattach_field(*context.route, context.head)) {
    begin<SessionReattach>(worker, client, std::move(context), std::move(record)).start();
    return;
  }
  begin<SessionOpen>(worker, client, std::move(context), std::move(record)).start_session({}, false);
  client.hold_content(false);
}

// --------------------------------------------------------------------------------------------------------- join

bool is_lost_for_good(relay::Channel& channel) {
  if (channel.state() != relay::Channel::State::Ended || channel.setup().method == "GET") return false;
  const auto end = channel.log()->last_end();
  return !end || !end->is_clean;
}

void join_session(Worker& worker, ClientSession& client, ChannelHost& host, const SessionContext& context,
                  AccessRecord record, const Beginning& beginning, const http::Fields* set_cookies) {
  auto& channel = host.channel();
  const bool has_ended = channel.state() == relay::Channel::State::Ended;
  const bool is_opener = set_cookies != nullptr;
  StreamAnswer answer;
  answer.head = &context.head;
  answer.last_event_id = &context.id;
  answer.cors = &channel.head()->cors;
  answer.set_cookies = set_cookies;
  answer.uploads = is_opener && !client.is_content_over();
  answer.then_upstream_lost = is_lost_for_good(channel) && !is_opener;
  answer.ends_now = has_ended && beginning.place == channel.log()->published() && !answer.then_upstream_lost;
  begin_stream(worker, client, host, std::move(record), beginning, std::move(answer));
}

void replay_session(Worker& worker, ClientSession& client, ChannelHost& host, SessionContext context,
                    AccessRecord record, const Beginning& beginning, const http::Fields* set_cookies) {
  const auto& channel = host.channel();
  if (!beginning.sync || channel.route().on_gap.snapshot.empty()) {
    join_session(worker, client, host, context, std::move(record), beginning, set_cookies);
    return;
  }
  SessionSnapshot::Luggage luggage{.tag = channel.setup().key,
                                   .beginning = beginning,
                                   .is_opener = set_cookies != nullptr,
                                   .set_cookies = set_cookies ? *set_cookies : http::Fields()};
  auto exchange =
      std::make_unique<SessionSnapshot>(worker, client, std::move(context), std::move(record), std::move(luggage));
  auto& begun = *exchange;
  client.replace(std::move(exchange));
  begun.start(channel);
}

// --------------------------------------------------------------------------------------------------------- open

SessionOpen::SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record)
    : SessionOpen(worker, client, std::move(context), std::move(record), nullptr) {}

SessionOpen::SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
                         std::unique_ptr<ReattachTicket> ticket)
    : Forward(worker, client, std::move(record)), context_(std::move(context)), ticket_(std::move(ticket)) {}

void SessionOpen::on_client_gone() {
  Forward::on_client_gone();
  ticket_.reset();
}

void SessionOpen::start_session(const relay::UpstreamLastEventId& id, bool tell_unknown) {
  tell_unknown_ = tell_unknown;
  start(context_.head, context_.route.get(), id);
}

bool SessionOpen::judge_head(http::ResponseHead& head) {
  if (is_trouble(head.status) && context_.head.method == "GET" && accepts_event_stream(context_.head.fields)) {
    upstream_->abandon();
    trouble(relay::TroubleReason::Status, head.status, worker_.retry_after_of(head.fields));
    return true;
  }
  if (!relay::is_event_stream(head, context_.route->upstream_format)) {
    ticket_.reset();
    return false;
  }
  const auto coding = http::content_coding(head.fields.get("Content-Encoding").value_or(std::string_view()));
  if (!coding) {
    ticket_.reset();
    worker_.warn_of_coding(context_.route->name);
    return false;
  }
  take_stream(head, *coding);
  return true;
}

void SessionOpen::take_stream(http::ResponseHead& head, http::ContentCoding coding) { open_channel(head, coding); }

void SessionOpen::open_channel(http::ResponseHead& head, http::ContentCoding coding) {
  const auto& request = context_.head;
  auto binding = binding_of(context_);
  if (ticket_) binding.reattach = ticket_->digest();
  auto* host = worker_.channels().open_session(context_.route, request.method, request.origin_form, request.host,
                                               std::move(binding));
  if (!host) {
    upstream_->abandon();
    trouble(relay::TroubleReason::Overload, 503, Millis(1000));
    return;
  }
  if (ticket_) std::exchange(ticket_, nullptr)->succeeded();
  const auto origin = request.fields.get("Origin").value_or(std::string_view());
  host->adopt_upstream(std::move(upstream_), head, origin, coding);
  Beginning beginning;
  beginning.prime = !context_.id.is_present && wants_priming(*context_.route, request);
  if (context_.id.is_present) {
    auto& counters = host->counters();
    ++counters.reconnects;
    counters.replayed.observe(0, relay::kReplayBounds);
    ++counters.resumes[static_cast<std::size_t>(relay::ResumedBy::None)];
  }
  if (tell_unknown_) {
    auto& counters = host->counters();
    beginning.sync = sse::SyncReason::Unknown;
    ++counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Unknown)];
    if (!context_.is_mismatch) ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)];
  }
  replay_session(worker_, client_, *host, std::move(context_), std::move(record_), beginning, &head.fields);
}

bool SessionOpen::judge_failure(UpstreamFailure failure, const Error& error) {
  ticket_.reset();
  if (context_.head.method != "GET" || !accepts_event_stream(context_.head.fields)) return false;
  const auto reason = failure == UpstreamFailure::Timeout   ? relay::TroubleReason::Timeout
                      : failure == UpstreamFailure::Connect ? relay::TroubleReason::Connect
                                                            : relay::TroubleReason::BadResponse;
  record_.cause = error.context;
  trouble(reason, 0, Millis(0));
  return true;
}

void SessionOpen::trouble(relay::TroubleReason reason, int status, Millis retry_after) {
  ticket_.reset();
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(reason)];
  if (status != 0) record_.cause = std::to_string(status);
  if (context_.head.method != "GET" || !accepts_event_stream(context_.head.fields)) {
    log(status);
    client_.respond_problem(status, "limits.channels is reached and every channel is read", "Retry-After: 1\r\n");
    return;
  }
  log(200);
  worker_.answer_trouble(client_, *context_.route, context_.head, worker_.trouble_retry(*context_.route, retry_after));
}

// ----------------------------------------------------------------------------------------------------- continue

void SessionContinue::stop() {
  if (!std::exchange(is_asking_, false)) return;
  if (auto* host = worker_.channels().find(tag_)) host->stop_continuing();
}

void SessionContinue::on_client_gone() {
  SessionOpen::on_client_gone();
  stop();
}

bool SessionContinue::judge_head(http::ResponseHead& head) {
  const bool is_taken = SessionOpen::judge_head(head);
  stop();
  return is_taken;
}

bool SessionContinue::judge_failure(UpstreamFailure failure, const Error& error) {
  const bool is_taken = SessionOpen::judge_failure(failure, error);
  stop();
  return is_taken;
}

void SessionContinue::take_stream(http::ResponseHead& head, http::ContentCoding coding) {
  auto* host = worker_.channels().find(tag_);
  if (!host || host->channel().state() != relay::Channel::State::Ended) {
    // Gone meanwhile: as for any tag whose channel is gone, an origin id in it was asked for, else nothing is known.
    tell_unknown_ = upstream_id_of(context_.id).kind != relay::UpstreamLastEventId::Kind::Replaced;
    open_channel(head, coding);
    return;
  }
  Beginning beginning;
  beginning.place = place_;
  StreamAnswer answer;
  answer.head = &context_.head;
  answer.last_event_id = &context_.id;
  const auto origin = context_.head.fields.get("Origin").value_or(std::string_view());
  host->continue_with(std::move(upstream_), head, origin, coding);
  answer.cors = &host->channel().head()->cors;
  answer.set_cookies = &head.fields;
  begin_stream(worker_, client_, *host, std::move(record_), beginning, std::move(answer));
}

}  // namespace ssequel::gateway
