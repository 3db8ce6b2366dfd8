#include "gateway/authorizer.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/sha256.h"
#include "gateway/worker.h"
#include "http/hop_by_hop.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/stream_head.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxAdmissions = 100'000;

// Everything that the answer may depend on, as far as it is the route's or the target's.
std::string question_key(const relay::Route& route, const http::RequestHead& head) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text.append(std::to_string(part.size())).append(":").append(part);
  };
  add(route.name);
  add(route.authorize.path);
  add(route.identity.authorize);
  add(head.host);
  add(relay::credential_of(head.fields, route.identity));
  add(head.method);
  add(relay::shared_target(head, route));
  // The target may hold a credential: only its digest is kept.
  const auto digest = sha256(text);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// What of a route says how an answer is read.
struct Manner {
  explicit Manner(const relay::Route& route)
      : is_probe(route.authorize.kind == relay::Authorize::Kind::Probe),
        identity_field(route.identity.authorize),
        format(route.upstream_format),
        holds_for(route.authorize_cache) {}
  [[nodiscard]] Verdict judge(Result<SideAnswer> answer, const Worker& worker) const;

  bool is_probe;
  std::string identity_field;
  relay::UpstreamFormat format;
  Millis holds_for;
};

Verdict Manner::judge(Result<SideAnswer> answer, const Worker& worker) const {
  Verdict verdict;
  if (!answer) return verdict;
  verdict.status = answer->status;
  if (is_trouble(answer->status)) {
    verdict.retry_after = worker.retry_after_of(answer->fields);
    return verdict;
  }
  bool is_admitted = answer->status >= 200 && answer->status < 300;
  if (is_probe) {
    http::ResponseHead head;
    head.status = answer->status;
    head.fields = answer->fields;
    is_admitted = relay::is_event_stream(head, format);
  }
  if (!is_admitted) {
    verdict.kind = Verdict::Kind::Refused;
    verdict.fields = std::move(answer->fields);
    return verdict;
  }
  verdict.kind = Verdict::Kind::Admitted;
  if (!identity_field.empty()) {
    verdict.identity = relay::authorised_identity(answer->fields.get(identity_field).value_or(std::string_view()));
  }
  return verdict;
}

SideRounds::Telling telling(Verdict verdict) {
  auto without_cookies = verdict;
  without_cookies.fields.remove("Set-Cookie");
  // Who has no verdict to give is not asked again for those who wait: they come back by themselves, not all at once.
  const bool is_for_all = verdict.kind == Verdict::Kind::NoVerdict;
  return {.tell =
              [verdict = std::move(verdict), without_cookies = std::move(without_cookies)](SideWaiter& told,
                                                                                           bool is_asker) {
                static_cast<AuthorizeWaiter&>(told).on_verdict(is_asker ? verdict : without_cookies);
              },
          .is_for_all = is_for_all};
}

}  // namespace

void answer_refusal(ClientSession& client, const Verdict& verdict) {
  std::string out;
  http::append_status_line(out, verdict.status, http::reason_phrase(verdict.status));
  const http::ConnectionOptions connection(verdict.fields);
  verdict.fields.for_each([&](const http::Field& field) {
    if (http::is_hop_by_hop(field.name) || connection.names(field.name)) return;
    for (const auto* name : {"Content-Length", "Content-Type", "Content-Encoding", "ETag", "Trailer"}) {
      if (ascii::equals(field.name, name)) return;
    }
    http::append_field(out, field.name, field.value);
  });
  const bool close = !client.may_keep_alive();
  if (verdict.status != 204) out += "Content-Length: 0\r\n";
  if (close) out += "Connection: close\r\n";
  out += "\r\n";
  client.respond(out, close);
}

std::string Authorizer::question_text(const relay::Route& route, const http::RequestHead& head,
                                      const std::string& peer_address) const {
  http::RequestHead asking;
  asking.method = "GET";
  asking.fields = head.fields;
  for (const auto* name : {"Content-Length", "Content-Type", "Expect", "Range", "If-Range", "If-Match", "If-None-Match",
                           "If-Modified-Since", "If-Unmodified-Since"}) {
    asking.fields.remove(name);
  }
  asking.host = head.host;
  if (route.authorize.kind == relay::Authorize::Kind::Probe) {
    asking.origin_form = relay::shared_target(head, route);
  } else {
    asking.origin_form = route.authorize.path;
    asking.fields.remove("X-Original-Method");
    asking.fields.remove("X-Original-URI");
    asking.fields.add("X-Original-Method", head.method);
    asking.fields.add("X-Original-URI", head.origin_form);
  }
  std::string text;
  relay::append_passed_request(text, asking, {.address = peer_address, .via = worker_.settings().options.via}, &route,
                               {.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}});
  return text;
}

Authorizer::Authorizer(Worker& worker)
    : worker_(worker), rounds_(worker, [](Worker& other) -> SideRounds& { return other.authorizer().rounds_; }) {}

std::optional<SideRounds::Telling> Authorizer::known(const std::string& key) {
  const auto at = admissions_.find(key);
  if (at == admissions_.end()) return std::nullopt;
  if (at->second.until <= worker_.loop().now()) {
    admissions_.erase(at);
    return std::nullopt;
  }
  return telling(Verdict{.kind = Verdict::Kind::Admitted, .identity = at->second.identity});
}

void Authorizer::ask(const relay::Route& route, const http::RequestHead& head, const std::string& peer_address,
                     AuthorizeWaiter& waiter) {
  SideRounds::Ask ask;
  ask.key = question_key(route, head);
  ask.known = [key = ask.key](Worker& home) { return home.authorizer().known(key); };
  ask.holds_for = route.authorize_cache;
  ask.text = [&] { return question_text(route, head, peer_address); };
  ask.judge = [key = ask.key, manner = Manner(route)](Worker& home, Millis asked_at, Result<SideAnswer> answer) {
    auto verdict = manner.judge(std::move(answer), home);
    home.authorizer().remember(key, asked_at + manner.holds_for, verdict);
    return telling(std::move(verdict));
  };
  rounds_.ask(ask, waiter);
}

void Authorizer::remember(const std::string& key, Millis until, const Verdict& verdict) {
  const Millis now = worker_.loop().now();
  if (verdict.kind != Verdict::Kind::Admitted || until <= now) return;
  if (admissions_.size() >= kMaxAdmissions) {
    std::erase_if(admissions_, [&](const auto& entry) { return entry.second.until <= now; });
    if (admissions_.size() >= kMaxAdmissions) admissions_.clear();
  }
  admissions_[key] = {until, verdict.identity};
}

}  // namespace ssequel::gateway
