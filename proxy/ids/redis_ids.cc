#include "ids/redis_ids.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace ssequel::ids {
namespace {

constexpr Millis kRetry{1000};

// KEYS: the counter. ARGV: what it must be above; how many. Numbers of this size are texts here: Lua's own lose their
// last digits above 2^53. So the answer is a text, too.
const redis::Script& raise_script() {
  static const redis::Script script(R"lua(
local function is_less(a, b)
  if string.sub(a, 1, 1) == '-' then return true end
  if #a ~= #b then return #a < #b end
  return a < b
end
if is_less(redis.call('GET', KEYS[1]) or '0', ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('INCRBY', KEYS[1], ARGV[2])
return redis.call('GET', KEYS[1])
)lua");
  return script;
}

// What a counter says; 0 for what is no number of ours.
std::uint64_t number_of(const redis::Reply& reply) {
  if (reply.kind == redis::Reply::Kind::Integer)
    return static_cast<std::uint64_t>(std::max<std::int64_t>(reply.integer, 0));
  std::uint64_t number = 0;
  std::from_chars(reply.text.data(), reply.text.data() + reply.text.size(), number);
  return number;
}

}  // namespace

// A key, and the pool that is filled from it. Its requests hold it weakly.
class RedisIds::Counter final : public BlockSource,
                                private net::Deadline::Listener,
                                public std::enable_shared_from_this<Counter> {
 public:
  Counter(RedisIds& owner, std::string key, Millis expiry)
      : owner_(owner),
        key_(std::move(key)),
        expiry_(expiry),
        pool_(*this, owner.clock_, kMaxBatch),
        retry_(owner.deadlines_, *this) {
    if (const auto known = owner.given_.find(key_); known != owner.given_.end()) pool_.begin_above(known->second);
  }
  ~Counter() override {
    owner_.counters_.erase(key_);
    if (expiry_.count() == 0 && (owner_.given_.size() < kMaxRemembered || owner_.given_.contains(key_)))
      owner_.given_[key_] = pool_.floor();
  }

  [[nodiscard]] BlockPool& pool() { return pool_; }

  void fetch(std::uint64_t count, std::uint64_t floor) override {
    count_ = count;
    floor_ = floor;
    is_raised_ = false;
    ask();
  }
  // Redis is there again: what failed is tried at once.
  void wake() {
    if (!retry_.is_set()) return;
    retry_.cancel();
    ask();
  }

 private:
  void ask() {
    const auto count = std::to_string(count_);
    owner_.client_->send({"INCRBY", key_, count}, key_, [self = weak_from_this()](const redis::Answer& answer) {
      if (const auto alive = self.lock()) alive->on_answer(answer);
    });
    if (expiry_.count() == 0 || owner_.clock_.now() < refresh_at_) return;
    refresh_at_ = owner_.clock_.now() + expiry_ / 4;
    owner_.client_->send({"PEXPIRE", key_, std::to_string(expiry_.count())}, key_, [](const redis::Answer&) {});
  }

  void raise() {
    const auto floor = std::to_string(floor_);
    const auto count = std::to_string(count_);
    const std::array<std::string_view, 1> keys{key_};
    const std::array<std::string_view, 2> arguments{floor, count};
    owner_.client_->run(raise_script(), keys, arguments, [self = weak_from_this()](const redis::Answer& answer) {
      if (const auto alive = self.lock()) alive->on_answer(answer);
    });
  }

  void on_answer(const redis::Answer& answer) {
    if (!answer) {
      owner_.ledger_.failed("redis", answer.error().context);
      return retry_.set(kRetry);
    }
    const auto last = number_of(*answer);
    if (last < floor_ + count_) {
      if (!std::exchange(is_raised_, true)) return raise();
      is_raised_ = false;
      owner_.ledger_.failed("redis", "a counter holds what is no number");
      return retry_.set(kRetry);
    }
    owner_.ledger_.works("redis");
    // Who takes them may let go of the counter.
    const auto self = shared_from_this();
    pool_.give({{last - count_ + 1, last}});
  }

  void on_deadline(net::Deadline&) override { ask(); }

  RedisIds& owner_;
  const std::string key_;
  const Millis expiry_;
  BlockPool pool_;
  net::Deadline retry_;     // Set exactly while a request is to be made again.
  Millis refresh_at_{0};    // The key's expiry is put off then.
  bool is_raised_ = false;  // The request under way was answered below the floor once.
  std::uint64_t count_ = 1;
  std::uint64_t floor_ = 0;
};

Result<std::unique_ptr<RedisIds>> RedisIds::open(net::DeadlineQueue& deadlines, Random& random, const Clock& clock,
                                                 const redis::ClientOptions& options, Ledger& ledger) {
  std::unique_ptr<RedisIds> made(new RedisIds(deadlines, clock, ledger));
  auto client = redis::Client::create(deadlines, random, options, *made);
  if (!client) return tl::unexpected<Error>(client.error());
  made->client_ = std::move(*client);
  return made;
}

RedisIds::~RedisIds() = default;

std::unique_ptr<replay::Sequencer> RedisIds::sequencer(const std::string& key, Millis expiry) {
  auto counter = counters_[key].lock();
  if (!counter) {
    counter = std::make_shared<Counter>(*this, key, expiry);
    counters_[key] = counter;
  }
  // The pool is a part of the counter, which lives as long.
  return std::make_unique<PoolSequencer>(std::shared_ptr<BlockPool>(counter, &counter->pool()));
}

void RedisIds::on_up() {
  ledger_.works("redis");
  std::vector<std::shared_ptr<Counter>> all;
  for (const auto& [key, weak] : counters_) {
    if (auto counter = weak.lock()) all.push_back(std::move(counter));
  }
  for (const auto& counter : all) counter->wake();
  if (on_up_) on_up_();
}

void RedisIds::on_down(const redis::Failure& why) { ledger_.failed("redis", why.context); }

}  // namespace ssequel::ids
