#include "relay/counters.h"

namespace ssequel::relay {
namespace {

template <std::size_t N>
void add_each(std::array<std::uint64_t, N>& to, const std::array<std::uint64_t, N>& from) {
  for (std::size_t i = 0; i < N; ++i) to[i] += from[i];
}

}  // namespace

void RouteCounts::add(const RouteCounts& other) {
  events_emitted += other.events_emitted;
  events_delivered += other.events_delivered;
  reconnects += other.reconnects;
  replayed.add(other.replayed);
  gaps_window += other.gaps_window;
  gaps_sequence += other.gaps_sequence;
  add_each(mismatches, other.mismatches);
  add_each(resumes, other.resumes);
  add_each(sync_required, other.sync_required);
  add_each(trouble, other.trouble);
  subscribers += other.subscribers;
  channels += other.channels;
  orphans += other.orphans;
  orphans_cancelled += other.orphans_cancelled;
  orphaned_events += other.orphaned_events;
  orphaned_bytes += other.orphaned_bytes;
  reattached += other.reattached;
  upstream_connected += other.upstream_connected;
  upstream_reconnects += other.upstream_reconnects;
  delivery_seconds.add(other.delivery_seconds);
  lag_events.add(other.lag_events);
  dropped_oversized += other.dropped_oversized;
  dropped_no_data += other.dropped_no_data;
  deduplicated += other.deduplicated;
  ids_rewritten += other.ids_rewritten;
  duplicates += other.duplicates;
  window_events += other.window_events;
  window_bytes += other.window_bytes;
}

}  // namespace ssequel::relay
