// Where ids come from. A channel asks for one number an event, in order of arrival; some allocators answer later, and
// the event then waits at the head of the channel's bounded arrival queue.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "replay/event_id.h"

namespace ssequel::replay {

class SequencerListener {
 public:
  virtual ~SequencerListener() = default;
  virtual void on_ids_ready() = 0;  // next() has something again.
};

// One log's allocator; its loop's thread only. Destroyed with its channel: the listener hears nothing more then.
class Sequencer {
 public:
  virtual ~Sequencer() = default;
  // Once, before everything else; those that always answer at once need none.
  virtual void set_listener(SequencerListener&) {}
  // Above every earlier one and above `floor` (the log's last number). nullopt: later, and on_ids_ready() follows in
  // a later turn, never from inside this call; until then it is not asked again.
  [[nodiscard]] virtual std::optional<Number> next(Number floor) = 0;
};

// `sequence`: each exactly one more than the last.
class CountingSequencer final : public Sequencer {
 public:
  [[nodiscard]] std::optional<Number> next(Number floor) override { return floor + 1; }
};

// Where logs without a past begin, so that no id is ever given again in this process; and, as long as the clock is not
// set back and fewer than a million events a second come on average, in any later one either. May be called from any
// thread.
class Beginnings {
 public:
  // start: auto. The time in microseconds, or two above the highest number given so far, whichever is greater.
  [[nodiscard]] std::uint64_t begin_at_time(std::int64_t unix_micros);
  // start: N. N for the first log of a key, later two above all numbers of the key's logs.
  [[nodiscard]] std::uint64_t begin_at(std::uint64_t start, const std::string& key);
  // The same where an earlier log of the key goes on giving numbers beside the new one, which begins so much higher as
  // if a million a second had been given since 1970.
  [[nodiscard]] std::uint64_t begin_beside(std::uint64_t start, const std::string& key, std::int64_t unix_micros);
  // A log has given numbers up to here. Called when a log closes, and for one with
  // `start: N` that still lives when another begins; the key only for those, without what may change of it while ids of
  // its logs are still held by clients.
  void given(std::uint64_t highest, const std::string& key_with_start);
  // A store lost what it knew at this time: numbers may have been given that nobody remembers. Logs with `start: N`
  // begin so much higher, as if a million a second had been given since 1970.
  void forgotten_at(std::uint64_t unix_micros);

 private:
  static constexpr std::size_t kMaxKeys = 100'000;
  std::mutex mutex_;
  std::uint64_t highest_ = 0;
  std::map<std::string, std::uint64_t> by_key_;  // Highest number of keys with `start: N`.
  std::uint64_t highest_forgotten_ = 0;          // Of keys that by_key_ had no room for.
  std::uint64_t forgotten_at_ = 0;
};

}  // namespace ssequel::replay
