// `snowflake` for one channel: the process's source, its node, and a wait where there is neither. One loop's thread.
#pragma once

#include <memory>

#include "base/clock.h"
#include "ids/node_seat.h"
#include "ids/snowflake.h"
#include "net/deadline.h"
#include "replay/sequencer.h"

namespace ssequel::ids {

class SnowflakeSequencer final : public replay::Sequencer, private net::Deadline::Listener {
 public:
  SnowflakeSequencer(net::DeadlineQueue& deadlines, const Clock& clock, SnowflakeLayout layout,
                     std::shared_ptr<SnowflakeSource> source, std::shared_ptr<NodeSeat> seat)
      : clock_(clock), layout_(layout), source_(std::move(source)), seat_(std::move(seat)), wait_(deadlines, *this) {}
  void set_listener(replay::SequencerListener& listener) override { listener_ = &listener; }
  [[nodiscard]] std::optional<replay::Number> next(replay::Number floor) override;

 private:
  void on_deadline(net::Deadline&) override { listener_->on_ids_ready(); }

  const Clock& clock_;
  const SnowflakeLayout layout_;
  const std::shared_ptr<SnowflakeSource> source_;
  const std::shared_ptr<NodeSeat> seat_;
  net::Deadline wait_;
  replay::SequencerListener* listener_ = nullptr;
};

}  // namespace ssequel::ids
