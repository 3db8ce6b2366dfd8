// What a store behind the log must do. An entry is journalled, then published: no byte of it reaches a subscriber
// before the store holds its id and bytes at the promised level. `memory` has no journal: entries are published at
// once.
//
// The journal knows frames without chunk framing; it is never read while the log lives, only when a log is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replay/replay_log.h"

namespace ssequel::replay {

struct JournalEntry {
  Place place = 0;
  std::uint64_t number = 0;
  std::optional<std::string_view> origin;
  std::string_view frame;
};

class JournalListener {
 public:
  virtual ~JournalListener() = default;
  // Everything below `end` is held at the promised level. `end` never falls.
  virtual void on_committed(Place end) = 0;
  // The store is away (or full) or back: intake stops or goes on; nothing is lost meanwhile.
  virtual void on_stalled(const Error& why) = 0;
  virtual void on_recovered() = 0;
};

// Of one channel; its loop's thread only. Never blocks; answers come through the listener in a later turn, never from
// inside a call. What it is given is kept in the order of the calls. Destroyed with its channel: the listener hears
// nothing more then.
class Journal {
 public:
  virtual ~Journal() = default;
  // Once, before everything else.
  virtual void set_listener(JournalListener& listener) = 0;
  // Views are valid for the call only. Taken while it is stalled, too: the channel stops soon, not at once.
  virtual void append(const JournalEntry& entry) = 0;
  virtual void set_head(std::string_view serialized_head) = 0;
  // The upstream's response ended behind the last appended entry. Readers learn of it as soon as everything before it
  // is committed.
  virtual void set_end(const End& end) = 0;
  // Everything below `first` has left the window; committed, all of it.
  virtual void evicted(Place first) = 0;
  // The channel is closed for good: its entries may go.
  virtual void forget() = 0;
};

}  // namespace ssequel::replay
