#include "gateway/session_resume.h"

#include <algorithm>

#include "base/seeded_bug.h"
#include "gateway/session_request.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/stream_head.h"
#include "replay/event_id.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

std::string_view tag_of(const relay::LastEventId& id) { return replay::parse_id(id.value).tag; }

bool lists_method(const relay::Route& route, std::string_view method) {
  return std::find(route.match.methods.begin(), route.match.methods.end(), method) != route.match.methods.end();
}

}  // namespace

SessionResume::SessionResume(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
                             Luggage)
    : PendingSession(worker, client, std::move(context), std::move(record)) {}

SessionResume::~SessionResume() {
  if (!is_over_) on_client_gone();
}

void SessionResume::leave() {
  PendingSession::leave();
  if (std::exchange(is_looking_, false)) worker_.joins().forget(*this);
  if (!std::exchange(is_waiting_, false)) return;
  if (auto* host = worker_.channels().find(tag_of(context_.id))) host->leave_continuing(*this);
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
    later([this, &owner] { move_to<SessionResume>(owner, Luggage{}); });
    return;
  }
  if (needs_admission() && known_channel()) {
    ask_authorizer();
    return;
  }
  resume();
}

ChannelHost* SessionResume::known_channel() {
  auto* host = worker_.channels().find(tag_of(context_.id));
  if (!host || host->channel().is_shared() || host->channel().route().name != context_.route->name) return nullptr;
  const auto& method = context_.head.method;
  if (method != "GET" && method != host->channel().setup().method) return nullptr;
  if (host->binding().admits(binding_of(context_)) || seeded_bug("tag-without-identity")) return host;
  if (!std::exchange(context_.is_mismatch, true)) {
    ++host->counters().mismatches[static_cast<std::size_t>(relay::Mismatch::Identity)];
  }
  if (const auto what = "identity:" + context_.route->name; worker_.is_unsaid(what)) {
    const auto cookies = relay::identity_cookies(context_.head.fields, context_.route->identity);
    worker_.log_once(what, LogLevel::Warn,
                     "a known session id came with another identity, path or Origin and was answered as unknown; if a "
                     "cookie or token that changes is the reason, have the authoriser say who asks "
                     "(identity.authorize), or set identity.fields or identity.cookies; its cookies: " +
                         (cookies.empty() ? "none" : cookies),
                     context_.route->name);
  }
  return nullptr;
}

void SessionResume::resume() {
  if (auto* host = known_channel()) {
    if (waits_for_entries(*host) || waits_for_another(*host)) return;
    resume_in(*host);
  } else {
    // Whether another identity's session is known here makes no difference, in time neither.
    if (looks_elsewhere()) return;
    without_channel();
  }
  client_.hold_content(false);
}

bool SessionResume::looks_elsewhere() {
  const auto* store = worker_.store();
  if (store == nullptr || !store->is_shared() || std::exchange(has_looked_, true) || !context_.id.is_readable) {
    return false;
  }
  is_looking_ = true;
  client_.hold_content(true);
  worker_.joins().find(context_.route, std::string(tag_of(context_.id)), *this);
  return true;
}

void SessionResume::on_joined() {
  is_looking_ = false;
  if (needs_admission() && known_channel()) {
    ask_authorizer();
    return;
  }
  resume();
}

// Nobody can say whether there is such a session: nothing is asked of the service for it.
void SessionResume::on_join_failed() {
  is_looking_ = false;
  trouble("store", "the store that knows the session does not answer");
}

bool SessionResume::waits_for_entries(ChannelHost& host) {
  auto& channel = host.channel();
  if (!channel.has_nodes() || has_caught_up_ || !context_.id.is_readable) return false;
  if (replay::resume(*channel.log(), context_.id.value).kind == replay::Resume::Kind::Suffix) return false;
  has_caught_up_ = true;
  client_.hold_content(true);
  channel.catch_up([this, alive = alive_](bool is_good) {
    if (!*alive || is_over_) return;
    if (is_good) return resume();
    trouble("store", "the store that knows the session does not answer");
  });
  return true;
}

