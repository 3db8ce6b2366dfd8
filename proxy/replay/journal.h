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
  // Everything below `end` is held at the promised level.
  virtual void on_committed(Place end) = 0;
  // The store is away (or full) or back: intake stops or goes on; nothing is lost meanwhile.
  virtual void on_stalled(const Error& why) = 0;
  virtual void on_recovered() = 0;
};

// Of one channel; its loop's thread only. Never blocks; answers come through the listener in a later turn.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual void append(const JournalEntry& entry) = 0;
  virtual void set_head(std::string_view serialized_head) = 0;
  virtual void set_end(const End& end) = 0;
  virtual void evicted(Place first) = 0;
  // The channel is closed for good: its entries may go.
  virtual void forget() = 0;
};

}  // namespace ssequel::replay
