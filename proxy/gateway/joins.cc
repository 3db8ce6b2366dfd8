#include "gateway/joins.h"

#include <algorithm>
#include <utility>

#include "gateway/worker.h"
#include "relay/identity.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

replay::Store::Encode encoder_of(const std::shared_ptr<const relay::Route>& route, const replay::IdForm& form) {
  if (route->producers != relay::Producers::All) return {};
  return [route, form](std::string& out, replay::Number number, std::string_view lines,
                       std::optional<std::string_view> origin) {
    std::string id;
    replay::append_id(id, form, number, {});
    sse::append_frame(out, id, lines, origin, route->ids.origin, route->ids.place);
  };
}

}  // namespace

void Joins::join(Shared shared, JoinWaiter* waiter) {
  const auto [at, is_first] = waiters_.try_emplace(shared.key);
  if (waiter != nullptr) at->second.push_back(waiter);
  if (!is_first) return;
  auto proposal = worker_.channels().propose(*shared.route, shared.key, shared.has_identity);
  if (relay::is_known_by_target(*shared.route, shared.has_identity)) {
    proposal.target = shared.target;
    proposal.host = shared.host;
  }
  auto encode = encoder_of(shared.route, proposal.form);
  const auto bounds = shared.route->bounds();
  worker_.store()->join(proposal, bounds, std::move(encode),
                        [this, alive = alive_, shared = std::move(shared)](Result<replay::SavedLog> saved) {
                          if (*alive) on_joined(shared, std::move(saved));
                        });
}

void Joins::on_joined(const Shared& shared, Result<replay::SavedLog> saved) {
  const bool is_away = !saved && saved.error().code == ErrorCode::RetryLater;
  bool is_good = saved.has_value();
  if (is_good) {
    auto* host = worker_.channels().find(shared.key);
    if (host) {
      worker_.store()->abandon(*saved);  // It was opened meanwhile: this one is of no use.
    } else {
      host =
          worker_.channels().open_joined(shared.route, std::move(*saved), shared.target, shared.host, shared.is_eager);
    }
    is_good = host != nullptr;
    if (is_good && shared.is_guest) host->channel().set_guest(true);
    if (is_good && shared.is_eager && host->channel().state() == relay::Channel::State::Dormant) {
      host->channel().set_eager(true);
      host->channel().connect();
    }
  } else if (saved.error().code != ErrorCode::RetryLater) {
    worker_.house().logger.error("a channel could not be joined",
                                 {{"route", shared.route->name}, {"error", saved.error().context}});
  }
  tell(shared.key, is_good);
  if (!is_away || !shared.is_eager) return;
  // Nobody else asks again for this one.
  worker_.loop().defer([this, alive = alive_, shared] {
    if (*alive && worker_.drain() != DrainPhase::Ending && !worker_.channels().find(shared.key)) join(shared, nullptr);
  });
}

void Joins::find(std::shared_ptr<const relay::Route> route, const std::string& tag, JoinWaiter& waiter) {
  const auto [at, is_first] = waiters_.try_emplace(tag);
  at->second.push_back(&waiter);
  if (!is_first) return;
  worker_.store()->find(
      route->name, tag, route->bounds(), [this, alive = alive_, route, tag](Result<replay::SavedLog> saved) {
        if (!*alive) return;
        const bool is_lost = !saved && saved.error().code == ErrorCode::RetryLater;
        if (saved && worker_.channels().find(tag)) worker_.store()->abandon(*saved);
        if (saved && !worker_.channels().find(tag)) {
          const bool is_ours = saved->record.is_session && saved->record.form.tag == tag &&
                               saved->record.signature == relay::log_signature(*route) && !saved->head.empty();
          saved->record.key = tag;
          auto target = saved->record.target, host = saved->record.host;
          if (!is_ours) {
            worker_.store()->abandon(*saved);
          } else {
            static_cast<void>(
                worker_.channels().open_joined(route, std::move(*saved), std::move(target), std::move(host), false));
          }
        }
        tell(tag, !is_lost);
      });
}

void Joins::forget(JoinWaiter& waiter) {
  for (auto& [key, waiters] : waiters_) std::erase(waiters, &waiter);
  std::erase(told_, &waiter);
}

void Joins::tell(const std::string& key, bool is_good) {
  const auto asked = waiters_.extract(key);
  if (asked.empty()) return;
  told_.insert(told_.end(), asked.mapped().begin(), asked.mapped().end());
  // Some may go while others are told, and ask anew.
  const auto alive = alive_;
  while (*alive && !told_.empty()) {
    auto* waiter = told_.front();
    told_.erase(told_.begin());
    if (is_good) {
      waiter->on_joined();
    } else {
      waiter->on_join_failed();
    }
  }
}

}  // namespace ssequel::gateway
