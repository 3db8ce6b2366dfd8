#include "redis/reply.h"

#include <array>

namespace ssequel::redis {

Trouble classify(std::string_view error) noexcept {
  struct Code {
    std::string_view name;
    Trouble trouble;
  };
  // The codes of server.c (shared.*), cluster.c, acl.c, sentinel.c.
  static constexpr std::array kCodes = {
      Code{"LOADING", Trouble::Away},      Code{"CLUSTERDOWN", Trouble::Away},   Code{"MASTERDOWN", Trouble::Away},
      Code{"TRYAGAIN", Trouble::Away},     Code{"BUSY", Trouble::Away},          Code{"NOSCRIPT", Trouble::Away},
      Code{"READONLY", Trouble::ReadOnly}, Code{"UNBLOCKED", Trouble::ReadOnly}, Code{"OOM", Trouble::Full},
      Code{"MISCONF", Trouble::Full},      Code{"NOREPLICAS", Trouble::Full},    Code{"NOAUTH", Trouble::Denied},
      Code{"WRONGPASS", Trouble::Denied},  Code{"NOPERM", Trouble::Denied},
  };
  // A script's own errors carry its text behind the code of the command that failed.
  const auto code = error.substr(0, error.find_first_of(" \r\n"));
  for (const auto& known : kCodes) {
    if (known.name == code) return known.trouble;
  }
  // Redis 6 and 7 answer a HELLO or an AUTH where no password is set, and a wrong one in the old form, with a plain
  // ERR.
  if (error.starts_with("ERR AUTH") || error.starts_with("ERR invalid password")) return Trouble::Denied;
  if (error.starts_with("ERR max number of clients")) return Trouble::Away;
  return Trouble::Other;
}

}  // namespace ssequel::redis
