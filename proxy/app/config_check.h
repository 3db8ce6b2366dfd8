// Settings that are well by themselves and impossible together, settings that this version does not have yet, and
// settings that are allowed but worth a second thought.
#pragma once

#include <vector>

#include "app/config_reading.h"
#include "gateway/options.h"

namespace ssequel::app::config {

struct Review {
  const gateway::Options& options;
  const Places& places;  // Of what the file gives; a default stands nowhere.
  const Environment& env;
  Problems& problems;  // Already holds what reading found; nothing is said twice of one key.
  Problems& warnings;
};

void review(const Review& review);

}  // namespace ssequel::app::config
