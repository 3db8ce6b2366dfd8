// What a log should say, the slow and plain way: every entry ever appended in a std::map, each question answered by
// walking it. Shared by the model test and the fuzzer.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fixture.h"
#include "replay/resume.h"

namespace ssequel::replay {

struct Model {
  struct Entry {
    std::uint64_t number;
    std::string id;
    std::string chunk;
    std::optional<std::string> origin;
    Millis time;
    // What it counts in the window.
    [[nodiscard]] std::size_t bytes() const { return chunk.size() + (origin ? origin->size() : 0); }
  };

  Bounds bounds;
  IdForm form;
  std::uint64_t base;
  std::map<Place, Entry> entries;  // Also those that have left the window, and those not yet published.
  Place first = 0;
  Place published = 0;
  std::vector<End> ends;

  [[nodiscard]] Place appended() const { return entries.size(); }
  [[nodiscard]] std::uint64_t last_number() const { return entries.empty() ? base : entries.rbegin()->second.number; }
  [[nodiscard]] bool in_window(Place place) const { return first <= place && place < published; }

  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (auto at = entries.lower_bound(first); at != entries.end(); ++at) sum += at->second.bytes();
    return sum;
  }
  [[nodiscard]] std::string id_behind(Place place) const {  // The id of the entry before `place`.
    if (place != 0) return entries.at(place - 1).id;
    std::string id;
    append_id(id, form, base, {});
    return id;
  }

  std::size_t evict(Millis now, Place keep_from) {
    std::size_t dropped = 0;
    while (first < std::min(published, keep_from)) {
      const bool too_many = bounds.events != 0 && published - first > bounds.events;
      const bool too_old = now - entries.at(first).time >= bounds.age;
      if (!too_many && !too_old && bytes() <= bounds.bytes) break;
      ++first;
      ++dropped;
    }
    return dropped;
  }
  std::size_t evict_bytes(std::uint64_t goal) {
    std::uint64_t gone = 0;
    std::size_t dropped = 0;
    for (; first < published && gone < goal; ++first, ++dropped) gone += entries.at(first).bytes();
    return dropped;
  }

  [[nodiscard]] Found find(std::uint64_t number, std::string_view text) const {
    const auto floor = first == 0 ? base : entries.at(first - 1).number;
    if (number < base) return {};
    if (number < floor) return {Found::Kind::Evicted, 0};
    if (number == floor) return id_behind(first) == text ? Found{Found::Kind::Floor, first} : Found{};
    const auto newest = published == 0 ? base : entries.at(published - 1).number;
    if (number > newest || first == published) return {Found::Kind::Ahead, 0};
    for (Place place = first; place < published; ++place) {
      const auto& entry = entries.at(place);
      if (entry.number == number && entry.id == text) return {Found::Kind::Entry, place};
    }
    return {};
  }
  [[nodiscard]] std::optional<Place> find_origin(std::string_view origin) const {
    if (origin.empty()) return std::nullopt;
    for (Place place = published; place > first; --place) {
      if (entries.at(place - 1).origin == origin) return place - 1;
    }
    return std::nullopt;
  }
  [[nodiscard]] bool has_origin(std::string_view origin) const {
    return !origin.empty() && std::any_of(entries.lower_bound(first), entries.end(),
                                          [&](const auto& held) { return held.second.origin == origin; });
  }
  [[nodiscard]] bool has_numeric_origin() const {
    for (Place place = first; place < published; ++place) {
      if (entries.at(place).origin && has_number_form(*entries.at(place).origin)) return true;
    }
    return false;
  }
  [[nodiscard]] std::optional<End> end_for(Place start, std::size_t ends_seen) const {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].at > start || (ends[i].at == start && i >= ends_seen)) return ends[i];
    }
    return std::nullopt;
  }

  // By the rule itself, without the log's way of looking: is `text` what a client holds that has read everything before
  // `place`, and nothing more?
  [[nodiscard]] bool is_right_suffix(std::string_view text, const Resume& answer) const {
    if (answer.place < first || answer.place > published) return false;
    if (answer.by_origin) return answer.place > first && find_origin(text) == answer.place - 1;
    return id_behind(answer.place) == text;
  }
};

}  // namespace ssequel::replay
