#include "replay/replay_log.h"

#include <algorithm>
#include <functional>

#include "base/assert.h"

namespace ssequel::replay {
namespace {

// Segments start small, so that a channel of three events costs under 4 KiB, and double up to this.
constexpr std::size_t kFirstSegment = 1024;
constexpr std::size_t kMaxSegment = 256 * 1024;

std::string spell(const IdForm& form, std::uint64_t number) {
  std::string out;
  append_id(out, form, number, {});
  return out;
}

}  // namespace

std::string_view id_of_frame(std::string_view frame) noexcept {
  constexpr std::string_view kName = "id: ";
  if (frame.starts_with(kName)) return frame.substr(kName.size(), frame.find('\n') - kName.size());
  // Place last: the id line may be followed by the comment with the origin id.
  const auto at = frame.rfind("\nid: ");
  if (at == std::string_view::npos) return {};
  const auto from = at + 1 + kName.size();
  return frame.substr(from, frame.find('\n', from) - from);
}

ReplayLog::ReplayLog(IdForm form, std::uint64_t first_number, const Bounds& bounds)
    : form_(std::move(form)),
      base_number_(first_number - 1),
      bounds_(bounds),
      max_segment_(std::clamp<std::size_t>(bounds.bytes / 16, 4 * 1024, kMaxSegment)),
      next_number_(first_number),
      floor_(spell(form_, first_number - 1)),
      floor_number_(first_number - 1) {}

void ReplayLog::add_segment(std::uint64_t number, std::size_t frame_size, Millis now) {
  std::size_t capacity = kFirstSegment;
  if (!segments_.empty()) capacity = std::min(max_segment_, std::bit_ceil(segments_.back()->size() + 1) * 2);
  capacity = std::max(capacity, Segment::framed_size(frame_size));
  segments_.push_back(std::make_shared<Segment>(appended_, number, appended_position_, capacity, now));
}

Place ReplayLog::append(std::string_view frame, std::uint64_t number, std::optional<std::string_view> origin,
                        Millis now) {
  SSEQUEL_ASSERT(number >= next_number_ && number <= kMaxNumber, "monotonic: each id is above every earlier one");
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || !segments_.back()->has_room(frame.size()) || segments_.back()->next_number() != number) {
    add_segment(number, frame.size(), now);
  }
  Segment& segment = *segments_.back();
  segment.append(frame, origin, now);
  if (origin && !origin->empty()) {
    origins_.insert_or_assign(std::hash<std::string_view>()(*origin), appended_);
    if (has_number_form(*origin)) numeric_origins_.fetch_add(1, std::memory_order_relaxed);
  }
  window_bytes_.fetch_add(Segment::framed_size(frame.size()), std::memory_order_relaxed);
  appended_position_ += Segment::framed_size(frame.size());
  next_number_ = number + 1;
  return appended_++;
}

void ReplayLog::publish(Place end) {
  SSEQUEL_ASSERT(end <= appended_ && end >= published(), "the published end moves forward, up to the appended one");
  published_.store(end, std::memory_order_release);
}

void ReplayLog::add_end(bool is_clean) {
  const std::lock_guard lock(mutex_);
  while (!end_list_.empty() && end_list_.front().at < first()) end_list_.pop_front();
  end_list_.push_back({appended_, is_clean});
  end_count_.fetch_add(1, std::memory_order_release);
}

void ReplayLog::drop_first() {
  const Place place = first_.load(std::memory_order_relaxed);
  Segment& segment = *segments_.front();
  if (const auto origin = segment.origin_of(place); origin && !origin->empty()) {
    const auto known = origins_.find(std::hash<std::string_view>()(*origin));
    if (known != origins_.end() && known->second == place) origins_.erase(known);
    if (has_number_form(*origin)) numeric_origins_.fetch_sub(1, std::memory_order_relaxed);
  }
  window_bytes_.fetch_sub(segment.framed(place, place + 1).size(), std::memory_order_relaxed);
  floor_number_ = segment.number_of(place);
  first_.store(place + 1, std::memory_order_release);
  if (place + 1 == segment.end_place()) {
    floor_ = id_of_frame(segment.frame(place));
    segments_.pop_front();
  }
}

std::size_t ReplayLog::evict(Millis now, Place keep_from) {
  std::size_t dropped = 0;
  const Place limit = std::min(keep_from, published());
  for (;;) {
    const Place place = first();
    if (place >= limit) return dropped;
    const bool over = (bounds_.events != 0 && appended_ - place > bounds_.events) || window_bytes() > bounds_.bytes;
    if (!over && segments_.front()->time_of(place) + bounds_.age > now) return dropped;
    const std::lock_guard lock(mutex_);
    drop_first();
    ++dropped;
  }
}

std::size_t ReplayLog::evict_bytes(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = window_bytes();
  std::size_t dropped = 0;
  while (first() < published() && before - window_bytes() < bytes) {
    drop_first();
    ++dropped;
  }
  return dropped;
}

bool ReplayLog::is_full() const noexcept {
  return (bounds_.events != 0 && appended_ - first() >= bounds_.events) || window_bytes() >= bounds_.bytes;
}

std::size_t ReplayLog::memory() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = sizeof *this + end_list_.size() * sizeof(End) +
                      origins_.size() * (sizeof(std::size_t) + sizeof(Place) + 2 * sizeof(void*));
  for (const auto& segment : segments_) total += segment->memory();
  return total;
}

