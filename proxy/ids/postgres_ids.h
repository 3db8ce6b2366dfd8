// `postgres`: nextval of a sequence, a block of them by one query. One connection for the process, on a thread of its
// own, since libpq looks names up while it blocks; loops ask by message and are answered by message. The connection
// comes back by itself. Without PostgreSQL in the build, open() says so.
//
// A value is used once its query is complete. A sequence that is missing is created; one that counts down or cycles is
// refused. Should it have fallen back (a standby that lost something), it is set above what was given already.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ids/block_pool.h"
#include "ids/ledger.h"

namespace ssequel::ids {

[[nodiscard]] bool has_postgres() noexcept;

struct PostgresIdsOptions {
  std::string url;
  std::string sequence;  // NAME or SCHEMA.NAME, of letters, digits and _.
};

class PostgresIds {
 public:
  // Misconfigured: the URL cannot be read. Unsupported: this build has no PostgreSQL. The ledger must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<PostgresIds>> open(PostgresIdsOptions options, Ledger& ledger);
  virtual ~PostgresIds() = default;  // Ends the thread; no answer comes afterwards.
  // From any thread. Ascending blocks, `count` numbers in all, each above floor. Answers come one after the other, in
  // the order of asking, on the thread of this; however long it takes.
  virtual void fetch(std::uint64_t count, std::uint64_t floor, std::function<void(std::vector<Block>)> on_blocks) = 0;
};

}  // namespace ssequel::ids
