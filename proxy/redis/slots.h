// What a cluster says about its slots. Pure. Private to redis.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "redis/reply.h"
#include "redis/url.h"

namespace ssequel::redis {

inline constexpr unsigned kSlots = 16384;

struct SlotRange {
  unsigned first = 0;
  unsigned last = 0;
  HostPort master;
  friend bool operator==(const SlotRange&, const SlotRange&) = default;
};

// The answer to CLUSTER SLOTS. asked: who gave it; nodes that do not know their own name say nothing, and mean it.
// What is not understood is left out.
[[nodiscard]] std::vector<SlotRange> parse_slots(const Reply& reply, const HostPort& asked);

// "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381".
struct Redirection {
  bool is_ask = false;
  unsigned slot = 0;
  HostPort to;
  friend bool operator==(const Redirection&, const Redirection&) = default;
};
[[nodiscard]] std::optional<Redirection> parse_redirection(std::string_view error, const HostPort& asked);

}  // namespace ssequel::redis
