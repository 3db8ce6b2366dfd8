// `authorize: probe` and `authorize: {path}`: asks the upstream whether a request may read, one question at a time for
// each credential and target, whatever loops ask, and remembers admissions (never refusals) for `authorize_cache`.
// Fails closed.
//
// A verdict is as old as its question: what holds for `authorize_cache` was true when it was asked. Whoever comes later
// than that, while the question is still open, waits for the next one, which is asked once for all of them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "gateway/side_rounds.h"
#include "relay/route.h"

namespace ssequel::gateway {

class ClientSession;
class Worker;

struct Verdict {
  enum class Kind {
    Admitted,
    Refused,   // A final answer, to be passed on.
    NoVerdict  // 5xx, 408, 425, 429, broken or none in time: trouble.
  } kind = Kind::NoVerdict;
  std::string
      identity;         // Admitted, `identity.authorize`: relay::authorised_identity() of it; empty if it was not said.
  int status = 0;       // Refused, NoVerdict: the answer's status, 0 if there was none.
  http::Fields fields;  // Refused: its fields. Cookies are for the one alone whose request asked.
  Millis retry_after{0};  // NoVerdict.
};

// Relays a refusal: the answer's status and fields, without its content.
void answer_refusal(ClientSession& client, const Verdict& verdict);

class AuthorizeWaiter : public SideWaiter {
 public:
  virtual void on_verdict(const Verdict& verdict) = 0;
};

class Authorizer {
 public:
  explicit Authorizer(Worker& worker);
  // The waiter hears once, maybe at once; forget() it before it dies.
  void ask(const relay::Route& route, const http::RequestHead& head, const std::string& peer_address,
           AuthorizeWaiter& waiter);
  void forget(AuthorizeWaiter& waiter) { rounds_.forget(waiter); }
  void clear() { rounds_.clear(); }

 private:
  struct Admission {
    Millis until;
    std::string identity;
  };

  [[nodiscard]] std::optional<SideRounds::Telling> known(const std::string& key);
  [[nodiscard]] std::string question_text(const relay::Route& route, const http::RequestHead& head,
                                          const std::string& peer_address) const;
  void remember(const std::string& key, Millis until, const Verdict& verdict);

  Worker& worker_;
  SideRounds rounds_;
  std::map<std::string, Admission> admissions_;  // Bounded; swept when full.
};

}  // namespace ssequel::gateway
