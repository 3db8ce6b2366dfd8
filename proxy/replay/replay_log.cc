#include "replay/replay_log.h"

#include <algorithm>
#include <bit>
#include <span>

#include "base/assert.h"

namespace ssequel::replay {
namespace {

// Segments start small, so that a channel of three events costs under 4 KiB, and double up to this.
constexpr std::size_t kFirstSegment = 1024;
constexpr std::size_t kMaxSegment = 256 * 1024;
// Entries further apart are not put into one segment, whose index could not tell their times.
constexpr Millis kMaxSpan = std::chrono::hours(24);

// For counts that only the writer changes and others look at: a plain addition, not a locked one.
void add(std::atomic<std::uint64_t>& count, std::uint64_t what) noexcept {
  count.store(count.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
}
void subtract(std::atomic<std::uint64_t>& count, std::uint64_t what) noexcept { add(count, 0 - what); }

// Origin ids that are kept and can be looked up: not "none", which is what an empty one says.
bool is_indexed(const std::optional<std::string_view>& origin) { return origin && !origin->empty(); }

std::string spell(const IdForm& form, Number number) {
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

ReplayLog::ReplayLog(IdForm form, Number first_number, const Bounds& bounds)
    : form_(std::move(form)),
      base_number_(first_number == 0 ? 0 : first_number - 1),
      has_begun_(first_number != 0),
      bounds_(bounds),
      max_segment_(std::clamp<std::size_t>(bounds.bytes / 16, 4 * 1024, kMaxSegment)),
      next_number_(std::max<Number>(first_number, 1)),
      floor_(spell(form_, base_number_)),
      floor_number_(base_number_) {}

ReplayLog::ReplayLog(IdForm form, Number first_number, const Bounds& bounds, Past past)
    : ReplayLog(std::move(form), first_number, bounds) {
  if (past.first == 0) return;
  SSEQUEL_ASSERT(past.floor_number >= base_number_, "a floor is an entry's, or the base");
  appended_ = past.first;
  published_ = past.first;
  first_ = past.first;
  floor_ = std::move(past.floor_id);
  floor_number_ = past.floor_number;
  next_number_ = past.floor_number + 1;
}

void ReplayLog::begin(Number base) {
  SSEQUEL_ASSERT(!has_begun_ && appended_ == 0 && base < max_number(form_.spelling), "a log begins once");
  const std::lock_guard lock(mutex_);
  has_begun_ = true;
  base_number_ = base;
  next_number_ = base + 1;
  floor_ = spell(form_, base);
  floor_number_ = base;
}

void ReplayLog::skip_to(Number number) { next_number_ = std::max(next_number_, number); }

void ReplayLog::roll_back() {
  const Place end = published();
  if (appended_ == end) return;
  const std::lock_guard lock(mutex_);
  SSEQUEL_ASSERT(first() <= end, "only what is published is evicted");
  while (appended_ > end) {
    auto& segment = *segments_.back();
    const Place keep = std::max(end, segment.first_place());
    for (Place place = keep; place < appended_; ++place) {
      const auto origin = segment.origin_of(place);
      subtract(window_bytes_, segment.framed(place, place + 1).size() + (origin ? origin->size() : 0));
    }
    const auto before = segment.size();
    if (keep == segment.first_place()) {
      appended_position_ -= before;
      segments_.pop_back();
    } else {
      segment.truncate(keep);
      appended_position_ -= before - segment.size();
    }
    appended_ = keep;
  }
  origins_.reset();
  unpublished_origin_ = kNoPlace;
  // Nobody has seen the numbers, and the other writer gives them.
  next_number_ = (first() < end ? (*segment_of(end - 1))->number_of(end - 1) : floor_number_) + 1;
  std::erase_if(end_list_, [end](const ListedEnd& listed) { return listed.end.at > end; });
}

void ReplayLog::add_segment(Number number, std::size_t frame_size, Millis now) {
  std::size_t capacity = kFirstSegment;
  if (!segments_.empty()) capacity = std::min(max_segment_, std::bit_ceil(segments_.back()->size() + 1) * 2);
  capacity = std::max(capacity, Segment::framed_size(frame_size));
  segments_.push_back(std::make_shared<Segment>(appended_, number, appended_position_, capacity, now));
}

Place ReplayLog::append(std::string_view frame, Number number, std::optional<std::string_view> origin, Millis now) {
  SSEQUEL_ASSERT(number >= next_number() && number <= max_number(form_.spelling),
                 "monotonic: each id is above every earlier one");
  if (origin && origin->size() > kMaxOrigin) origin.reset();
  const auto framed = Segment::framed_size(frame.size());
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || !segments_.back()->has_room(frame.size()) || !segments_.back()->can_tell(now)) {
    add_segment(number, frame.size(), now);
  }
  segments_.back()->append(number, frame, origin, now);
  if (is_indexed(origin)) {
    if (origins_) origins_->put(*origin, appended_);
    unpublished_origin_ = std::min(unpublished_origin_, appended_);
  }
  add(window_bytes_, framed + (origin ? origin->size() : 0));
  appended_position_ += framed;
  next_number_ = number + 1;
  return appended_++;
}

void ReplayLog::publish(Place end) {
  SSEQUEL_ASSERT(end <= appended_ && end >= published(), "the published end moves forward, up to the appended one");
  if (unpublished_origin_ >= end) {
    published_.store(end, std::memory_order_release);
    return;
  }
  // Together, so that nobody finds an origin id whose entry cannot be read yet, nor misses one that can.
  const std::lock_guard lock(mutex_);
  for (Place place = unpublished_origin_; place < end; ++place) {
    const auto origin = (*segment_of(place))->origin_of(place);
    if (!is_indexed(origin)) continue;
    if (origins_) origins_->publish(*origin, place);
    if (has_number_form(*origin)) add(numeric_origins_, 1);
  }
  unpublished_origin_ = end < appended_ ? end : kNoPlace;
  published_.store(end, std::memory_order_release);
}

void ReplayLog::add_end(bool is_clean) {
  const std::lock_guard lock(mutex_);
  std::erase_if(end_list_, [from = first()](const ListedEnd& listed) { return listed.end.at < from; });
  // An upstream that ends again and again without an event: whoever waits there is told of an end, if not of each.
  const auto here = std::find_if(end_list_.begin(), end_list_.end(),
                                 [this](const ListedEnd& listed) { return listed.end.at == appended_; });
  if (end_list_.end() - here > static_cast<std::ptrdiff_t>(kMaxEndsAtOnePlace)) end_list_.erase(here + 1);
  end_list_.push_back({{appended_, is_clean}, ends()});
  end_count_.fetch_add(1, std::memory_order_release);
}

void ReplayLog::drop_first() {
  const Place place = first_.load(std::memory_order_relaxed);
  const Segment& segment = *segments_.front();
  const auto origin = segment.origin_of(place);
  if (is_indexed(origin)) {
    if (origins_) origins_->drop(*origin, place);
    if (has_number_form(*origin)) subtract(numeric_origins_, 1);
  }
  subtract(window_bytes_, segment.framed(place, place + 1).size() + (origin ? origin->size() : 0));
  floor_number_ = segment.number_of(place);
  first_.store(place + 1, std::memory_order_release);
  if (place + 1 == segment.end_place()) {
    floor_ = id_of_frame(segment.frame(place));
    segments_.erase(segments_.begin());
  }
}

std::size_t ReplayLog::evict(Millis now, Place keep_from) {
  const Place begin = first();
  const Place end = published();
  const Place limit = std::min(keep_from, end);
  // Only the writer changes what is read here, so a look without the lock is safe; most calls find nothing to do.
  const auto must_go = [&](Place place) {
    // What is not committed yet drives nothing out: a slow store would make the window smaller than it was promised.
    return place < limit && ((bounds_.events != 0 && end - place > bounds_.events) || window_bytes() > bounds_.bytes ||
                             now - segments_.front()->time_of(place) >= bounds_.age);
  };
  if (!must_go(begin)) return 0;
  const std::lock_guard lock(mutex_);
  Place place = begin;
  for (; must_go(place); ++place) drop_first();
  return place - begin;
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

void ReplayLog::shrink_to_fit() {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return;
  // All of a small log becomes one segment, of a large one the last is cut to size: what is copied is bounded.
  const Place begin = first();
  const bool is_small = appended_position_ - segments_.front()->position_of(begin) <= kMaxSegment;
  const std::size_t at =
      is_small && segments_.back()->time_of(appended_ - 1) - segments_.front()->time_of(begin) < kMaxSpan
          ? 0
          : segments_.size() - 1;
  const std::span parts(segments_.begin() + static_cast<std::ptrdiff_t>(at), segments_.end());
  const Place from = std::max(begin, parts.front()->first_place());
  if (from == begin && begin > parts.front()->first_place()) floor_ = id_at(begin - 1);
  auto whole = Segment::joined(parts, from);
  segments_.resize(at);
  segments_.push_back(std::move(whole));
  segments_.shrink_to_fit();
}

bool ReplayLog::is_full() const noexcept {
  return (bounds_.events != 0 && appended_ - first() >= bounds_.events) || window_bytes() >= bounds_.bytes;
}

std::size_t ReplayLog::memory() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = sizeof *this + segments_.capacity() * sizeof segments_.front() + floor_.capacity() +
                      form_.tag.capacity() + end_list_.capacity() * sizeof(ListedEnd) +
                      (origins_ ? origins_->memory() : 0);
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
  for (std::size_t room = max_bytes; from < end && out.size() < max_runs;) {
    const auto& segment = *segment_of(from);
    Place upto = std::min(end, segment->end_place());
    auto view = segment->framed(from, upto);
    const bool is_cut = view.size() > room;
    if (is_cut) {
      upto = segment->place_at(segment->offset_of(from) + room);
      if (upto == from && !out.empty()) break;
      upto = std::max(upto, from + 1);
      view = segment->framed(from, upto);
    }
    out.push_back({view, from, upto, segment});
    if (is_cut) break;
    room -= view.size();
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
  for (const auto& [end, index] : end_list_) {
    if (end.at > start || (end.at == start && index >= ends_seen)) return end;
  }
  return std::nullopt;
}

std::optional<End> ReplayLog::last_end() const {
  if (ends() == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (end_list_.empty() || end_list_.back().end.at != appended_) return std::nullopt;
  return end_list_.back().end;
}

std::string ReplayLog::id_at(Place place) const {
  const auto* segment = segment_of(place);
  return segment ? std::string(id_of_frame((*segment)->frame(place))) : std::string();
}

Found ReplayLog::find(Number number, std::string_view text) const {
  const std::lock_guard lock(mutex_);
  const Place begin = first();
  const Place end = published();
  if (number < base_number_) return {};
  if (number < floor_number_) return {Found::Kind::Evicted, 0};
  if (number == floor_number_) return id_behind(begin) == text ? Found{Found::Kind::Floor, begin} : Found{};
  if (begin == end || number > (*segment_of(end - 1))->number_of(end - 1)) return {Found::Kind::Ahead, 0};
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), number,
                                     [](Number value, const auto& s) { return value < s->first_number(); });
  if (next == segments_.begin()) return {};
  const Segment& segment = **std::prev(next);  // The last one that begins at or below the number.
  const auto place = segment.place_of(number);
  return place && id_of_frame(segment.frame(*place)) == text ? Found{Found::Kind::Entry, *place} : Found{};
}

const OriginIndex& ReplayLog::index() const {
  if (origins_) return *origins_;
  origins_ = std::make_unique<OriginIndex>();
  const Place end = published();
  for (Place place = first(); place < appended_; ++place) {
    const auto origin = (*segment_of(place))->origin_of(place);
    if (!is_indexed(origin)) continue;
    origins_->put(*origin, place);
    if (place < end) origins_->publish(*origin, place);
  }
  return *origins_;
}

std::optional<Place> ReplayLog::find_origin(std::string_view origin) const {
  const std::lock_guard lock(mutex_);
  const auto place = index().newest_published(origin);
  if (!place || (*segment_of(*place))->origin_of(*place) != origin) return std::nullopt;
  return place;
}

bool ReplayLog::has_origin(std::string_view origin) const {
  const std::lock_guard lock(mutex_);
  const auto place = index().newest(origin);
  return place && (*segment_of(*place))->origin_of(*place) == origin;
}

// The floor's entry may still lie in the first segment; else its id was kept.
std::string ReplayLog::id_behind(Place begin) const {
  const bool is_held = !segments_.empty() && segments_.front()->first_place() < begin;
  return is_held ? id_at(begin - 1) : floor_;
}

std::string ReplayLog::id_before(Place place) const {
  if (place == 0) return spell(form_, base_number_);
  const std::lock_guard lock(mutex_);
  if (place > appended_) return {};
  if (place == first()) return id_behind(place);
  return !segments_.empty() && segments_.front()->first_place() < place ? id_at(place - 1) : std::string();
}

Number ReplayLog::newest_number() const {
  const std::lock_guard lock(mutex_);
  const Place end = published();
  return first() < end ? (*segment_of(end - 1))->number_of(end - 1) : floor_number_;
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

std::optional<std::string> ReplayLog::origin_of(Place place) const {
  const std::lock_guard lock(mutex_);
  if (place < first() || place >= published()) return std::nullopt;
  const auto origin = (*segment_of(place))->origin_of(place);
  return origin ? std::optional<std::string>(*origin) : std::nullopt;
}

std::optional<Millis> ReplayLog::time_of(Place place) const {
  const std::lock_guard lock(mutex_);
  if (place < first() || place >= published()) return std::nullopt;
  return (*segment_of(place))->time_of(place);
}

}  // namespace ssequel::replay
