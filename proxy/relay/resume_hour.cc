#include "relay/resume_hour.h"

#include <algorithm>
#include <bit>

namespace ssequel::relay {
namespace {

std::int64_t minute_of(Millis now) { return std::chrono::floor<std::chrono::minutes>(now).count(); }

void keep_most(WindowUse& most, const WindowUse& use) {
  if (use.used > most.used) most = use;
}

}  // namespace

WindowUse window_use(const replay::ReplayLog& log, const replay::Bounds& bounds, std::uint64_t behind, Millis now) {
  const auto held = log.window_events();
  const auto bytes = log.window_bytes();
  const auto distance = static_cast<double>(behind);
  WindowUse use;
  const auto consider = [&](double room, WindowBound bound) {
    const double used = room > 0 ? distance / room : 0;
    if (used > use.used) use = {used, bound};
  };
  if (bounds.events != 0) consider(static_cast<double>(bounds.events), WindowBound::Events);
  if (held == 0) return use;
  const double each = static_cast<double>(bytes) / static_cast<double>(held);
  if (each > 0) consider(static_cast<double>(bounds.bytes) / each, WindowBound::Bytes);
  if (log.first() == 0) return use;  // Nothing has left it yet.
  // It holds less than events and bytes allow: what is there is what age, or all windows together, leave.
  const bool is_below = (bounds.events == 0 || held < bounds.events) && bytes + 2 * each < bounds.bytes;
  if (!is_below) return use;
  const auto oldest = log.time_of(log.first());
  const bool is_old = oldest && now - *oldest > bounds.age / 2;
  consider(static_cast<double>(held), is_old ? WindowBound::Age : WindowBound::Store);
  return use;
}

std::size_t ResumeHour::step_of(std::uint64_t behind) {
  if (behind < 8) return behind;
  const auto octave = static_cast<std::size_t>(std::bit_width(behind)) - 4;  // 8..15: 0
  const auto quarter = static_cast<std::size_t>(behind >> (octave + 1)) & 3;
  return std::min(kSteps - 1, 8 + octave * 4 + quarter);
}

std::uint64_t ResumeHour::top_of(std::size_t step) {
  if (step < 8) return step;
  const auto octave = (step - 8) / 4;
  const auto quarter = (step - 8) % 4;
  return ((std::uint64_t{5} + quarter) << (octave + 1)) - 1;
}

ResumeHour::Bucket& ResumeHour::bucket_of(std::int64_t minute) {
  // Nearly always the last one.
  auto at = buckets_.end();
  while (at != buckets_.begin() && std::prev(at)->minute >= minute) --at;
  if (at == buckets_.end() || at->minute != minute) {
    at = buckets_.insert(at, Bucket());
    at->minute = minute;
  }
  return *at;
}

void ResumeHour::forget_before(std::int64_t minute) {
  while (!buckets_.empty() && buckets_.front().minute < minute) buckets_.pop_front();
}

void ResumeHour::came_back(Millis now, std::uint64_t behind, const WindowUse& use) {
  const auto minute = minute_of(now);
  forget_before(minute - static_cast<std::int64_t>(kMinutes) + 1);
  auto& bucket = bucket_of(minute);
  ++bucket.seen.resumes;
  ++bucket.steps[step_of(behind)];
  bucket.seen.most_behind = std::max(bucket.seen.most_behind, behind);
  keep_most(bucket.most, use);
}

void ResumeHour::fell_out(Millis now, std::optional<std::uint64_t> behind, const WindowUse& use) {
  const auto minute = minute_of(now);
  forget_before(minute - static_cast<std::int64_t>(kMinutes) + 1);
  auto& bucket = bucket_of(minute);
  ++bucket.seen.gaps;
  if (behind) {
    ++bucket.steps[step_of(*behind)];
    bucket.seen.most_behind = std::max(bucket.seen.most_behind, *behind);
  }
  keep_most(bucket.most, {std::max(1.0, use.used), use.bound});
}

ResumeHour::Summary ResumeHour::summary(Millis now) const {
  Summary all;
  const auto first = minute_of(now) - static_cast<std::int64_t>(kMinutes) + 1;
  std::array<std::uint64_t, kSteps> steps{};
  std::uint64_t seen = 0;
  for (const auto& bucket : buckets_) {
    const auto at = bucket.minute - first;
    if (at < 0 || at >= static_cast<std::int64_t>(kMinutes)) continue;
    all.minutes[static_cast<std::size_t>(at)] = bucket.seen;
    all.resumes += bucket.seen.resumes;
    all.gaps += bucket.seen.gaps;
    all.most_behind = std::max(all.most_behind, bucket.seen.most_behind);
    keep_most(all.most, bucket.most);
    for (std::size_t i = 0; i < kSteps; ++i) {
      steps[i] += bucket.steps[i];
      seen += bucket.steps[i];
    }
  }
  // The smallest step that 99 of 100 do not exceed.
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kSteps && seen != 0; ++i) {
    below += steps[i];
    if (below * 100 < seen * 99) continue;
    all.p99_behind = i + 1 < kSteps ? std::min(top_of(i), all.most_behind) : all.most_behind;
    break;
  }
  return all;
}

void ResumeHour::add(const ResumeHour& other) {
  for (const auto& bucket : other.buckets_) {
    auto& mine = bucket_of(bucket.minute);
    mine.seen.resumes += bucket.seen.resumes;
    mine.seen.gaps += bucket.seen.gaps;
    mine.seen.most_behind = std::max(mine.seen.most_behind, bucket.seen.most_behind);
    keep_most(mine.most, bucket.most);
    for (std::size_t i = 0; i < kSteps; ++i) mine.steps[i] += bucket.steps[i];
  }
}

}  // namespace ssequel::relay
