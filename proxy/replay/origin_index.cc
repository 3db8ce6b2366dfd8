#include "replay/origin_index.h"

#include <functional>
#include <utility>

#include "base/seeded_bug.h"

namespace ssequel::replay {
namespace {

constexpr std::size_t kFewest = 8;

std::size_t hash_of(std::string_view origin) { return std::hash<std::string_view>()(origin); }

}  // namespace

std::size_t OriginIndex::locate(std::size_t hash) const noexcept {
  std::size_t at = home(hash);
  while (slots_[at].newest != kNone && slots_[at].hash != hash) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void OriginIndex::resize(std::size_t size) {
  const auto old = std::exchange(slots_, std::vector<Slot>(size));
  for (const Slot& slot : old) {
    if (slot.newest != kNone) slots_[locate(slot.hash)] = slot;
  }
}

void OriginIndex::put(std::string_view origin, Place place) {
  if (2 * (used_ + 1) > slots_.size()) resize(slots_.empty() ? kFewest : 2 * slots_.size());
  const auto hash = hash_of(origin);
  Slot& slot = slots_[locate(hash)];
  if (slot.newest == kNone) {
    slot.hash = hash;
    ++used_;
  }
  slot.newest = place;
}

void OriginIndex::publish(std::string_view origin, Place place) {
  Slot& slot = slots_[locate(hash_of(origin))];
  if (slot.published != kNone && seeded_bug("older-of-equal-origins")) return;
  if (slot.newest != kNone) slot.published = place;
}

void OriginIndex::drop(std::string_view origin, Place place) {
  if (slots_.empty()) return;
  const auto at = locate(hash_of(origin));
  if (slots_[at].newest == place) {
    erase(at);
  } else if (slots_[at].published == place) {
    slots_[at].published = kNone;
  }
}

// Leaves no tombstone: what follows is moved up as long as that brings it nearer to its home (Knuth, TAOCP 6.4,
// algorithm R).
void OriginIndex::erase(std::size_t at) {
  const auto mask = slots_.size() - 1;
  for (auto next = (at + 1) & mask; slots_[next].newest != kNone; next = (next + 1) & mask) {
    const auto distance = (next - home(slots_[next].hash)) & mask;
    if (distance >= ((next - at) & mask)) {
      slots_[at] = slots_[next];
      at = next;
    }
  }
  slots_[at] = Slot{};
  --used_;
  if (slots_.size() > kFewest && 8 * used_ < slots_.size()) resize(slots_.size() / 2);
}

std::optional<Place> OriginIndex::newest(std::string_view origin) const noexcept {
  if (used_ == 0) return std::nullopt;
  const Slot& slot = slots_[locate(hash_of(origin))];
  return slot.newest == kNone ? std::nullopt : std::optional(slot.newest);
}

std::optional<Place> OriginIndex::newest_published(std::string_view origin) const noexcept {
  if (used_ == 0) return std::nullopt;
  const Slot& slot = slots_[locate(hash_of(origin))];
  return slot.published == kNone ? std::nullopt : std::optional(slot.published);
}

}  // namespace ssequel::replay
