// A CORS preflight for a route's path (Fetch §3.2.2). A service that never heard of Last-Event-ID would refuse the very
// clients that our ids make resume: it is asked without, and the answer allows it if the rest is allowed.
#pragma once

#include <string>

#include "gateway/forward.h"

namespace ssequel::gateway {

class Preflight final : public Forward {
 public:
  using Forward::Forward;
  void start_preflight(http::RequestHead& head);

 private:
  void amend_head(http::ResponseHead& head) override;
  std::string rest_;  // The other field names that were asked for.
  bool asked_ = false;
};

}  // namespace ssequel::gateway
