// A command on its way. Private to redis.
#pragma once

#include <string>

#include "base/clock.h"
#include "redis/client.h"

namespace ssequel::redis {

struct Command {
  std::string bytes;               // As it goes on the wire; kept until it is answered.
  const Script* script = nullptr;  // The bytes are this script's EVALSHA.
  Client::OnAnswer on_answer;
  Millis due{0};            // The loop's time when its answer is late.
  int slot = -1;            // In a cluster: of its key; -1: any node will do.
  int redirections = 0;     // Times that it was sent on to another node.
  bool is_asking = false;   // The cluster said ASK: it goes behind an ASKING.
  std::size_t counted = 0;  // Bytes that count as pending.
};

// An array of bulk strings, as servers take commands.
[[nodiscard]] std::string encode(Client::Arguments arguments);
[[nodiscard]] std::string encode_script(const Script& script, Client::Arguments keys, Client::Arguments arguments);
// The same command as EVAL, with the script's text.
void spell_out(Command& command);

}  // namespace ssequel::redis
