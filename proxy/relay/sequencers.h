// Who gives a loop's channels their sequencers: what stands behind `ids.strategy`. One loop's thread.
#pragma once

#include <memory>
#include <string_view>

#include "relay/route.h"
#include "replay/event_id.h"
#include "replay/sequencer.h"

namespace ssequel::relay {

class Sequencers {
 public:
  virtual ~Sequencers() = default;
  // For a new channel, or one that a store kept. Null for `sequence`: each number one more than the last. key: the
  // channel's.
  [[nodiscard]] virtual std::unique_ptr<replay::Sequencer> open(const Route& route, std::string_view key,
                                                                const replay::IdForm& form) = 0;
};

}  // namespace ssequel::relay
