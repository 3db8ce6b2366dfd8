#include "ids/allocators.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/base62.h"
#include "base/sha256.h"
#include "ids/node_lease.h"
#include "ids/redis_ids.h"
#include "ids/snowflake_sequencer.h"
#include "ids/ulid_sequencer.h"
#include "relay/identity.h"

namespace ssequel::ids {
namespace {

using relay::Strategy;

// Counters of logs that have a tag are nobody else's, and of no use once the log is gone.
constexpr Millis kTaggedExpiry = std::chrono::hours(24);

// Where the files that an allocator needs have gone since the start: events wait.
class NoSequencer final : public replay::Sequencer {
 public:
  [[nodiscard]] std::optional<replay::Number> next(replay::Number) override { return std::nullopt; }
};

// What a client sent is a part of a channel's key: its digest stands for it.
std::string counter_key(const std::string& prefix, const relay::Route& route, std::string_view channel_key) {
  const auto digest = sha256(relay::start_key(channel_key));
  const std::string_view bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
  return prefix + ":ids:" + route.name + ":" + base62::encode(bytes);
}

}  // namespace

std::optional<std::uint64_t> ordinal_of(std::string_view pod_name) {
  const auto dash = pod_name.rfind('-');
  if (dash == pod_name.npos || dash + 1 == pod_name.size()) return std::nullopt;
  std::uint64_t number = 0;
  const auto* end = pod_name.data() + pod_name.size();
  const auto [stop, error] = std::from_chars(pod_name.data() + dash + 1, end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// One loop's: its client to Redis, its pools.
class Allocators::Door final : public relay::Sequencers {
 public:
  Door(Allocators& house, net::DeadlineQueue& deadlines)
      : house_(house), deadlines_(deadlines), postgres_source_(std::make_shared<PostgresSource>(*this)) {}
  ~Door() override {
    const bool has_lease = !leases_.empty();
    leases_.clear();
    if (has_lease) redis_->client().flush();
  }

  [[nodiscard]] std::unique_ptr<replay::Sequencer> open(const relay::Route& route, std::string_view key,
                                                        const replay::IdForm& form) override {
    switch (route.ids.strategy) {
      case Strategy::Sequence:
        return nullptr;
      case Strategy::Ulid:
        return std::make_unique<UlidSequencer>(house_.random_, house_.clock_);
      case Strategy::Snowflake:
        return snowflake(route.ids);
      case Strategy::Redis: {
        auto* redis = open_redis();
        if (redis == nullptr) return std::make_unique<NoSequencer>();
        if (route.ids.counter != "channel") return redis->sequencer(route.ids.counter, Millis(0));
        return redis->sequencer(counter_key(house_.options_.redis_prefix, route, key),
                                form.tag.empty() ? Millis(0) : kTaggedExpiry);
      }
      case Strategy::Postgres:
        if (!postgres_pool_) {
          postgres_pool_ = std::make_shared<BlockPool>(*postgres_source_, house_.clock_, house_.options_.postgres_block,
                                                       BlockPool::Size::Fixed);
        }
        return std::make_unique<PoolSequencer>(postgres_pool_);
    }
    return nullptr;
  }

 private:
  // Asks the process's thread; the answer comes back to this loop, if it still has a door.
  class PostgresSource final : public BlockSource, public std::enable_shared_from_this<PostgresSource> {
   public:
    explicit PostgresSource(Door& door) : door_(door) {}
    void fetch(std::uint64_t count, std::uint64_t floor) override {
      auto* postgres = door_.house_.postgres();
      if (postgres == nullptr) return;
      postgres->fetch(count, floor,
                      [&loop = door_.deadlines_.loop(), weak = weak_from_this()](std::vector<Block> blocks) {
                        loop.post([weak, blocks = std::move(blocks)] {
                          if (const auto self = weak.lock()) self->door_.postgres_pool_->give(blocks);
                        });
                      });
    }

   private:
    Door& door_;
  };

  RedisIds* open_redis() {
    if (redis_) return redis_.get();
    auto url = redis::parse_url(house_.options_.redis_url);
    if (!url) return nullptr;
    redis::ClientOptions options{.url = std::move(*url)};
    options.command_timeout = std::max(house_.options_.lease * 2 / 5, Millis(100));
    options.connect_timeout = house_.options_.lease;
    auto opened = RedisIds::open(deadlines_, house_.random_, house_.clock_, options, house_.ledger_);
    if (!opened) {
      house_.ledger_.failed("redis", opened.error().context);
      return nullptr;
    }
    redis_ = std::move(*opened);
    redis_->set_on_up([this] {
      for (auto& lease : leases_) lease->wake();
    });
    return redis_.get();
  }

  std::unique_ptr<replay::Sequencer> snowflake(const relay::Ids& ids) {
    const SnowflakeLayout layout{.epoch_ms = ids.epoch_ms, .node_bits = ids.node_bits};
    std::shared_ptr<SnowflakeSource> source;
    std::shared_ptr<NodeSeat> seat;
    bool is_lease_needed = false;
    {
      const std::lock_guard lock(house_.mutex_);
      auto& known = house_.sources_[layout];
      if (!known) known = std::make_shared<SnowflakeSource>(layout);
      source = known;
      if (const auto node = house_.fixed_node(ids)) {
        seat = std::make_shared<NodeSeat>(*node);
      } else {
        auto& shared = house_.seats_[ids.node_bits];
        is_lease_needed = !shared;
        if (!shared) shared = std::make_shared<NodeSeat>();
        seat = shared;
      }
    }
    if (is_lease_needed) {
      auto* redis = open_redis();
      if (redis == nullptr) return std::make_unique<NoSequencer>();
      leases_.push_back(std::make_unique<NodeLease>(
          deadlines_, house_.random_, house_.clock_, redis->client(), house_.ledger_,
          NodeLeaseOptions{.key = house_.options_.redis_prefix + ":nodes:" + std::to_string(ids.node_bits),
                           .node_bits = ids.node_bits,
                           .lease = house_.options_.lease},
          seat));
    }
    return std::make_unique<SnowflakeSequencer>(deadlines_, house_.clock_, layout, source, seat);
  }

  Allocators& house_;
  net::DeadlineQueue& deadlines_;
  std::unique_ptr<RedisIds> redis_;
  std::vector<std::unique_ptr<NodeLease>> leases_;  // Those that this loop keeps for all.
  std::shared_ptr<PostgresSource> postgres_source_;
  std::shared_ptr<BlockPool> postgres_pool_;
};

Allocators::Allocators(AllocatorOptions options, Logger& logger, const Clock& clock, Random& random)
    : options_(std::move(options)), clock_(clock), random_(random), ledger_(logger) {}

Allocators::~Allocators() = default;

Result<void> Allocators::check(const std::vector<relay::Route>& routes) {
  for (const auto& route : routes) {
    const bool needs_redis =
        route.ids.strategy == Strategy::Redis || (route.ids.strategy == Strategy::Snowflake && !fixed_node(route.ids));
    if (needs_redis) {
      const auto url = redis::parse_url(options_.redis_url);
      if (!url) return fail(ErrorCode::Misconfigured, "redis.url: " + url.error().context);
      if (auto usable = redis::Client::check(*url); !usable)
        return fail(ErrorCode::Misconfigured, "redis.url: " + usable.error().context);
    }
    if (route.ids.strategy == Strategy::Postgres && !postgres_) {
      auto opened = PostgresIds::open(options_.postgres, ledger_);
      if (!opened) return tl::unexpected<Error>(opened.error());
      postgres_ = std::move(*opened);
    }
  }
  return {};
}

std::unique_ptr<relay::Sequencers> Allocators::door(net::DeadlineQueue& deadlines) {
  return std::make_unique<Door>(*this, deadlines);
}

void Allocators::stop() {
  const std::lock_guard lock(mutex_);
  postgres_.reset();
}

std::optional<std::uint64_t> Allocators::fixed_node(const relay::Ids& ids) const {
  if (ids.node_id) return *ids.node_id;
  const auto ordinal = options_.pod_name ? ordinal_of(*options_.pod_name) : std::nullopt;
  if (ordinal && *ordinal >> ids.node_bits == 0) return ordinal;
  return std::nullopt;
}

PostgresIds* Allocators::postgres() {
  const std::lock_guard lock(mutex_);
  if (!postgres_) {
    if (auto opened = PostgresIds::open(options_.postgres, ledger_)) postgres_ = std::move(*opened);
  }
  return postgres_.get();
}

}  // namespace ssequel::ids
