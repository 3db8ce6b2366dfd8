#include "ids/snowflake_sequencer.h"

namespace ssequel::ids {
namespace {

constexpr Millis kNextMillisecond{1};
constexpr Millis kNoNode{20};  // How often one looks whether there is a node again.

}  // namespace

std::optional<replay::Number> SnowflakeSequencer::next(replay::Number floor) {
  const auto claim = seat_->claim(clock_.now());
  if (!claim) {
    wait_.set(kNoNode);
    return std::nullopt;
  }
  source_->begin_after(claim->after_ms);
  const auto id = source_->next(claim->node, floor, static_cast<std::uint64_t>(clock_.unix_micros() / 1000));
  if (!id) {
    wait_.set(kNextMillisecond);
    return std::nullopt;
  }
  const auto unix_ms = static_cast<std::uint64_t>(*id >> 22) + layout_.epoch_ms;
  seat_->used(unix_ms);
  // A clock that leapt ahead of what the lease covers: its next renewal covers it. The id is nobody's.
  if (unix_ms > claim->bound_ms) {
    wait_.set(kNoNode);
    return std::nullopt;
  }
  return id;
}

}  // namespace ssequel::ids
