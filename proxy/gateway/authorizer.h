// `authorize: probe` and `authorize: {path}`: asks the upstream whether a request may read, one question at a time for
// each identity and target, and remembers admissions (never refusals) for `authorize_cache`. Fails closed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/side_request.h"
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
  std::string identity;   // Admitted, `identity.authorize`: what the authoriser's field said.
  int status = 0;         // Refused, NoVerdict: the answer's status, 0 if there was none.
  http::Fields fields;    // Refused: its fields.
  Millis retry_after{0};  // NoVerdict.
};

// Relays a refusal: the answer's status and fields, without its content.
void answer_refusal(ClientSession& client, const Verdict& verdict);

class AuthorizeWaiter {
 public:
  virtual ~AuthorizeWaiter() = default;
  virtual void on_verdict(const Verdict& verdict) = 0;
};

class Authorizer {
 public:
  explicit Authorizer(Worker& worker) : worker_(worker) {}
  // The waiter hears once, maybe at once; forget() it before it dies.
  void ask(const relay::Route& route, const http::RequestHead& head, const std::string& identity,
           const std::string& peer_address, AuthorizeWaiter& waiter);
  void forget(AuthorizeWaiter& waiter);
  void clear() { questions_.clear(); }

 private:
  struct Question final : Retirable, SideListener {
    Question(Authorizer& authorizer, std::string key) : authorizer_(authorizer), key_(std::move(key)) {}
    void on_side_answer(Result<SideAnswer> answer) override;
    Authorizer& authorizer_;
    std::string key_;
    bool is_probe = false;
    std::string identity_field;
    relay::UpstreamFormat format = relay::UpstreamFormat::Sse;
    Millis holds_for{0};
    std::unique_ptr<SideRequest> request;
    std::vector<AuthorizeWaiter*> waiters;
  };
  struct Admission {
    Millis until;
    std::string identity;
  };

  Worker& worker_;
  std::map<std::string, std::unique_ptr<Question>> questions_;
  std::map<std::string, Admission> admissions_;  // Bounded; swept when full.
};

}  // namespace ssequel::gateway
