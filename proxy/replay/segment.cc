#include "replay/segment.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/assert.h"

namespace ssequel::replay {
namespace {

std::size_t hex_digits(std::size_t size) { return (static_cast<std::size_t>(std::bit_width(size | 1)) + 3) / 4; }

}  // namespace

Segment::Segment(Place first_place, Number first_number, std::uint64_t start_position, std::size_t capacity,
                 Millis opened)
    : first_place_(first_place),
      first_number_(first_number),
      start_position_(start_position),
      opened_(opened),
      capacity_(capacity),
      bytes_(std::make_unique_for_overwrite<char[]>(capacity)),
      next_number_(first_number) {
  SSEQUEL_ASSERT(capacity <= UINT32_MAX, "an offset in a segment fits 32 bits");
}

std::shared_ptr<Segment> Segment::joined(std::span<const std::shared_ptr<Segment>> parts, Place from) {
  const auto& first = *parts.front();
  const Place end = parts.back()->end_place();
  std::size_t size = 0;
  std::size_t jumps = 0;
  std::size_t origins = 0;
  for (const auto& part : parts) {
    size += part->size() - part->offset_of(std::max(from, part->first_place()));
    jumps += part->jumps_.size() + 1;
    origins += part->origins_.size();
  }
  auto whole =
      std::make_shared<Segment>(from, first.number_of(from), first.position_of(from), size, first.time_of(from));
  whole->entries_.reserve(end - from);
  if (jumps > parts.size()) whole->jumps_.reserve(jumps);
  whole->origins_.reserve(origins);
  for (const auto& part : parts) {
    for (Place place = std::max(from, part->first_place()); place < part->end_place(); ++place) {
      whole->append(part->number_of(place), part->frame(place), part->origin_of(place), part->time_of(place));
    }
  }
  return whole;
}

std::size_t Segment::framed_size(std::size_t frame_size) noexcept {
  return hex_digits(frame_size) + 2 + frame_size + 2;
}

bool Segment::has_room(std::size_t frame_size) const noexcept { return framed_size(frame_size) <= capacity_ - size_; }

void Segment::append(Number number, std::string_view frame, std::optional<std::string_view> origin, Millis now) {
  SSEQUEL_ASSERT(has_room(frame.size()), "a segment is never overfilled");
  if (number != next_number_) jumps_.push_back({end_place(), number});
  next_number_ = number + 1;
  Entry entry{static_cast<std::uint32_t>(size_),
              static_cast<std::uint32_t>(std::clamp<std::int64_t>((now - opened_).count(), 0, UINT32_MAX)), 0};
  if (origin && origin->size() <= kMaxOrigin) {
    entry.origin = static_cast<std::uint32_t>(origins_.size()) + 1;
    origins_.push_back(static_cast<char>(origin->size() & 0xff));
    origins_.push_back(static_cast<char>(origin->size() >> 8));
    origins_.append(*origin);
  }
  char* out = bytes_.get() + size_;
  out = std::to_chars(out, out + 16, frame.size(), 16).ptr;
  *out++ = '\r';
  *out++ = '\n';
  std::memcpy(out, frame.data(), frame.size());
  out += frame.size();
  *out++ = '\r';
  *out++ = '\n';
  size_ = static_cast<std::size_t>(out - bytes_.get());
  entries_.push_back(entry);
}

void Segment::truncate(Place place) {
  SSEQUEL_ASSERT(place > first_place_ && place <= end_place(), "a segment keeps its first entry");
  next_number_ = number_of(place - 1) + 1;
  size_ = offset_of(place);
  entries_.resize(place - first_place_);
  while (!jumps_.empty() && jumps_.back().place >= place) jumps_.pop_back();
}

Number Segment::number_of(Place place) const noexcept {
  if (jumps_.empty() || place < jumps_.front().place) return first_number_ + (place - first_place_);
  const auto next = std::upper_bound(jumps_.begin(), jumps_.end(), place,
                                     [](Place value, const Jump& jump) { return value < jump.place; });
  const Jump& jump = *std::prev(next);
  return jump.number + (place - jump.place);
}

std::optional<Place> Segment::place_of(Number number) const noexcept {
  if (number < first_number_ || number >= next_number_) return std::nullopt;
  const auto next = std::upper_bound(jumps_.begin(), jumps_.end(), number,
                                     [](Number value, const Jump& jump) { return value < jump.number; });
  const Jump dense = next == jumps_.begin() ? Jump{first_place_, first_number_} : *std::prev(next);
  // Beyond any segment's end if the difference does not fit.
  const Number place = dense.place + (number - dense.number);
  const Place end = next == jumps_.end() ? end_place() : next->place;
  return place < end ? std::optional(static_cast<Place>(place)) : std::nullopt;
}

std::size_t Segment::offset_of(Place place) const noexcept {
  return place == end_place() ? size_ : entries_[place - first_place_].offset;
}

std::string_view Segment::framed(Place first, Place end) const noexcept {
  const auto from = offset_of(first);
  return {bytes_.get() + from, offset_of(end) - from};
}

std::string_view Segment::frame(Place place) const noexcept { return unframe(framed(place, place + 1)).frame; }

Millis Segment::time_of(Place place) const noexcept { return opened_ + Millis(entries_[place - first_place_].age_ms); }

std::optional<std::string_view> Segment::origin_of(Place place) const noexcept {
  const auto at = entries_[place - first_place_].origin;
  if (at == 0) return std::nullopt;
  const auto* from = reinterpret_cast<const unsigned char*>(origins_.data()) + at - 1;
  const std::size_t size = from[0] | static_cast<std::size_t>(from[1]) << 8;
  return std::string_view(origins_).substr(at + 1, size);
}

Place Segment::place_at(std::size_t offset) const noexcept {
  const auto next = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                     [](std::size_t value, const Entry& entry) { return value < entry.offset; });
  return first_place_ + static_cast<Place>(next - entries_.begin()) - 1;
}

std::size_t Segment::memory() const noexcept {
  return sizeof *this + capacity_ + entries_.capacity() * sizeof(Entry) + jumps_.capacity() * sizeof(Jump) +
         origins_.capacity();
}

Unframed unframe(std::string_view framed) noexcept {
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(framed.data(), framed.data() + framed.size(), size, 16);
  const auto header = static_cast<std::size_t>(end - framed.data()) + 2;
  return {framed.substr(header, size), header + size + 2};
}

}  // namespace ssequel::replay
