// From an origin id to the newest entry that came with it. A flat table of hashes with linear probing: nothing is
// allocated per entry, and an index of nothing costs nothing. Origin ids themselves stay in their segments: who looks
// one up compares it there, so that of two ids with one hash (64 bits) the newer is found and the older is not.
//
// An entry is put in when it is appended and published later: readers ask for published ones, `dedupe` for any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "replay/segment.h"

namespace ssequel::replay {

class OriginIndex {
 public:
  // Places come in rising order, in put() and in publish(); publish() only what was put in and not dropped.
  void put(std::string_view origin, Place place);
  void publish(std::string_view origin, Place place);
  // The entry is leaving the window.
  void drop(std::string_view origin, Place place);

  [[nodiscard]] std::optional<Place> newest(std::string_view origin) const noexcept;
  [[nodiscard]] std::optional<Place> newest_published(std::string_view origin) const noexcept;
  [[nodiscard]] std::size_t memory() const noexcept { return slots_.capacity() * sizeof(Slot); }

 private:
  static constexpr Place kNone = std::numeric_limits<Place>::max();
  struct Slot {
    std::size_t hash = 0;
    Place newest = kNone;  // kNone: the slot is free.
    Place published = kNone;
  };
  [[nodiscard]] std::size_t home(std::size_t hash) const noexcept { return hash & (slots_.size() - 1); }
  // The slot that has this hash, or the free one where it would go. slots_ must not be empty.
  [[nodiscard]] std::size_t locate(std::size_t hash) const noexcept;
  void resize(std::size_t size);
  void erase(std::size_t at);

  std::vector<Slot> slots_;  // A power of two, at most half full.
  std::size_t used_ = 0;
};

}  // namespace ssequel::replay