void SessionResume::trouble(const char* cause, std::string_view detail) {
  leave();
  answered();
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Overload)];
  client_.hold_content(false);
  if (context_.head.method == "GET" && accepts_event_stream(context_.head.fields)) {
    record_.cause = cause;
    worker_.log_access(record_, 200);
    worker_.answer_trouble(client_, *context_.route, context_.head,
                           worker_.trouble_retry(*context_.route, Millis(1000)));
    return;
  }
  worker_.log_access(record_, 503);
  client_.respond_problem(503, detail, "Retry-After: 1\r\n");
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
  later([this] { resume(); });
}

void SessionResume::resume_in(ChannelHost& host) {
  auto& channel = host.channel();
  const auto beginning = begin_by_id(worker_, host, context_.id, false);
  const bool is_at_end = beginning.place == channel.log()->published() && !beginning.sync;
  const bool has_ended = channel.state() == relay::Channel::State::Ended;
  if (has_ended && is_at_end && !is_lost_for_good(channel) && answer_at_end(host, beginning.place)) return;
  answered();
  replay_session(worker_, client_, host, std::move(context_), std::move(record_), beginning);
}

bool SessionResume::answer_at_end(ChannelHost& host, replay::Place place) {
  auto& channel = host.channel();
  auto at_end = channel.route().at_end;
  if (at_end == relay::AtEnd::Auto) {
    at_end = channel.setup().method == "GET" ? relay::AtEnd::Upstream : relay::AtEnd::NoContent;
  }
  // Whatever else than a GET would be done a second time.
  if (at_end == relay::AtEnd::Upstream && context_.head.method != "GET") at_end = relay::AtEnd::NoContent;
  if (at_end == relay::AtEnd::Upstream && channel.has_nodes() && !channel.is_leading()) {
    if (has_sought_) {
      // Another node writes it just now, or the store is away: whoever asks again finds it as it is then.
      trouble("store", "another node goes on with this session");
      return true;
    }
    has_sought_ = is_waiting_ = true;
    client_.hold_content(true);
    host.seek_lease(*this);
    return true;
  }
  if (at_end == relay::AtEnd::Upstream) {
    relay::UpstreamLastEventId id{.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}};
    if (const auto last = channel.last_origin_id(); !last.empty()) {
      id = {.kind = relay::UpstreamLastEventId::Kind::Replaced, .value = std::string(last)};
    }
    host.start_continuing();
    replace_by<SessionContinue>(channel.setup().key, place).start_session(id, false);
    return true;
  }
  if (at_end == relay::AtEnd::Close) return false;
  answered();
  worker_.log_access(record_, 204);
  const bool close = !client_.may_keep_alive();
  std::string out;
  http::append_status_line(out, 204, "No Content");
  if (close) out += "Connection: close\r\n";
  out += "\r\n";
  client_.respond(out, close);
  return true;
}

void SessionResume::without_channel() {
  const auto parsed = replay::parse_id(context_.id.value);
  const bool is_get = context_.head.method == "GET" || seeded_bug("post-asked-twice");
  if (is_get && parsed.origin) {
    // The service's own resumption stands behind ours.
    const auto id = upstream_id_of(context_.id);
    const bool lost = id.kind == relay::UpstreamLastEventId::Kind::Removed;
    replace_by<SessionOpen>().start_session(id, lost);
    return;
  }
  if (is_get && lists_method(*context_.route, "GET")) {
    replace_by<SessionOpen>().start_session({.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}}, true);
    return;
  }
  break_off_unknown();
}

// Nothing is paid or done twice without the client's knowing: told, and broken off.
void SessionResume::break_off_unknown() {
  answered();
  auto& counters = worker_.route_counters(context_.route->name);
  ++counters.reconnects;
  ++counters.resumes[static_cast<std::size_t>(relay::ResumedBy::None)];
  ++counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Unknown)];
  if (!context_.is_mismatch) ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)];
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
