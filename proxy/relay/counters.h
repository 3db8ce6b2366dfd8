// What a route counts, in plain structs: one set a loop, added up when somebody asks (app/metrics.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/resume_hour.h"
#include "sse/frame.h"

namespace ssequel::relay {

// Counts of observations at or below fixed bounds, for a Prometheus histogram.
template <std::size_t N>
struct Histogram {
  std::array<std::uint64_t, N + 1> counts{};
  double sum = 0;
  void observe(double value, const std::array<double, N>& bounds, std::uint64_t times = 1) {
    std::size_t i = 0;
    while (i < N && value > bounds[i]) ++i;
    counts[i] += times;
    sum += value * static_cast<double>(times);
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i <= N; ++i) counts[i] += other.counts[i];
    sum += other.sum;
  }
};

inline constexpr std::array<double, 10> kReplayBounds = {0, 1, 5, 10, 25, 50, 100, 250, 1000, 10000};
inline constexpr std::array<double, 12> kSecondsBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                          0.01,   0.025,   0.05,   0.1,   0.5,    2.5};
inline constexpr std::array<double, 9> kLagBounds = {0, 1, 10, 50, 100, 250, 500, 1000, 10000};

inline constexpr std::size_t kSyncReasons = 8;  // Enumerators of sse::SyncReason.
enum class Mismatch { Ahead, Unknown, Identity };
inline constexpr std::size_t kMismatches = 3;
enum class ResumedBy { Own, Origin, None };
enum class TroubleReason { Connect, Timeout, Status, BadResponse, Authorizer, Overload, Drain };
inline constexpr std::size_t kTroubleReasons = 7;

// Numbers and nothing else.
struct RouteCounts {
  std::uint64_t events_emitted = 0;
  std::uint64_t events_delivered = 0;
  std::uint64_t reconnects = 0;
  Histogram<10> replayed;
  std::uint64_t gaps_window = 0;
  std::uint64_t gaps_sequence = 0;
  std::array<std::uint64_t, kMismatches> mismatches{};
  std::array<std::uint64_t, 3> resumes{};
  std::array<std::uint64_t, kSyncReasons> sync_required{};
  std::array<std::uint64_t, kTroubleReasons> trouble{};
  std::uint64_t subscribers = 0;
  std::uint64_t channels = 0;
  std::uint64_t orphans_cancelled = 0;
  std::uint64_t orphaned_events = 0;  // Appended to sessions that nobody read at that time.
  std::uint64_t orphaned_bytes = 0;
  std::uint64_t reattached = 0;
  std::uint64_t upstream_connected = 0;
  std::uint64_t upstream_reconnects = 0;
  Histogram<12> delivery_seconds;
  Histogram<9> lag_events;
  std::uint64_t dropped_oversized = 0;
  std::uint64_t dropped_no_data = 0;
  std::uint64_t deduplicated = 0;
  std::uint64_t ids_rewritten = 0;
  std::uint64_t duplicates = 0;  // Frames sent twice with one id to one subscriber: 0 unless there is a bug.
  // Gauges that are read off the channels when asked.
  std::uint64_t orphans = 0;
  std::uint64_t window_events = 0;
  std::uint64_t window_bytes = 0;

  void add(const RouteCounts& other);
};

struct RouteCounters : RouteCounts {
  ResumeHour resume_hour;

  void add(const RouteCounters& other) {
    RouteCounts::add(other);
    resume_hour.add(other.resume_hour);
  }
};

}  // namespace ssequel::relay