std::uint64_t ReplayLog::position(Place place) const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || place >= appended_) return appended_position_;
  if (place < segments_.front()->first_place()) place = segments_.front()->first_place();
  return (*segment_of(place))->position_of(place);
}

const std::shared_ptr<Segment>* ReplayLog::segment_of(Place place) const noexcept {
  // Most readers are at the end.
  if (!segments_.empty() && segments_.back()->first_place() <= place) return &segments_.back();
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), place,
                                     [](Place value, const auto& segment) { return value < segment->first_place(); });
  return next == segments_.begin() ? nullptr : &*std::prev(next);
}

bool ReplayLog::read(Place from, Place stop, std::size_t max_runs, std::size_t max_bytes, std::vector<Run>& out) const {
  out.clear();
  const Place end = std::min(published(), stop);
  if (from >= end) return from >= first();
  const std::lock_guard lock(mutex_);
  if (from < first()) return false;
  for (std::size_t bytes = 0; from < end && out.size() < max_runs && bytes < max_bytes;) {
    const auto& segment = *segment_of(from);
    const Segment& here = *segment;
    Place upto = std::min(end, here.end_place());
    auto view = here.framed(from, upto);
    if (view.size() > max_bytes - bytes) {
      upto = std::max(from + 1, here.place_at(here.offset_of(from) + (max_bytes - bytes)));
      view = here.framed(from, upto);
    }
    out.push_back({view, from, upto, segment});
    bytes += view.size();
    from = upto;
  }
  return true;
}

ReplayLog::Boundary ReplayLog::boundary(const Run& run, std::size_t offset) const {
  const std::lock_guard lock(mutex_);
  const Segment& segment = *run.segment;
  const auto start = segment.offset_of(run.first);
  const Place next = segment.place_at(start + offset) + 1;
  return {next, segment.offset_of(next) - start};
}

std::optional<End> ReplayLog::end_for(Place start, std::size_t ends_seen) const {
  if (ends() == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  std::size_t index = ends() - end_list_.size();  // Of the first one still listed, among all there ever were.
  for (const End& end : end_list_) {
    if (end.at > start || (end.at == start && index >= ends_seen)) return end;
    ++index;
  }
  return std::nullopt;
}

std::optional<End> ReplayLog::last_end() const {
  if (ends() == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (end_list_.empty() || end_list_.back().at != appended_) return std::nullopt;
  return end_list_.back();
}

std::string ReplayLog::id_at(Place place) const {
  const auto* segment = segment_of(place);
  return segment ? std::string(id_of_frame((*segment)->frame(place))) : std::string();
}

Found ReplayLog::find(std::uint64_t number, std::string_view text) const {
  const Place end = published();
  const std::lock_guard lock(mutex_);
  const Place begin = first();
  if (number < base_number_) return {};
  if (number <= floor_number_) {
    if (number < floor_number_) return {Found::Kind::Evicted, 0};
    // The floor's entry may still lie in the first segment.
    const bool held = !segments_.empty() && segments_.front()->first_place() < begin;
    const auto floor = held ? id_at(begin - 1) : floor_;
    return floor == text ? Found{Found::Kind::Floor, begin} : Found{};
  }
  if (begin >= end) return {Found::Kind::Ahead, 0};
  // The last segment that begins at or below the number; ids inside it are dense.
  const auto next =
      std::upper_bound(segments_.begin(), segments_.end(), number,
                       [](std::uint64_t value, const auto& s) { return value < s->number_of(s->first_place()); });
  if (next == segments_.begin()) return {};
  const Segment& segment = **std::prev(next);
  const Place place = segment.first_place() + (number - segment.number_of(segment.first_place()));
  if (place >= segment.end_place()) return {next == segments_.end() ? Found::Kind::Ahead : Found::Kind::Never, 0};
  if (place >= end) return {Found::Kind::Ahead, 0};  // Given, but nobody can have seen it.
  return id_of_frame(segment.frame(place)) == text ? Found{Found::Kind::Entry, place} : Found{};
}

std::optional<Place> ReplayLog::find_origin(std::string_view origin) const {
  const std::lock_guard lock(mutex_);
  const auto known = origins_.find(std::hash<std::string_view>()(origin));
  if (known == origins_.end() || known->second >= published()) return std::nullopt;
  const auto* segment = segment_of(known->second);
  if (!segment || (*segment)->origin_of(known->second) != origin) return std::nullopt;
  return known->second;
}

std::string ReplayLog::id_before(Place place) const {
  const std::lock_guard lock(mutex_);
  if (place == 0) return floor_;
  if (!segments_.empty() && segments_.front()->first_place() < place) return id_at(place - 1);
  return place == first() ? floor_ : std::string();
}

std::optional<std::string> ReplayLog::oldest_id() const {
  const std::lock_guard lock(mutex_);
  if (first() >= published()) return std::nullopt;
  return id_at(first());
}

std::optional<std::string> ReplayLog::newest_id() const {
  const std::lock_guard lock(mutex_);
  const Place end = published();
  if (first() >= end) return std::nullopt;
  return id_at(end - 1);
}

std::optional<Millis> ReplayLog::time_of(Place place) const {
  const std::lock_guard lock(mutex_);
  if (place < first() || place >= published()) return std::nullopt;
  return (*segment_of(place))->time_of(place);
}

}  // namespace ssequel::replay
