#include "gateway/orphans.h"

namespace ssequel::gateway {

std::vector<Orphans::Victim> Orphans::add(const std::string& route, const std::string& identity, const std::string& tag,
                                          Worker& worker, const Limits& limits) {
  const std::lock_guard lock(mutex_);
  auto& orphans = routes_[route];
  if (const auto known = orphans.by_tag.find(tag); known != orphans.by_tag.end()) erase(orphans, known->second);
  const auto added = orphans.by_age.insert(orphans.by_age.end(),
                                           {.self = {&worker, tag}, .identity = identity, .among_its_identity = {}});
  orphans.by_tag.emplace(tag, added);
  if (!identity.empty()) {
    auto& of_identity = orphans.by_identity[identity];
    added->among_its_identity = of_identity.insert(of_identity.end(), added);
  }
  std::vector<Victim> victims;
  const auto let_go = [&](ByAge::iterator oldest) {
    victims.push_back(oldest->self);
    erase(orphans, oldest);
  };
  // Several, where a reload has lowered a bound.
  for (auto same = orphans.by_identity.find(identity);
       same != orphans.by_identity.end() && same->second.size() > limits.per_identity;
       same = orphans.by_identity.find(identity)) {
    let_go(same->second.front());
  }
  while (orphans.by_age.size() > limits.total) let_go(orphans.by_age.begin());
  return victims;
}

void Orphans::remove(const std::string& route, const std::string& tag) {
  const std::lock_guard lock(mutex_);
  const auto orphans = routes_.find(route);
  if (orphans == routes_.end()) return;
  if (const auto known = orphans->second.by_tag.find(tag); known != orphans->second.by_tag.end()) {
    erase(orphans->second, known->second);
  }
}

std::size_t Orphans::count(const std::string& route) const {
  const std::lock_guard lock(mutex_);
  const auto orphans = routes_.find(route);
  return orphans == routes_.end() ? 0 : orphans->second.by_age.size();
}

void Orphans::erase(OfRoute& orphans, ByAge::iterator orphan) {
  if (!orphan->identity.empty()) {
    const auto of_identity = orphans.by_identity.find(orphan->identity);
    of_identity->second.erase(orphan->among_its_identity);
    if (of_identity->second.empty()) orphans.by_identity.erase(of_identity);
  }
  orphans.by_tag.erase(orphan->self.tag);
  orphans.by_age.erase(orphan);
}

}  // namespace ssequel::gateway
