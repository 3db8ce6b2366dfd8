// One request to an admin endpoint, blocking: `ssequel drain` and `ssequel healthcheck`.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace ssequel::app {

struct AdminReply {
  int status = 0;
  std::string content;
};
// A wildcard address is asked on loopback. Within `timeout` altogether.
[[nodiscard]] Result<AdminReply> ask_admin(const net::Address& address, const std::string& method,
                                           const std::string& target, Millis timeout);

}  // namespace ssequel::app
