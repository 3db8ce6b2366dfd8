// Several routes may claim a request whose Last-Event-ID has a tag's form: a session is resumed by GET whatever methods
// its route lists. The tag's channel knows whose it is, and the loop that owns the tag knows the channel.
#include <algorithm>

#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "relay/identity.h"
#include "relay/path_pattern.h"
#include "replay/event_id.h"

namespace ssequel::gateway {
namespace {

// A request on its way to another loop, where what it means is decided.
class Hop final : public Exchange {
 public:
  Hop(Worker& worker, ClientSession& client, http::RequestHead head, AccessRecord record)
      : worker_(worker), client_(client), head_(std::move(head)), record_(std::move(record)) {}
  ~Hop() override {
    *alive_ = false;
    if (!is_over_) on_client_gone();
  }

  // arrive: on the owner's loop. Not from inside the parser: the rest of the request moves along.
  using Arrive = void (*)(Worker& owner, ClientSession& session, http::RequestHead& head);
  void start(Worker& owner, Arrive arrive) {
    client_.hold_content(true);
    worker_.loop().defer([this, alive = alive_, &owner, arrive] {
      if (*alive && !is_over_) move_to(owner, arrive);
    });
  }

  void on_content(std::string_view) override {}
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override {}
  void on_client_gone() override {
    if (!std::exchange(is_over_, true)) worker_.log_access(record_, 499);
  }

 private:
  void move_to(Worker& owner, Arrive arrive) {
    is_over_ = true;
    auto head = std::make_shared<http::RequestHead>(std::move(head_));
    auto handover = client_.hand_over();
    if (!handover) return;
    owner.take_over(std::move(*handover),
                    [&owner, arrive, head](ClientSession& session) { arrive(owner, session, *head); });
  }

  Worker& worker_;
  ClientSession& client_;
  http::RequestHead head_;
  AccessRecord record_;
  bool is_over_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

bool lists_method(const relay::Route& route, std::string_view method) {
  return std::find(route.match.methods.begin(), route.match.methods.end(), method) != route.match.methods.end();
}

bool is_bound_to(ChannelHost& host, const http::RequestHead& head) {
  const auto& identity = host.channel().route().identity;
  const auto& binding = host.binding();
  return binding.path == head.path() && binding.origin == relay::foreign_origin(head) &&
         (!identity.authorize.empty() || binding.identity == relay::identity_of(head.fields, identity));
}

}  // namespace

void Worker::begin_tagged(ClientSession& session, http::RequestHead& head, std::string_view id) {
  const std::string tag(replay::parse_id(id).tag);
  std::vector<std::pair<std::shared_ptr<const relay::Route>, relay::LastEventId>> claims;
  for (const auto& route : settings_->routes) {
    if (!relay::path_matches(route->match.path, head.path())) continue;
    auto its_id = relay::last_event_id_of(head, route->last_event_id_query);
    if (belongs(*route, head, its_id)) claims.emplace_back(route, std::move(its_id));
  }
  auto chosen = claims.begin();
  if (claims.size() > 1 && head.method != "HEAD") {
    if (auto& owner = owner_of(tag); &owner != this) {
      auto record = begin_record(head, chosen->first->name);
      auto exchange = std::make_unique<Hop>(*this, session, std::move(head), std::move(record));
      auto& begun = *exchange;
      session.begin(std::move(exchange));
      begun.start(owner, [](Worker& there, ClientSession& client, http::RequestHead& request) {
        there.on_request(client, request);
      });
      return;
    }
    // Who may not read the channel is answered as if there were none: nobody learns that there is such a tag.
    auto* host = channels_.find(tag);
    const bool is_known = host && !host->channel().is_shared() && is_bound_to(*host, head);
    const auto wanted = std::find_if(claims.begin(), claims.end(), [&](const auto& claim) {
      return is_known ? claim.first->name == host->channel().route().name : lists_method(*claim.first, head.method);
    });
    if (wanted != claims.end()) chosen = wanted;
  }
  begin_stream_request(session, chosen->first, head, std::move(chosen->second));
}

}  // namespace ssequel::gateway
