// Requests on session routes that are not answered yet: what all of them have in common, who leaves, what the
// authoriser says, the way to another loop.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "gateway/authorizer.h"
#include "gateway/channel_host.h"
#include "gateway/client_session.h"
#include "gateway/worker.h"

namespace ssequel::gateway {

struct SessionContext {
  std::shared_ptr<const relay::Route> route;
  http::RequestHead head;
  relay::LastEventId id;
  std::string identity;
  bool is_admitted = false;  // The authoriser was asked and has admitted it.
  bool is_mismatch = false;  // Its id is a known session's, but another's: counted as that, and as nothing else.
};

[[nodiscard]] SessionBinding binding_of(const SessionContext& context);

class PendingSession : public Exchange, private AuthorizeWaiter {
 public:
  PendingSession(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record);
  ~PendingSession() override;

  void on_content(std::string_view) override {}  // Read and thrown away.
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override { client_.cut(false); }
  void on_client_gone() override;
  void on_drain() override;

 protected:
  // Asks the authoriser; on_admitted() follows, maybe at once, or the request is answered. What of the request's
  // content has not come yet is held back: it may have to go upstream.
  void ask_authorizer();
  virtual void on_admitted() = 0;
  // Nobody may call this one any more. Derived ones leave what they wait for, and call this.
  virtual void leave();
  // The request is answered otherwise: no access line is written for one that left.
  void answered() { is_over_ = true; }
  // A question of the route's `authorize` that stands between a known log and its replay.
  [[nodiscard]] bool needs_admission() const;
  // Goes on in a turn of its own, unless this is over by then.
  template <class Next>
  void later(Next next) {
    worker_.loop().defer([this, alive = alive_, next = std::move(next)]() mutable {
      if (*alive && !is_over_) next();
    });
  }
  // In the place of this one, another one on the loop that owns what it is about: made there, with the luggage, and
  // started. Not from inside the parser: the rest of the request moves along.
  template <class Moved, class Luggage>
  void move_to(Worker& owner, Luggage luggage) {
    answered();
    struct Everything {
      SessionContext context;
      AccessRecord record;
      Luggage luggage;
    };
    auto all = std::make_shared<Everything>(Everything{std::move(context_), std::move(record_), std::move(luggage)});
    auto handover = client_.hand_over();
    if (!handover) return;
    owner.take_over(std::move(*handover), [&owner, all](ClientSession& session) {
      auto exchange = std::make_unique<Moved>(owner, session, std::move(all->context), std::move(all->record),
                                              std::move(all->luggage));
      auto& moved = *exchange;
      session.begin(std::move(exchange));
      moved.start();
    });
  }
  template <class Next, class... Rest>
  Next& replace_by(Rest&&... rest) {
    answered();
    auto next =
        std::make_unique<Next>(worker_, client_, std::move(context_), std::move(record_), std::forward<Rest>(rest)...);
    auto& begun = *next;
    client_.replace(std::move(next));  // Retires this.
    return begun;
  }

  Worker& worker_;
  ClientSession& client_;
  SessionContext context_;
  AccessRecord record_;
  bool is_over_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

 private:
  void on_verdict(const Verdict& verdict) override;
  bool is_asking_ = false;
};

// Where the authoriser says who is asking (`identity.authorize`), nothing else can be looked at before.
class SessionAdmission final : public PendingSession {
 public:
  using PendingSession::PendingSession;
  void start() { ask_authorizer(); }

 private:
  void on_admitted() override;
};

}  // namespace ssequel::gateway
