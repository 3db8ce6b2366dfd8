// Where a reader goes on: Last-Event-ID to a cursor. A total function: every value has an answer, none is an error, and
// none goes live over a silent gap. Pure, but for reading the log.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "replay/replay_log.h"
#include "sse/frame.h"

namespace ssequel::replay {

struct Resume {
  enum class Kind {
    Suffix,  // Every entry from `place` on is new to the reader; nothing is missing.
    Sync     // sync-required with `reason`; then from wherever the route says.
  } kind = Kind::Sync;
  Place place = 0;                                    // Suffix only.
  sse::SyncReason reason = sse::SyncReason::Unknown;  // Sync only.
  bool by_origin = false;                             // The id was the upstream's own.
  bool ambiguous = false;  // Both an id of ours and an origin id could read so (Sync, Unknown).
};

// The longest Last-Event-ID that is looked at.
inline constexpr std::size_t kMaxLastEventId = 1024;

// last_event_id: not empty; several fields or invalid text are the caller's: pass nullopt for what cannot be read.
[[nodiscard]] Resume resume(const ReplayLog& log, std::optional<std::string_view> last_event_id);

}  // namespace ssequel::replay
