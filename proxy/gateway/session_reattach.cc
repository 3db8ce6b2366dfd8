#include "gateway/session_reattach.h"

#include "gateway/session_request.h"

namespace ssequel::gateway {
namespace {

// Of the whole process. Beyond it requests are passed on without being held.
constexpr std::uint64_t kMaxHeldContent = 64 * 1024 * 1024;

}  // namespace

SessionReattach::SessionReattach(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
                                 Luggage luggage)
    : PendingSession(worker, client, std::move(context), std::move(record)),
      reading_(*context_.route, context_.head, context_.identity, context_.id.value),
      luggage_(std::move(luggage)) {}

SessionReattach::~SessionReattach() {
  if (!is_over_) on_client_gone();
  release();
}

void SessionReattach::leave() {
  PendingSession::leave();
  if (std::exchange(is_waiting_, false)) worker_.house().reattachments.leave(luggage_.digest, this);
}

void SessionReattach::start() {
  if (!luggage_.digest.empty()) {
    static_cast<void>(hold(luggage_.content.size()));  // It has been read already.
    decide();
    return;
  }
  auto& head = context_.head;
  using Kind = http::Framing::Kind;
  if (head.framing.kind == Kind::Length && head.framing.length > relay::kMaxReattachContent) {
    ask_upstream(false);
  } else if (head.expects_continue) {
    // The content is wanted, here: what the upstream will say is not known before (RFC 9110 §10.1.1).
    if (!client_.is_http10()) client_.write("HTTP/1.1 100 Continue\r\n\r\n");
    head.fields.remove("Expect");
    head.expects_continue = false;
  }
  client_.hold_content(false);
}

bool SessionReattach::hold(std::size_t size) {
  auto& held = worker_.house().held_content;
  held_ += size;
  if (held.fetch_add(size, std::memory_order_relaxed) + size <= kMaxHeldContent) return true;
  worker_.log_once("reattach:" + context_.route->name, LogLevel::Warn,
                   "too much content of requests with a `reattach` field is held at once; such requests are passed on "
                   "without being looked for",
                   context_.route->name);
  return false;
}

void SessionReattach::release() {
  worker_.house().held_content.fetch_sub(std::exchange(held_, 0), std::memory_order_relaxed);
}

void SessionReattach::on_content(std::string_view content) {
  if (is_over_) return;
  luggage_.content += content;
  reading_.add(content);
  const bool may_hold = hold(content.size());
  if (luggage_.content.size() > relay::kMaxReattachContent || !may_hold) ask_upstream(false);
}

void SessionReattach::on_content_end(const http::Fields& trailers) {
  if (is_over_) return;
  luggage_.trailers = trailers;
  luggage_.digest = reading_.finish();
  // Not from inside the parser: the connection may move to another loop.
  later([this] { decide(); });
}

void SessionReattach::decide() {
  is_waiting_ = false;
  const auto look_again = [this, &worker = worker_, alive = alive_] {
    worker.post([this, alive] {
      if (*alive && !is_over_ && is_waiting_) decide();
    });
  };
  auto& reattachments = worker_.house().reattachments;
  const auto found = reattachments.look_up(luggage_.digest, this, look_again);
  using Kind = Reattachments::Found::Kind;
  switch (found.kind) {
    case Kind::Asks:
      ask_upstream(true);
      return;
    case Kind::Waits:
      is_waiting_ = true;
      return;
    case Kind::Session:
      break;
  }
  if (auto& owner = worker_.owner_of(found.tag); &owner != &worker_) {
    release();
    move_to<SessionReattach>(owner, std::move(luggage_));
    return;
  }
  auto* host = worker_.channels().find(found.tag);
  if (!host) {  // Just gone.
    reattachments.forget(luggage_.digest, found.tag);
    decide();
    return;
  }
  if (needs_admission()) {
    ask_authorizer();
    return;
  }
  join(*host);
}

void SessionReattach::ask_upstream(bool is_awaited) {
  auto luggage = std::move(luggage_);
  release();
  std::unique_ptr<ReattachTicket> ticket;
  if (is_awaited) ticket = std::make_unique<ReattachTicket>(worker_.house().reattachments, luggage.digest);
  auto& open = replace_by<SessionOpen>(std::move(ticket));
  open.start_session({}, false);
  if (!luggage.content.empty()) open.on_content(luggage.content);
  if (is_awaited) open.on_content_end(luggage.trailers);
}

void SessionReattach::join(ChannelHost& host) {
  auto& channel = host.channel();
  channel.expire();
  const auto& log = *channel.log();
  auto& counters = host.counters();
  ++counters.reattached;
  Beginning beginning;
  if (log.first() != 0) {
    // Its beginning is gone. Nothing is paid or done twice, and nobody goes live over a silent gap: told.
    beginning.sync = sse::SyncReason::Window;
    beginning.place = channel.route().on_gap.resume == relay::GapResume::Oldest ? log.first() : log.published();
    ++counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Window)];
    ++counters.gaps_window;
  } else {
    beginning.prime = wants_priming(channel.route(), context_.head);
  }
  beginning.is_replay = beginning.place != log.published();
  answered();
  context_.id = {};  // From its beginning, whatever the upstream was asked with.
  replay_session(worker_, client_, host, std::move(context_), std::move(record_), beginning);
}

}  // namespace ssequel::gateway
