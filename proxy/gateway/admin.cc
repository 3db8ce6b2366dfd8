#include "gateway/admin.h"

#include "http/serializer.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxSessions = 256;
constexpr std::string_view kText = "text/plain; charset=utf-8";

// The page is what this program holds, and nothing else: no foreign script, style, image or frame, and nothing inline
// (CSP Level 3).
constexpr std::string_view kPagePolicy =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src "
    "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

// Only a process on this machine may drain us, and no page in a browser: a browser says its Origin with every POST.
bool may_drain(const std::string& peer, const http::RequestHead& head) {
  const bool is_local = peer.empty() || peer.starts_with("127.") || peer == "::1" || peer.starts_with("::ffff:127.");
  return is_local && !head.fields.has("Origin");
}

}  // namespace

// Waits for an answer that is gathered elsewhere.
class Admin::Pending final : public Exchange {
 public:
  explicit Pending(std::shared_ptr<bool> alive) : alive_(std::move(alive)) {}
  ~Pending() override { *alive_ = false; }
  void on_content(std::string_view) override {}
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override {}
  void on_client_gone() override { *alive_ = false; }

 private:
  std::shared_ptr<bool> alive_;
};

Admin::Admin(net::Loop& loop, net::DeadlineQueue& deadlines, const Clock& clock, AdminBackend& backend)
    : loop_(loop),
      deadlines_(deadlines),
      backend_(backend),
      status_feed_(deadlines, clock, static_cast<StatusSource&>(backend)),
      graveyard_(loop) {}

Admin::~Admin() {
  close();
  graveyard_.sweep();
}

Result<void> Admin::listen(const net::Address& address) {
  auto listener = net::Listener::open(loop_, address, false, *this);
  if (!listener) return tl::unexpected<Error>(listener.error());
  listener_ = std::move(*listener);
  return {};
}

std::uint16_t Admin::port() const { return listener_ ? listener_->port() : std::uint16_t{0}; }

void Admin::close() {
  listener_.reset();
  auto sessions = std::exchange(sessions_, {});
  for (auto& [key, session] : sessions) {
    session->over();
    graveyard_.take(std::move(session));
  }
}

void Admin::on_accepted(net::Owned<net::Stream> stream) {
  if (sessions_.size() >= kMaxSessions) return;
  auto session = std::make_unique<ClientSession>(std::move(stream), deadlines_, static_cast<ClientHandler&>(*this),
                                                 http::ParserLimits{}, ClientTimeouts{});
  auto* key = session.get();
  sessions_.emplace(key, std::move(session));
}

void Admin::on_session_over(ClientSession& session) {
  const auto at = sessions_.find(&session);
  if (at == sessions_.end()) return;
  graveyard_.take(std::move(at->second));
  sessions_.erase(at);
}

void Admin::answer(ClientSession& session, int status, std::string_view type, std::string_view content,
                   std::string_view extra) {
  const bool close = !session.may_keep_alive();
  std::string out;
  http::append_status_line(out, status, http::reason_phrase(status));
  http::append_field(out, "Content-Type", type);
  http::append_field(out, "Content-Length", std::to_string(content.size()));
  out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  out += extra;
  if (close) out += "Connection: close\r\n";
  out += "\r\n";
  if (!session.is_head_request()) out += content;
  session.respond(out, close);
}

void Admin::answer_later(ClientSession& session, void (AdminBackend::*ask)(std::function<void(std::string)>),
                         std::string_view type) {
  auto alive = std::make_shared<bool>(true);
  session.begin(std::make_unique<Pending>(alive));
  (backend_.*ask)([this, alive, &session, type](const std::string& content) {
    if (*alive) answer(session, 200, type, content);
  });
}

void Admin::on_request(ClientSession& session, http::RequestHead& head) {
  const auto path = head.path();
  if (path == "/drain") {
    if (head.method != "POST") {
      session.respond_problem(405, "drain is asked for by POST", "Allow: POST\r\n");
    } else if (!may_drain(session.peer_address(), head)) {
      session.respond_problem(403, "drain is taken from this machine only, and not from a browser");
    } else {
      backend_.drain();
      answer(session, 202, kText, "draining\n");
    }
    return;
  }
  if (head.method != "GET" && head.method != "HEAD") {
    session.respond_problem(405, "only GET and HEAD are served here", "Allow: GET, HEAD\r\n");
    return;
  }
  if (path == "/healthz") {
    answer(session, 200, kText, "ok\n");
  } else if (path == "/readyz") {
    const auto ready = backend_.readiness();
    const bool asks_store = head.query() == "store" || head.query().starts_with("store=");
    const bool ok = ready.is_ready && (!asks_store || ready.is_store_ready);
    auto text = ready.why + "\nstore: " + ready.store + "\n";
    for (const auto& [name, state] : ready.ids) text += "ids from " + name + ": " + state + "\n";
    answer(session, ok ? 200 : 503, kText, text);
  } else if (path == "/metrics") {
    answer_later(session, &AdminBackend::metrics, "text/plain; version=0.0.4; charset=utf-8");
  } else if (path == "/channels") {
    answer_later(session, &AdminBackend::channels, "application/json");
  } else if (path == "/status") {
    watch(session, head);
  } else if (const auto page = backend_.page(path)) {
    answer(session, 200, page->type, page->content, kPagePolicy);
  } else {
    session.respond_problem(404, "served here: /, /status, /metrics, /healthz, /readyz, /channels, POST /drain");
  }
}

void Admin::watch(ClientSession& session, const http::RequestHead& head) {
  if (head.method != "GET") {
    session.respond_problem(405, "the status is a stream: GET only", "Allow: GET\r\n");
  } else if (status_feed_.is_full()) {
    session.respond_problem(503, "as many as may are watching the status already", "Retry-After: 10\r\n");
  } else {
    status_feed_.join(session, head.fields.get("Last-Event-ID").value_or(std::string_view()));
  }
}

}  // namespace ssequel::gateway
