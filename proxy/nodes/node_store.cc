#include "nodes/node_store.h"

#include <algorithm>

#include "base/base62.h"
#include "nodes/door.h"
#include "redis/client.h"

namespace ssequel::nodes {
namespace {

std::string random_name(Random& random) {
  std::array<std::byte, 16> bits{};
  random.fill(bits);
  return base62::encode_tag(bits);
}

}  // namespace

Result<std::unique_ptr<NodeStore>> NodeStore::open(NodeOptions options, Logger& logger, const Clock& clock,
                                                   Random& random) {
  auto url = redis::parse_url(options.url);
  if (!url) return fail(ErrorCode::Misconfigured, "redis.url: " + url.error().context);
  if (auto usable = redis::Client::check(*url); !usable) {
    return fail(ErrorCode::Misconfigured, "redis.url: " + usable.error().context);
  }
  return std::unique_ptr<NodeStore>(new NodeStore(std::move(options), std::move(*url), logger, clock, random));
}

NodeStore::NodeStore(NodeOptions options, redis::Url url, Logger& logger, const Clock& clock, Random& random)
    : options_(std::move(options)),
      url_(std::move(url)),
      logger_(logger),
      clock_(clock),
      random_(random),
      name_(random_name(random)) {}

std::unique_ptr<replay::Store> NodeStore::door(net::DeadlineQueue& deadlines) {
  return std::make_unique<Door>(*this, deadlines);
}

NodeStatus NodeStore::status() const {
  NodeStatus status;
  status.errors = errors_.load(std::memory_order_relaxed);
  status.gaps = gaps_.load(std::memory_order_relaxed);
  status.leading = static_cast<std::uint64_t>(std::max<std::int64_t>(0, leading_.load(std::memory_order_relaxed)));
  const std::lock_guard lock(mutex_);
  status.is_well = troubles_.empty();
  if (!troubles_.empty()) status.why = troubles_.begin()->second;
  status.commits = commits_;
  status.commit_seconds = commit_seconds_;
  return status;
}

void NodeStore::count_commit(double seconds) {
  const auto at = static_cast<std::size_t>(std::lower_bound(kCommitBounds.begin(), kCommitBounds.end(), seconds) -
                                           kCommitBounds.begin());
  const std::lock_guard lock(mutex_);
  ++commits_[at];
  commit_seconds_ += seconds;
}

void NodeStore::set_state(const void* door, const std::string& why) {
  bool was_well = true, is_well = true;
  {
    const std::lock_guard lock(mutex_);
    was_well = troubles_.empty();
    if (why.empty()) {
      troubles_.erase(door);
    } else {
      troubles_[door] = why;
    }
    is_well = troubles_.empty();
  }
  if (was_well && !is_well) {
    logger_.error("the Redis store is away: intake stops until it is back; nothing is lost", {{"error", why}});
  }
  if (!was_well && is_well) logger_.info("the Redis store is back", {});
}

}  // namespace ssequel::nodes
