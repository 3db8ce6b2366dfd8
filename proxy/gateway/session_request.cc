#include "gateway/session_request.h"

#include "base/seeded_bug.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/stream_head.h"
#include "replay/event_id.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

SessionBinding binding_of(const SessionContext& context) {
  return {.identity = context.identity,
          .path = std::string(context.head.path()),
          .origin = std::string(relay::foreign_origin(context.head))};
}

std::string_view tag_of(const relay::LastEventId& id) { return replay::parse_id(id.value).tag; }

// In the place of an id of ours, the origin id in it.
relay::UpstreamLastEventId upstream_id_of(const relay::LastEventId& id) {
  using Kind = relay::UpstreamLastEventId::Kind;
  if (!id.has_tag) return {};
  const auto parsed = replay::parse_id(id.value);
  if (!parsed.origin || !http::is_field_value(*parsed.origin)) return {.kind = Kind::Removed, .value = {}};
  return {.kind = Kind::Replaced, .value = *parsed.origin};
}

bool lists_method(const relay::Route& route, std::string_view method) {
  return std::find(route.match.methods.begin(), route.match.methods.end(), method) != route.match.methods.end();
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
  if (context.id.has_tag) {
    auto exchange = std::make_unique<SessionResume>(worker, client, std::move(context), std::move(record));
    auto& begun = *exchange;
    client.begin(std::move(exchange));
    begun.start();
    return;
  }
  auto exchange = std::make_unique<SessionOpen>(worker, client, std::move(context), std::move(record));
  auto& begun = *exchange;
  client.begin(std::move(exchange));
  begun.start_session({}, false);
}

// --------------------------------------------------------------------------------------------------------- open

SessionOpen::SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record)
    : Forward(worker, client, std::move(record)), context_(std::move(context)) {}

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
  if (!relay::is_event_stream(head, context_.route->upstream_format)) return false;
  const auto coding = http::content_coding(head.fields.get("Content-Encoding").value_or(std::string_view()));
  if (!coding) {
    worker_.warn_of_coding(context_.route->name);
    return false;
  }
  take_stream(head, *coding);
  return true;
}

void SessionOpen::take_stream(http::ResponseHead& head, http::ContentCoding coding) { open_channel(head, coding); }

void SessionOpen::open_channel(http::ResponseHead& head, http::ContentCoding coding) {
  const auto& request = context_.head;
  auto* host = worker_.channels().open_session(context_.route, request.method, request.origin_form, request.host,
                                               binding_of(context_));
  if (!host) {
    upstream_->abandon();
    trouble(relay::TroubleReason::Overload, 503, Millis(1000));
    return;
  }
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
    ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)];
  }
  StreamAnswer answer;
  answer.head = &request;
  answer.last_event_id = &context_.id;
  answer.cors = &host->channel().head()->cors;
  answer.set_cookies = &head.fields;
  answer.uploads = !client_.is_content_over();
  begin_stream(worker_, client_, *host, std::move(record_), beginning, std::move(answer));
}

bool SessionOpen::judge_failure(UpstreamFailure failure, const Error& error) {
  if (context_.head.method != "GET" || !accepts_event_stream(context_.head.fields)) return false;
  const auto reason = failure == UpstreamFailure::Timeout   ? relay::TroubleReason::Timeout
                      : failure == UpstreamFailure::Connect ? relay::TroubleReason::Connect
                                                            : relay::TroubleReason::BadResponse;
  record_.cause = error.context;
  trouble(reason, 0, Millis(0));
  return true;
}

void SessionOpen::trouble(relay::TroubleReason reason, int status, Millis retry_after) {
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

// ------------------------------------------------------------------------------------------------------- resume

SessionResume::SessionResume(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record)
    : worker_(worker), client_(client), context_(std::move(context)), record_(std::move(record)) {}

SessionResume::~SessionResume() {
  *alive_ = false;
  if (!is_over_) on_client_gone();
}

void SessionResume::leave() {
  if (std::exchange(is_asking_, false)) worker_.authorizer().forget(*this);
  if (!std::exchange(is_waiting_, false)) return;
  if (auto* host = worker_.channels().find(tag_of(context_.id))) host->leave_continuing(*this);
}

void SessionResume::on_client_gone() {
  leave();
  if (!std::exchange(is_over_, true)) worker_.log_access(record_, 499);
}

void SessionResume::on_drain() {
  if (is_over_ || context_.head.method != "GET" || !accepts_event_stream(context_.head.fields)) return;
  leave();
  is_over_ = true;
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Drain)];
  record_.cause = "drain";
  worker_.log_access(record_, 200);
  worker_.answer_trouble(client_, *context_.route, context_.head, worker_.drain_retry(*context_.route));
}

