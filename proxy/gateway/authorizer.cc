#include "gateway/authorizer.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/sha256.h"
#include "gateway/worker.h"
#include "http/serializer.h"
#include "relay/stream_head.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxAdmissions = 100'000;

std::string question_key(const relay::Route& route, const http::RequestHead& head, const std::string& identity) {
  // The target may hold a credential: only its digest is kept.
  std::string text = std::to_string(route.name.size()) + ":" + route.name + std::to_string(head.host.size()) + ":" +
                     head.host + std::to_string(identity.size()) + ":" + identity + head.method + " " +
                     head.origin_form;
  const auto digest = sha256(text);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

void Authorizer::ask(const relay::Route& route, const http::RequestHead& head, const std::string& identity,
                     const std::string& peer_address, AuthorizeWaiter& waiter) {
  auto key = question_key(route, head, identity);
  const Millis now = worker_.loop().now();
  if (const auto known = admissions_.find(key); known != admissions_.end()) {
    if (known->second.until > now) {
      waiter.on_verdict({.kind = Verdict::Kind::Admitted, .identity = known->second.identity});
      return;
    }
    admissions_.erase(known);
  }
  auto& question = questions_[key];
  if (question) {
    question->waiters.push_back(&waiter);
    return;
  }
  question = std::make_unique<Question>(*this, key);
  question->is_probe = route.authorize.kind == relay::Authorize::Kind::Probe;
  question->identity_field = route.identity.authorize;
  question->holds_for = route.authorize_cache;
  question->format = route.upstream_format;
  question->waiters.push_back(&waiter);
  std::string text;
  http::RequestHead asking;
  asking.method = "GET";
  asking.fields = head.fields;
  for (const auto* name : {"Content-Length", "Content-Type", "Expect", "Range", "If-Range", "If-Match", "If-None-Match",
                           "If-Modified-Since", "If-Unmodified-Since"}) {
    asking.fields.remove(name);
  }
  asking.host = head.host;
  if (question->is_probe) {
    asking.origin_form = relay::shared_target(head, route);
  } else {
    asking.origin_form = route.authorize.path;
    asking.fields.remove("X-Original-Method");
    asking.fields.remove("X-Original-URI");
    asking.fields.add("X-Original-Method", head.method);
    asking.fields.add("X-Original-URI", head.origin_form);
  }
  relay::append_passed_request(text, asking, {.address = peer_address, .via = worker_.settings().options.via}, &route,
                               {.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}});
  question->request = std::make_unique<SideRequest>(worker_, *question, std::move(text), 0);
}

void answer_refusal(ClientSession& client, const Verdict& verdict) {
  std::string out;
  http::append_status_line(out, verdict.status, http::reason_phrase(verdict.status));
  verdict.fields.for_each([&](const http::Field& field) {
    for (const auto* name : {"Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Keep-Alive",
                             "Content-Encoding", "ETag", "Trailer", "Upgrade"}) {
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

void Authorizer::forget(AuthorizeWaiter& waiter) {
  for (auto& [key, question] : questions_) std::erase(question->waiters, &waiter);
}

void Authorizer::Question::on_side_answer(Result<SideAnswer> answer) {
  Verdict verdict;
  if (answer) {
    verdict.status = answer->status;
    const bool is_2xx = answer->status >= 200 && answer->status < 300;
    if (is_trouble(answer->status)) {
      verdict.retry_after = authorizer_.worker_.retry_after_of(answer->fields);
    } else if (is_2xx && !is_probe) {
      verdict.kind = Verdict::Kind::Admitted;
      if (!identity_field.empty()) {
        verdict.identity = std::string(answer->fields.get(identity_field).value_or(std::string_view()));
      }
    } else if (is_probe) {
      http::ResponseHead head;
      head.status = answer->status;
      head.fields = answer->fields;
      verdict.kind = relay::is_event_stream(head, format) ? Verdict::Kind::Admitted : Verdict::Kind::Refused;
      verdict.fields = std::move(answer->fields);
    } else {
      verdict.kind = Verdict::Kind::Refused;
      verdict.fields = std::move(answer->fields);
    }
  }
  auto& authorizer = authorizer_;
  if (verdict.kind == Verdict::Kind::Admitted && holds_for > Millis(0)) {
    const Millis now = authorizer.worker_.loop().now();
    if (authorizer.admissions_.size() >= kMaxAdmissions) {
      std::erase_if(authorizer.admissions_, [&](const auto& entry) { return entry.second.until <= now; });
      if (authorizer.admissions_.size() >= kMaxAdmissions) authorizer.admissions_.clear();
    }
    authorizer.admissions_[key_] = {now + holds_for, verdict.identity};
  }
  // Waiters may ask again, or die, while they are told.
  auto self = authorizer.questions_.extract(key_);
  authorizer.worker_.graveyard().take(std::move(self.mapped()));
  while (!waiters.empty()) {
    auto* waiter = waiters.front();
    waiters.erase(waiters.begin());
    waiter->on_verdict(verdict);
  }
}

}  // namespace ssequel::gateway
