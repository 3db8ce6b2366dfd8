#include "gateway/idle_channels.h"

namespace ssequel::gateway {

void IdleChannels::put(Worker& worker, const std::string& key, Millis since, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto known = places_.find({&worker, key});
  if (known != places_.end()) {
    if (std::get<0>(known->second) == since) {
      in_order_.at(known->second).bytes = bytes;
      return;
    }
    in_order_.erase(known->second);
  }
  const Order order{since, next_++};
  in_order_.emplace(order, Idle{&worker, key, bytes});
  places_.insert_or_assign({&worker, key}, order);
}

void IdleChannels::remove(Worker& worker, const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto known = places_.find({&worker, key});
  if (known == places_.end()) return;
  in_order_.erase(known->second);
  places_.erase(known);
}

std::optional<IdleChannels::Idle> IdleChannels::take() {
  const std::lock_guard lock(mutex_);
  if (in_order_.empty()) return std::nullopt;
  auto idle = std::move(in_order_.begin()->second);
  in_order_.erase(in_order_.begin());
  places_.erase({idle.worker, idle.key});
  return idle;
}

std::vector<IdleChannels::Idle> IdleChannels::take_bytes(std::uint64_t enough) {
  const std::lock_guard lock(mutex_);
  std::vector<Idle> taken;
  std::uint64_t sum = 0;
  for (auto& [order, idle] : in_order_) {
    if (sum >= enough) break;
    if (idle.bytes == 0) continue;
    sum += idle.bytes;
    taken.push_back(idle);
    idle.bytes = 0;
  }
  return taken;
}

}  // namespace ssequel::gateway
