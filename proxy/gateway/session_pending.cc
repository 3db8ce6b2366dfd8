#include "gateway/session_pending.h"

#include "gateway/session_request.h"
#include "relay/identity.h"

namespace ssequel::gateway {

SessionBinding binding_of(const SessionContext& context) {
  return {.identity = context.identity,
          .path = std::string(context.head.path()),
          .origin = std::string(relay::foreign_origin(context.head))};
}

PendingSession::PendingSession(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record)
    : worker_(worker), client_(client), context_(std::move(context)), record_(std::move(record)) {}

PendingSession::~PendingSession() {
  *alive_ = false;
  if (is_asking_) worker_.authorizer().forget(*this);
}

void PendingSession::leave() {
  if (std::exchange(is_asking_, false)) worker_.authorizer().forget(*this);
}

void PendingSession::on_client_gone() {
  leave();
  if (!std::exchange(is_over_, true)) worker_.log_access(record_, 499);
}

void PendingSession::on_drain() {
  if (is_over_ || context_.head.method != "GET" || !accepts_event_stream(context_.head.fields)) return;
  leave();
  answered();
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Drain)];
  record_.cause = "drain";
  worker_.log_access(record_, 200);
  worker_.answer_trouble(client_, *context_.route, context_.head, worker_.drain_retry(*context_.route));
}

bool PendingSession::needs_admission() const {
  using Kind = relay::Authorize::Kind;
  const auto kind = context_.route->authorize.kind;
  return !context_.is_admitted && (kind == Kind::Probe || kind == Kind::Path);
}

void PendingSession::ask_authorizer() {
  is_asking_ = true;
  client_.hold_content(true);
  worker_.authorizer().ask(*context_.route, context_.head, client_.peer_address(), *this);
}

void PendingSession::on_verdict(const Verdict& verdict) {
  is_asking_ = false;
  if (verdict.kind == Verdict::Kind::Admitted) {
    context_.is_admitted = true;
    if (!verdict.identity.empty()) context_.identity = verdict.identity;
    on_admitted();
    return;
  }
  answered();
  if (verdict.kind == Verdict::Kind::Refused) {
    worker_.log_access(record_, verdict.status);
    answer_refusal(client_, verdict);
    return;
  }
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Authorizer)];
  if (context_.head.method == "GET" && accepts_event_stream(context_.head.fields)) {
    record_.cause = "authorize";
    worker_.log_access(record_, 200);
    worker_.answer_trouble(client_, *context_.route, context_.head,
                           worker_.trouble_retry(*context_.route, verdict.retry_after));
    return;
  }
  worker_.log_access(record_, 503);
  client_.respond_problem(503, "the authoriser gave no verdict", "Retry-After: 1\r\n");
}

void SessionAdmission::on_admitted() {
  answered();
  go_on_with_session(worker_, client_, std::move(context_), std::move(record_));
}

}  // namespace ssequel::gateway
