// The log of one channel: an append-only sequence of immutable frames in shared segments, an index from ids to places,
// bounds by events, bytes and age, the response head, and how the stream ended. Whole in memory, with every journal.
//
//     floor          first                     published       appended
//       |              |                           |               |
//   ... [evicted]      [ window: what can be read ][ not committed ]
//
// *logged-first*: readers see entries below published() only; a journal moves it (memory: at once).
// *immutable*: bytes below it never change. *monotonic*: numbers rise.
//
// Threads: one writer (the channel's loop) calls the functions marked W. All others may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "replay/event_id.h"
#include "replay/origin_index.h"
#include "replay/segment.h"

namespace ssequel::replay {

struct Bounds {
  std::uint64_t events = 1000;             // 0: any number.
  std::uint64_t bytes = 16 * 1024 * 1024;  // Frames with their framing, and the origin ids kept beside them.
  Millis age = Millis(3'600'000);
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

// Consecutive entries that are consecutive bytes. The segment keeps them readable.
struct Run {
  std::string_view bytes;
  Place first = 0;
  Place end = 0;
  std::shared_ptr<const Segment> segment;
};

// How one upstream response ended, between two places.
struct End {
  Place at = 0;  // Behind entry at - 1.
  bool is_clean = true;
};

// What an id is to a log.
struct Found {
  enum class Kind {
    Entry,    // Of the entry at `place`, in the window.
    Floor,    // Of the last entry that left the window, or the log's base.
    Evicted,  // Given by this log, older than the floor.
    Ahead,    // Greater than every id given.
    Never     // None of ours.
  } kind = Kind::Never;
  Place place = 0;
};

// Where the window of a log that is loaded anew begins.
struct Past {
  Place first = 0;  // Of the oldest entry to come.
  // Of the entry before it, or the base.
  std::string floor_id;
  Number floor_number = 0;
};

class ReplayLog {
 public:
  static constexpr Place kNoPlace = std::numeric_limits<Place>::max();

  // first_number: of the first entry to come; the base is one below it. 0: begin() will say it.
  ReplayLog(IdForm form, Number first_number, const Bounds& bounds);
  // One that had entries before: append() them from past.first on, and publish().
  ReplayLog(IdForm form, Number first_number, const Bounds& bounds, Past past);
  ReplayLog(const ReplayLog&) = delete;
  ReplayLog& operator=(const ReplayLog&) = delete;

  // W. Once, before the first entry and before anybody reads, of a log that was made without its first number: the
  // base is an id of its own, allocated for it.
  void begin(Number base);
  // W. Appends an entry; number must be above all earlier ones. The frame has its id in it already.
  Place append(std::string_view frame, Number number, std::optional<std::string_view> origin, Millis now);
  // W. Everything below `end` is committed and may be read.
  void publish(Place end);
  // W. No entry gets a number below this one.
  void skip_to(Number number);
  // W. The log itself is committed: its base may be told.
  void set_saved() { is_saved_.store(true, std::memory_order_release); }
  [[nodiscard]] bool is_saved() const noexcept { return is_saved_.load(std::memory_order_acquire); }
  // W. The upstream's response ended behind the last appended entry.
  void add_end(bool is_clean);
  // W. Lets go of entries outside the bounds, but of none at or above keep_from. How many.
  std::size_t evict(Millis now, Place keep_from);
  // W. Lets go of the oldest entries until at least `bytes` have gone (memory pressure). How many entries.
  std::size_t evict_bytes(std::uint64_t bytes);

  // W. No entry is expected soon: room kept for the next ones is given back. Readers keep what they hold.
  void shrink_to_fit();

  // W. Drops what is appended and not published: another writer's entries take its places.
  void roll_back();

  // W only, since only the writer changes them: no lock.
  // The least number that the next entry may have.
  [[nodiscard]] Number next_number() const noexcept { return next_number_; }
  [[nodiscard]] Place appended() const noexcept { return appended_; }
  // Bytes appended since the log began, evicted ones too.
  [[nodiscard]] std::uint64_t appended_position() const noexcept { return appended_position_; }
  // Bytes before this place; for an evicted one that of the oldest entry still held.
  [[nodiscard]] std::uint64_t position(Place place) const;
  // True if the window has reached its bound of events or bytes: one more entry, and the oldest would have to go.
  [[nodiscard]] bool is_full() const noexcept;

