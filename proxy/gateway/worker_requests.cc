// What a request to a worker means, which exchange it begins, and the answers to trouble that hide it from a browser.
#include <algorithm>

#include "base/ascii.h"
#include "gateway/forward.h"
#include "gateway/preflight.h"
#include "gateway/session_request.h"
#include "gateway/shared_request.h"
#include "gateway/worker.h"
#include "http/retry_after.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/path_pattern.h"
#include "relay/stream_head.h"
#include "replay/event_id.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

constexpr Millis kMaxRetry{300'000};

bool has_method(const relay::Route& route, std::string_view method) {
  return std::find(route.match.methods.begin(), route.match.methods.end(), method) != route.match.methods.end();
}

}  // namespace

void Worker::on_request(ClientSession& session, http::RequestHead& head) {
  if (!turned_away_.empty() && turned_away_.contains(&session)) {
    turn_away(session, head);
    return;
  }
  if (head.method == "CONNECT" || head.method == "TRACE") {
    log_access(begin_record(head, {}), 405);
    session.respond_problem(405, "CONNECT and TRACE are not served here",
                            "Allow: GET, HEAD, POST, PUT, DELETE, "
                            "OPTIONS, PATCH\r\n");
    return;
  }
  for (const auto& route : settings_->routes) {
    if (!relay::path_matches(route->match.path, head.path())) continue;
    if (head.method == "OPTIONS" && head.fields.has("Access-Control-Request-Method")) {
      auto exchange = std::make_unique<Preflight>(*this, session, begin_record(head, route->name));
      auto& begun = *exchange;
      session.begin(std::move(exchange));
      begun.start_preflight(head);
      return;
    }
    auto id = relay::last_event_id_of(head, route->last_event_id_query);
    if (!belongs(*route, head, id)) continue;
    if (id.has_tag && id.is_readable && route->mode == relay::Mode::Session) {
      begin_tagged(session, head, id.value);
      return;
    }
    begin_stream_request(session, route, head, std::move(id));
    return;
  }
  auto exchange = std::make_unique<Forward>(*this, session, begin_record(head, {}));
  auto& begun = *exchange;
  session.begin(std::move(exchange));
  begun.start(head, nullptr, {});
}

bool Worker::belongs(const relay::Route& route, const http::RequestHead& head, const relay::LastEventId& id) {
  const bool is_listed = has_method(route, head.method);
  if (route.mode == relay::Mode::Shared) {
    if (!is_listed || head.method != "GET" || http::has_content(head.framing) || head.is_upgrade) return false;
  } else if (id.has_tag) {
    // A tag is ours whatever Accept says: by GET, or by the method that opened its channel.
    if (is_listed || head.method == "GET") return true;
    auto* host = channels_.find(replay::parse_id(id.value).tag);
    if (!host || host->channel().setup().method != head.method) return false;
    // Nobody else learns that there is such a tag.
    return !route.identity.authorize.empty() ||
           host->binding().identity == relay::identity_of(head.fields, route.identity);
  }
  if (!is_listed || head.is_upgrade) return false;
  return route.match.accept == relay::Accept::Any || id.is_present || accepts_event_stream(head.fields);
}

void Worker::begin_stream_request(ClientSession& session, const std::shared_ptr<const relay::Route>& route,
                                  http::RequestHead& head, relay::LastEventId id) {
  auto record = begin_record(head, route->name);
  if (drain_ == DrainPhase::Ending && head.method == "GET") {
    // Somebody who comes now is sent on, to a replica that stays.
    ++route_counters(route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Drain)];
    record.cause = "drain";
    log_access(record, 200);
    answer_trouble(session, *route, head, drain_retry(*route));
    return;
  }
  if (route->mode == relay::Mode::Session) {
    start_session_request(*this, session, route, head, std::move(id), std::move(record));
    return;
  }
  auto exchange =
      std::make_unique<SharedRequest>(*this, session, route, std::move(head), std::move(id), std::move(record));
  auto& begun = *exchange;
  session.begin(std::move(exchange));
  begun.start();
}

