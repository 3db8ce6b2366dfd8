// The bounded queue before a channel's log: what has arrived and has no id yet, in order of arrival. Empty unless the
// allocator answers later or the journal takes nothing at the moment.
//
//   bytes_    [ gone | head's lines, origin, sticky | next ... ]     one buffer, reused: no allocation an arrival
//   slots_    [ gone | head                         | next ... ]
//
// Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ssequel::relay {

// What is going to be an entry of the log.
struct Arrival {
  enum class Kind {
    Event,
    Dropped,      // An event over the limit: its place is taken by a sync-required.
    UpstreamGap,  // Events may be missing here: a sync-required of its own.
    StoreGap      // Entries were lost here, or may have been: another.
  } kind = Kind::Event;
  std::string_view lines;                  // Event: as sse::Event has them.
  std::optional<std::string_view> origin;  // Its own origin id.
  std::string_view sticky;                 // The upstream's last event ID string with it.
};

class ArrivalQueue {
 public:
  // When either is reached, parsing pauses and the upstream is read no more until ids come: nothing is dropped. The
  // arrival that reaches a bound is still taken, and so are those that no pause can hold back: a gap, of which two
  // never stand in succession, and a last line without its end.
  static constexpr std::size_t kMaxArrivals = 1024;
  static constexpr std::size_t kMaxBytes = 1024 * 1024;

  void push(const Arrival& arrival);  // Copies it.
  // The oldest; views until the next push() or pop().
  [[nodiscard]] Arrival front() const;
  void pop();
  void clear();

  [[nodiscard]] bool empty() const noexcept { return head_ == slots_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return slots_.size() - head_; }
  [[nodiscard]] bool is_full() const noexcept {
    return size() >= kMaxArrivals || bytes_.size() - head_offset_ >= kMaxBytes;
  }
  [[nodiscard]] bool ends_with(Arrival::Kind kind) const noexcept { return !empty() && slots_.back().kind == kind; }
  [[nodiscard]] std::size_t memory() const noexcept { return bytes_.capacity() + slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    Arrival::Kind kind;
    bool has_origin;
    std::size_t lines, origin, sticky;  // Sizes.
    [[nodiscard]] std::size_t size() const noexcept { return lines + origin + sticky; }
  };

  std::string bytes_;
  std::vector<Slot> slots_;
  std::size_t head_ = 0;         // Of slots_.
  std::size_t head_offset_ = 0;  // Of bytes_.
};

}  // namespace ssequel::relay
