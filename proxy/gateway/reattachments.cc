#include "gateway/reattachments.h"

namespace ssequel::gateway {
namespace {

template <class Waiters>
void tell(const Waiters& waiters) {
  for (const auto& waiter : waiters) waiter.look_again();
}

}  // namespace

Reattachments::Found Reattachments::look_up(const std::string& digest, const void* who,
                                            std::function<void()> look_again) {
  const std::lock_guard lock(mutex_);
  auto& entry = entries_[digest];
  if (!entry.tag.empty()) return {.kind = Found::Kind::Session, .tag = entry.tag};
  if (entry.is_asked) {
    entry.waiters.push_back({who, std::move(look_again)});
    return {.kind = Found::Kind::Waits, .tag = {}};
  }
  entry.is_asked = true;
  return {.kind = Found::Kind::Asks, .tag = {}};
}

void Reattachments::leave(const std::string& digest, const void* who) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(digest);
  if (entry == entries_.end()) return;
  std::erase_if(entry->second.waiters, [who](const Waiter& waiter) { return waiter.who == who; });
}

void Reattachments::settle(const std::string& digest, const std::string& tag) {
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    auto& entry = entries_[digest];
    entry.tag = tag;
    entry.is_asked = false;
    waiters = std::exchange(entry.waiters, {});
  }
  tell(waiters);
}

void Reattachments::give_up(const std::string& digest) {
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(digest);
    if (entry == entries_.end()) return;
    waiters = std::exchange(entry->second.waiters, {});
    entries_.erase(entry);
  }
  tell(waiters);
}

void Reattachments::forget(const std::string& digest, const std::string& tag) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(digest);
  if (entry == entries_.end() || entry->second.tag != tag) return;
  entries_.erase(entry);  // Nobody waits where a session is.
}

}  // namespace ssequel::gateway