  [[nodiscard]] Place published() const noexcept { return published_.load(std::memory_order_acquire); }
  [[nodiscard]] Place first() const noexcept { return first_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t window_events() const noexcept {
    const Place from = first();  // Read before the end, which never falls behind it.
    return published() - from;
  }
  [[nodiscard]] std::uint64_t window_bytes() const noexcept { return window_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t memory() const;

  // Up to max_runs runs of at most max_bytes together from `from` on, but at least one entry, not beyond `stop`. False
  // if `from` has left the window. Nothing to read: true and no runs.
  bool read(Place from, Place stop, std::size_t max_runs, std::size_t max_bytes, std::vector<Run>& out) const;
  // The end of the entry that holds byte `offset` of the run, and that entry's end as an offset in the run.
  struct Boundary {
    Place next;
    std::size_t offset;
  };
  [[nodiscard]] Boundary boundary(const Run& run, std::size_t offset) const;

  // The first end that concerns a response which began at `start` when ends_seen ends were known: one behind a later
  // place, or at the same but added since. "An end ends a response that was there before it."
  [[nodiscard]] std::optional<End> end_for(Place start, std::size_t ends_seen) const;
  [[nodiscard]] std::size_t ends() const noexcept { return end_count_.load(std::memory_order_acquire); }
  // The end that stands at the very end of the log, if nothing came after it.
  [[nodiscard]] std::optional<End> last_end() const;

  // By number; `text` must then be that entry's whole id (it may carry an origin id).
  [[nodiscard]] Found find(Number number, std::string_view text) const;
  // The newest entry in the window with this origin id.
  [[nodiscard]] std::optional<Place> find_origin(std::string_view origin) const;  // Published ones only.
  // W. True if an entry, published or not, has this origin id and is not evicted.
  [[nodiscard]] bool has_origin(std::string_view origin) const;
  // True if an entry in the window has an origin id that reads as a number.
  [[nodiscard]] bool has_numeric_origin() const noexcept {
    return numeric_origins_.load(std::memory_order_relaxed) != 0;
  }
  // The id text of the entry before `place`: what a reader that goes on at `place` has behind it; of place 0, the base.
  // Empty if unknown: long evicted, or not there yet.
  [[nodiscard]] std::string id_before(Place place) const;
  // Of the newest entry that can be read, or the floor's.
  [[nodiscard]] Number newest_number() const;
  // Ids of the oldest and the newest entry that can be read; nullopt if there is none.
  [[nodiscard]] std::optional<std::string> oldest_id() const;
  [[nodiscard]] std::optional<std::string> newest_id() const;
  // The entry's own origin id.
  [[nodiscard]] std::optional<std::string> origin_of(Place place) const;
  // When the entry was appended; for lag and age.
  [[nodiscard]] std::optional<Millis> time_of(Place place) const;

  [[nodiscard]] const IdForm& form() const noexcept { return form_; }
  [[nodiscard]] Number base_number() const noexcept { return base_number_; }
  // Its first number is known: begin() is not awaited.
  [[nodiscard]] bool has_begun() const noexcept { return has_begun_; }
  [[nodiscard]] const Bounds& bounds() const noexcept { return bounds_; }

 private:
  struct ListedEnd {
    End end;
    std::size_t index;  // Among all there ever were.
  };
  // At one place the first end is kept, and this many of the latest.
  static constexpr std::size_t kMaxEndsAtOnePlace = 15;

  [[nodiscard]] const std::shared_ptr<Segment>* segment_of(Place place) const noexcept;  // Locked.
  [[nodiscard]] const OriginIndex& index() const;                                        // Locked.
  void add_segment(Number number, std::size_t frame_size, Millis now);
  void drop_first();                                   // Locked: the oldest entry leaves the window.
  [[nodiscard]] std::string id_at(Place place) const;  // Locked.
  // Locked: of the entry before the window, which begins at `begin`.
  [[nodiscard]] std::string id_behind(Place begin) const;

  const IdForm form_;
  Number base_number_;
  bool has_begun_;
  const Bounds bounds_;
  const std::size_t max_segment_;
  Number next_number_;
  Place appended_ = 0;
  std::uint64_t appended_position_ = 0;
  std::atomic<bool> is_saved_{false};
  Place unpublished_origin_ = kNoPlace;  // The first unpublished entry with an origin id to publish.
  std::atomic<Place> published_{0};
  std::atomic<Place> first_{0};
  std::atomic<std::uint64_t> window_bytes_{0};
  std::atomic<std::size_t> end_count_{0};
  std::atomic<std::uint64_t> numeric_origins_{0};

  mutable std::mutex mutex_;                        // Guards what follows; held for a look-up, never for I/O.
  std::vector<std::shared_ptr<Segment>> segments_;  // A large window has hundreds.
  std::string floor_;                               // Id of the last entry of the last dropped segment, or the base.
  Number floor_number_;
  std::vector<ListedEnd> end_list_;  // Those behind the window are forgotten.
  // Null until somebody first asks for an origin id: most logs are never asked, and keeping it costs more than an
  // append.
  mutable std::unique_ptr<OriginIndex> origins_;
};

// The id in a frame: its `id: ` line is the first or the last one before the empty line.
[[nodiscard]] std::string_view id_of_frame(std::string_view frame) noexcept;

}  // namespace ssequel::replay