void SessionResume::move_to(Worker& owner) {
  is_over_ = true;
  auto luggage = std::make_shared<std::pair<SessionContext, AccessRecord>>(std::move(context_), std::move(record_));
  auto handover = client_.hand_over();
  if (!handover) return;
  owner.take_over(std::move(*handover), [&owner, luggage](ClientSession& session) {
    auto exchange =
        std::make_unique<SessionResume>(owner, session, std::move(luggage->first), std::move(luggage->second));
    auto& moved = *exchange;
    session.begin(std::move(exchange));
    moved.start();
  });
}

void SessionResume::start() {
  if (!context_.id.is_readable) {
    resume();  // Several, of which one has a tag's form: no one's.
    return;
  }
  if (auto& owner = worker_.owner_of(tag_of(context_.id)); &owner != &worker_) {
    // The channel is another loop's, and so is what follows. Not from inside the parser: the rest of the request, which
    // may have to go upstream, moves along.
    client_.hold_content(true);
    worker_.loop().defer([this, alive = alive_, &owner] {
      if (*alive && !is_over_) move_to(owner);
    });
    return;
  }
  using Kind = relay::Authorize::Kind;
  const auto kind = context_.route->authorize.kind;
  if ((kind == Kind::Probe || kind == Kind::Path) && known_channel()) {
    is_asking_ = true;
    client_.hold_content(true);  // It may have to go upstream with what follows.
    worker_.authorizer().ask(*context_.route, context_.head, context_.identity, client_.peer_address(), *this);
    return;
  }
  resume();
}

void SessionResume::on_verdict(const Verdict& verdict) {
  is_asking_ = false;
  if (verdict.kind == Verdict::Kind::Admitted) {
    resume();
    return;
  }
  is_over_ = true;
  auto& counters = worker_.route_counters(context_.route->name);
  if (verdict.kind == Verdict::Kind::NoVerdict) {
    ++counters.trouble[static_cast<std::size_t>(relay::TroubleReason::Authorizer)];
    if (context_.head.method == "GET" && accepts_event_stream(context_.head.fields)) {
      record_.cause = "authorize";
      worker_.log_access(record_, 200);
      worker_.answer_trouble(client_, *context_.route, context_.head,
                             worker_.trouble_retry(*context_.route, verdict.retry_after));
      return;
    }
    worker_.log_access(record_, 503);
    client_.respond_problem(503, "the authoriser gave no verdict", "Retry-After: 1\r\n");
    return;
  }
  worker_.log_access(record_, verdict.status);
  answer_refusal(client_, verdict);
}

ChannelHost* SessionResume::known_channel() {
  auto* host = worker_.channels().find(tag_of(context_.id));
  if (!host || host->channel().is_shared() || host->channel().route().name != context_.route->name) return nullptr;
  const auto& method = context_.head.method;
  if (method != "GET" && method != host->channel().setup().method) return nullptr;
  if (!(host->binding() == binding_of(context_)) && !seeded_bug("tag-without-identity")) {
    ++host->counters().mismatches[static_cast<std::size_t>(relay::Mismatch::Identity)];
    if (const auto what = "identity:" + context_.route->name; worker_.is_unsaid(what)) {
      const auto cookies = relay::identity_cookies(context_.head.fields, context_.route->identity);
      worker_.log_once(what, LogLevel::Warn,
                       "a known session id came with another identity, path or Origin and was answered as unknown; if "
                       "a cookie or token that changes is the reason, set identity.fields or identity.cookies; its "
                       "cookies: " +
                           (cookies.empty() ? "none" : cookies),
                       context_.route->name);
    }
    return nullptr;
  }
  return host;
}

void SessionResume::resume() {
  if (auto* host = known_channel()) {
    if (waits_for_another(*host)) return;
    resume_in(*host);
  } else {
    without_channel();
  }
  client_.hold_content(false);
}

bool SessionResume::waits_for_another(ChannelHost& host) {
  auto& channel = host.channel();
  if (!host.is_continuing() || channel.state() != relay::Channel::State::Ended) return false;
  channel.expire();
  const auto resume = replay::resume(*channel.log(), context_.id.value);
  const bool is_at_end = resume.kind == replay::Resume::Kind::Suffix && resume.place == channel.log()->published();
  if (!is_at_end || context_.head.method != "GET") return false;
  is_waiting_ = true;
  client_.hold_content(true);  // It may have to go upstream after all.
  host.wait_for_continuing(*this);
  return true;
}

