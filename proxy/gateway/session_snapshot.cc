#include "gateway/session_snapshot.h"

#include "gateway/session_request.h"
#include "gateway/session_resume.h"

namespace ssequel::gateway {

SessionSnapshot::SessionSnapshot(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
                                 Luggage luggage)
    : PendingSession(worker, client, std::move(context), std::move(record)), luggage_(std::move(luggage)) {}

SessionSnapshot::~SessionSnapshot() {
  if (!is_over_) on_client_gone();
}

void SessionSnapshot::start(const relay::Channel& channel) {
  is_waiting_ = true;
  if (luggage_.is_opener) client_.hold_content(true);
  worker_.snapshots().ask({.route = channel.route(),
                           .log = *channel.log(),
                           .fields = context_.head.fields,
                           .host = context_.head.host,
                           .peer_address = client_.peer_address()},
                          *this);
}

void SessionSnapshot::leave() {
  PendingSession::leave();
  if (!std::exchange(is_waiting_, false)) return;
  worker_.snapshots().forget(*this);
  if (auto* host = worker_.channels().find(luggage_.tag)) host->on_request_left();
}

void SessionSnapshot::on_snapshot(const Snapshot& snapshot) {
  is_waiting_ = false;
  auto* host = worker_.channels().find(luggage_.tag);
  if (!host) {
    without_channel();
    return;
  }
  const auto& channel = host->channel();
  take_snapshot(luggage_.beginning, snapshot, channel.route(), *channel.log());
  answered();
  const bool is_opener = luggage_.is_opener;
  join_session(worker_, client_, *host, context_, std::move(record_), luggage_.beginning,
               is_opener ? &luggage_.set_cookies : nullptr);
}

void SessionSnapshot::without_channel() {
  if (context_.id.has_tag && !luggage_.is_opener) {
    replace_by<SessionResume>().start();
    return;
  }
  // Closed to make room for others.
  answered();
  ++worker_.route_counters(context_.route->name).trouble[static_cast<std::size_t>(relay::TroubleReason::Overload)];
  if (context_.head.method == "GET" && accepts_event_stream(context_.head.fields)) {
    record_.cause = "503";
    worker_.log_access(record_, 200);
    worker_.answer_trouble(client_, *context_.route, context_.head,
                           worker_.trouble_retry(*context_.route, Millis(1000)));
    return;
  }
  worker_.log_access(record_, 503);
  client_.respond_problem(503, "the session was closed to make room", "Retry-After: 1\r\n");
}

}  // namespace ssequel::gateway
