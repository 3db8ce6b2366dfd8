// A piece of a log: frames back to back, exactly as they go on the wire to an HTTP/1.1 client, with an index.
//
//   bytes_   | 4f CRLF id: 41 LF data: a LF LF CRLF | 1a CRLF id: 42 LF ... LF CRLF |  room left  |
//   entries_   ^ offset 0, time 0                      ^ offset 86, time 12
//
// Chunk framing (RFC 9112 §7.1) goes in once, when the event is encoded, so that consecutive entries are consecutive
// bytes: a reader any distance behind needs one vectored write, and nothing is copied or framed per reader. An
// HTTP/1.0 reader skips the framing (unframe()).
//
// The buffer never moves and bytes below the published end never change: other threads may read them while the writer
// appends behind. The index does move; it is read under the log's mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "replay/event_id.h"

namespace ssequel::replay {

// The position of an entry in its log: dense from 0, for the life of the log. Ids are made from it or kept beside it.
using Place = std::uint64_t;

// Longer origin ids are not kept: a Last-Event-ID that long is not looked at, so no client can come back with one.
inline constexpr std::size_t kMaxOrigin = 1024;

class Segment {
 public:
  // start_position: bytes of the log before this segment, evicted ones too.
  Segment(Place first_place, Number first_number, std::uint64_t start_position, std::size_t capacity, Millis opened);

  // A segment without room left: the entries of consecutive segments, none of them empty, from `from` on, which is in
  // the first one. can_tell() of the newest entry's time must be true of it; see ReplayLog::shrink_to_fit().
  [[nodiscard]] static std::shared_ptr<Segment> joined(std::span<const std::shared_ptr<Segment>> parts, Place from);

  // Bytes that a frame of this size takes up with its chunk framing.
  [[nodiscard]] static std::size_t framed_size(std::size_t frame_size) noexcept;
  [[nodiscard]] bool has_room(std::size_t frame_size) const noexcept;
  // False in a segment so old that the time of a new entry would not fit its index (49 days).
  [[nodiscard]] bool can_tell(Millis now) const noexcept { return (now - opened_).count() <= UINT32_MAX; }
  // The next entry. has_room() must be true; number at least next_number(). origin: the event's own origin id.
  void append(Number number, std::string_view frame, std::optional<std::string_view> origin, Millis now);

  // Drops the entries from `place` on, which nobody may have read yet. place > first_place().
  void truncate(Place place);

  [[nodiscard]] Place first_place() const noexcept { return first_place_; }
  [[nodiscard]] Place end_place() const noexcept { return first_place_ + entries_.size(); }
  [[nodiscard]] Number first_number() const noexcept { return first_number_; }
  [[nodiscard]] Number next_number() const noexcept { return next_number_; }
  [[nodiscard]] Number number_of(Place place) const noexcept;
  // The entry with this number; nullopt if it lies between two or outside.
  [[nodiscard]] std::optional<Place> place_of(Number number) const noexcept;

  // Bytes of entries [first, end), framing included.
  [[nodiscard]] std::string_view framed(Place first, Place end) const noexcept;
  // The frame of one entry without chunk framing.
  [[nodiscard]] std::string_view frame(Place place) const noexcept;
  [[nodiscard]] Millis time_of(Place place) const noexcept;
  [[nodiscard]] std::optional<std::string_view> origin_of(Place place) const noexcept;
  // The entry that holds the byte at this offset (below size()).
  [[nodiscard]] Place place_at(std::size_t offset) const noexcept;
  [[nodiscard]] std::size_t offset_of(Place place) const noexcept;

  [[nodiscard]] std::uint64_t position_of(Place place) const noexcept { return start_position_ + offset_of(place); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const char* data() const noexcept { return bytes_.get(); }
  // What it costs, buffers and index.
  [[nodiscard]] std::size_t memory() const noexcept;

 private:
  struct Entry {
    std::uint32_t offset;
    std::uint32_t age_ms;  // Since opened_.
    std::uint32_t origin;  // Into origins_: 0 for none, else one above the offset of a length byte pair and the id.
  };
  // From the entry at `place` on, numbers rise by one again, beginning with `number`.
  struct Jump {
    Place place;
    Number number;
  };
  const Place first_place_;
  const Number first_number_;
  const std::uint64_t start_position_;
  const Millis opened_;
  const std::size_t capacity_;
  std::size_t size_ = 0;
  std::unique_ptr<char[]> bytes_;
  Number next_number_;
  std::vector<Entry> entries_;
  std::vector<Jump> jumps_;  // Empty with `sequence`; an element an entry with ids made of the time.
  std::string origins_;
};

// The content of the one chunk that begins at framed.front(), and the whole chunk's size.
struct Unframed {
  std::string_view frame;
  std::size_t framed_size;
};
[[nodiscard]] Unframed unframe(std::string_view framed) noexcept;

}  // namespace ssequel::replay