void SessionResume::on_continued() {
  is_waiting_ = false;
  worker_.loop().defer([this, alive = alive_] {
    if (*alive && !is_over_) resume();
  });
}

void SessionResume::resume_in(ChannelHost& host) {
  using State = relay::Channel::State;
  auto& channel = host.channel();
  const auto& route = channel.route();
  const auto& log = *channel.log();
  auto beginning = begin_by_id(worker_, host, context_.id, false);
  const bool is_at_end = beginning.place == log.published();
  const auto end = log.last_end();
  StreamAnswer answer;
  if (channel.state() == State::Ended) {
    const bool is_broken = !end || !end->is_clean;
    const bool opened_by_get = channel.setup().method == "GET";
    if (is_broken && !opened_by_get) {
      answer.then_upstream_lost = true;  // Never sent again by itself: nothing is paid or done twice.
    } else if (is_at_end) {
      auto at_end = route.at_end;
      if (at_end == relay::AtEnd::Auto) {
        at_end = opened_by_get ? relay::AtEnd::Upstream : relay::AtEnd::NoContent;
      }
      if (at_end == relay::AtEnd::Upstream && context_.head.method != "GET") at_end = relay::AtEnd::NoContent;
      if (at_end == relay::AtEnd::Upstream && !beginning.sync) {
        is_over_ = true;
        relay::UpstreamLastEventId id{.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}};
        if (const auto last = channel.last_origin_id(); !last.empty()) {
          id = {.kind = relay::UpstreamLastEventId::Kind::Replaced, .value = std::string(last)};
        }
        host.start_continuing();
        auto next = std::make_unique<SessionContinue>(worker_, client_, std::move(context_), std::move(record_),
                                                      channel.setup().key, beginning.place);
        auto& begun = *next;
        client_.replace(std::move(next));
        begun.start_session(id, false);
        return;
      }
      if (at_end == relay::AtEnd::NoContent && !beginning.sync) {
        is_over_ = true;
        worker_.log_access(record_, 204);
        const bool close = !client_.may_keep_alive();
        std::string out;
        http::append_status_line(out, 204, "No Content");
        if (close) out += "Connection: close\r\n";
        out += "\r\n";
        client_.respond(out, close);
        return;
      }
    }
  }
  is_over_ = true;
  answer.head = &context_.head;
  answer.last_event_id = &context_.id;
  answer.cors = &channel.head()->cors;
  answer.ends_now = channel.state() == State::Ended && is_at_end && !answer.then_upstream_lost;
  begin_stream(worker_, client_, host, std::move(record_), beginning, std::move(answer));
}

void SessionResume::without_channel() {
  is_over_ = true;
  const auto parsed = replay::parse_id(context_.id.value);
  const bool is_get = context_.head.method == "GET" || seeded_bug("post-asked-twice");
  if (is_get && parsed.origin) {
    // The service's own resumption stands behind ours.
    const auto id = upstream_id_of(context_.id);
    const bool lost = id.kind == relay::UpstreamLastEventId::Kind::Removed;
    auto next = std::make_unique<SessionOpen>(worker_, client_, std::move(context_), std::move(record_));
    auto& begun = *next;
    client_.replace(std::move(next));
    begun.start_session(id, lost);
    return;
  }
  if (is_get && lists_method(*context_.route, "GET")) {
    auto next = std::make_unique<SessionOpen>(worker_, client_, std::move(context_), std::move(record_));
    auto& begun = *next;
    client_.replace(std::move(next));
    begun.start_session({.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}}, true);
    return;
  }
  // Nothing is paid or done twice without the client's knowing: told, and broken off.
  auto& counters = worker_.route_counters(context_.route->name);
  ++counters.reconnects;
  ++counters.resumes[static_cast<std::size_t>(relay::ResumedBy::None)];
  ++counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Unknown)];
  ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)];
  counters.replayed.observe(0, relay::kReplayBounds);
  std::string out;
  const bool is_chunked = !client_.is_http10();
  relay::append_bare_head(out, context_.head.fields.get("Origin"), is_chunked, false, "sync-required; reason=unknown");
  std::string frame = sse::event_lines(
      context_.route->on_gap.event,
      sse::sync_required_data(sse::SyncReason::Unknown, context_.id.value, std::nullopt, std::nullopt));
  frame += '\n';
  if (is_chunked) http::append_chunk_header(out, frame.size());
  out += frame;
  if (is_chunked) out += "\r\n";
  worker_.log_access(record_, 200);
  client_.write(out);
  client_.break_off(is_chunked);
}

}  // namespace ssequel::gateway
