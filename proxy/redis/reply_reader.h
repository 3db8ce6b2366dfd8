// Bytes in, replies out: hiredis' parser behind values of our own. Pure; any split of the bytes gives the same replies.
// Private to redis.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "redis/reply.h"

struct redisReader;

namespace ssequel::redis {

class ReplyReader {
 public:
  ReplyReader();
  // Malformed: these bytes are no RESP; nothing more can be read.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  // The next whole reply; nothing if there is none yet. Malformed as above.
  [[nodiscard]] Result<std::optional<Reply>> next();

 private:
  struct Free {
    void operator()(redisReader* reader) const noexcept;
  };
  std::unique_ptr<redisReader, Free> reader_;
};

}  // namespace ssequel::redis