// Its request is read, so that the answer is not lost to a reset, and that a stream is not answered with an error.
void Worker::turn_away(ClientSession& session, http::RequestHead& head) {
  session.close_behind_answer();
  for (const auto& route : settings_->routes) {
    if (!relay::path_matches(route->match.path, head.path())) continue;
    const auto id = relay::last_event_id_of(head, route->last_event_id_query);
    if (head.method != "GET" || !accepts_event_stream(head.fields) || !belongs(*route, head, id)) continue;
    auto record = begin_record(head, route->name);
    record.cause = "limits.connections";
    ++route_counters(route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Overload)];
    log_access(record, 200);
    answer_trouble(session, *route, head, trouble_retry(*route, Millis(0)));
    return;
  }
  log_access(begin_record(head, {}), 503);
  session.respond_problem(503, "limits.connections is reached", "Retry-After: 1\r\n");
}

// ------------------------------------------------------------------------------------------------------ trouble

bool is_trouble(int status) noexcept { return status == 408 || status == 425 || status == 429 || status >= 500; }

Millis Worker::retry_after_of(const http::Fields& fields) const {
  const auto value = fields.get("Retry-After").value_or(std::string_view());
  const auto wait = http::parse_retry_after(value, house_.clock.unix_micros() / 1'000'000);
  return std::min<Millis>(kMaxRetry, wait.value_or(std::chrono::seconds(0)));
}

bool accepts_event_stream(const http::Fields& fields) {
  bool accepts = false;
  fields.for_each([&](const http::Field& field) {
    if (!ascii::equals(field.name, "Accept")) return;
    ascii::for_each_element(field.value, [&](std::string_view element) {
      accepts |= ascii::equals(ascii::trim(element.substr(0, element.find(';'))), "text/event-stream");
    });
  });
  return accepts;
}

bool looks_like_event_source(const http::RequestHead& head) {
  const auto accept = head.fields.get("Accept");
  const auto cache = head.fields.get("Cache-Control");
  return head.method == "GET" && accept && ascii::equals(*accept, "text/event-stream") && cache &&
         ascii::equals(*cache, "no-cache");
}

void Worker::answer_trouble(ClientSession& session, const relay::Route& route, const http::RequestHead& head,
                            std::uint64_t retry_ms) {
  const bool is_chunked = head.minor_version != 0;
  const bool clean = route.mode == relay::Mode::Shared && route.our_end == relay::OurEnd::Clean;
  const bool keep_alive = clean && is_chunked && session.may_keep_alive();
  std::string out;
  relay::append_bare_head(out, head.fields.get("Origin"), is_chunked, keep_alive);
  auto text = sse::retry_line(retry_ms);
  if (looks_like_event_source(head)) text += '\n';
  if (is_chunked) http::append_chunk_header(out, text.size());
  out += text;
  if (is_chunked) out += "\r\n";
  if (clean) {
    if (is_chunked) out += http::kLastChunk;
    session.write(out);
    session.finish(keep_alive);
    return;
  }
  session.write(out);
  session.break_off(is_chunked);
}

std::uint64_t Worker::trouble_retry(const relay::Route& route, Millis retry_after) {
  const Millis said = route.retry.value_or(Millis(0));
  const auto base = static_cast<std::uint64_t>((said > Millis(0) ? said : Millis(3000)).count());
  const auto jittered = base + house_.random.up_to(base);
  const auto least = static_cast<std::uint64_t>(retry_after.count());
  constexpr auto kMost = static_cast<std::uint64_t>(kMaxRetry.count());
  // Never all at the same moment, whatever was asked for.
  const auto spread = std::min(base, kMost / 10);
  if (std::max(jittered, least) >= kMost) return kMost - house_.random.up_to(spread);
  return jittered < least ? least + house_.random.up_to(std::min(spread, kMost - least)) : jittered;
}

std::uint64_t Worker::drain_retry(const relay::Route& route) {
  const auto said = static_cast<std::uint64_t>(route.retry.value_or(Millis(3000)).count());
  return said + house_.random.up_to(static_cast<std::uint64_t>(settings_->options.drain.retry_spread.count()));
}

}  // namespace ssequel::gateway
