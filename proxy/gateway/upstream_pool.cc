#include "gateway/upstream_pool.h"

#include <algorithm>

#include "base/assert.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxIdle = 256;
// Below the keep-alive times that are usual for services (Node.js: 5 s), so that we rarely meet one that is closing.
constexpr Millis kIdleTime{4000};

}  // namespace

// Listens on an idle connection, so that its end is noticed before it is used.
class UpstreamPool::Idle final : public Retirable, private net::StreamListener, private net::Deadline::Listener {
 public:
  Idle(UpstreamPool& pool, net::Owned<net::Stream> stream)
      : pool_(pool), stream_(std::move(stream)), deadline_(pool.deadlines_, *this) {
    stream_->set_listener(*this);
    stream_->start_reading();
    deadline_.set(kIdleTime);
  }
  [[nodiscard]] net::Owned<net::Stream> take() {
    deadline_.cancel();
    return std::move(stream_);
  }
  void close() {
    deadline_.cancel();
    stream_.reset();
  }

 private:
  void on_read(std::string_view) override { pool_.drop(*this); }
  void on_eof() override { pool_.drop(*this); }
  void on_drained() override {}
  void on_broken(const Error&) override { pool_.drop(*this); }
  void on_deadline(net::Deadline&) override { pool_.drop(*this); }

  UpstreamPool& pool_;
  net::Owned<net::Stream> stream_;
  net::Deadline deadline_;
};

UpstreamPool::UpstreamPool(net::Loop& loop, net::DeadlineQueue& deadlines, UpstreamPoolOptions options,
                           std::atomic<std::uint64_t>& total)
    : loop_(loop), deadlines_(deadlines), options_(std::move(options)), dropped_(loop), total_(total) {}

UpstreamPool::~UpstreamPool() = default;

net::Owned<net::Stream> UpstreamPool::take_idle() {
  if (idle_.empty()) return nullptr;
  auto stream = idle_.back()->take();
  // take() may be called from an Idle's neighbourhood, never from inside one: it can go at once.
  idle_.pop_back();
  return stream;
}

void UpstreamPool::give_back(net::Owned<net::Stream> stream) {
  if (idle_.size() >= kMaxIdle || total_.load(std::memory_order_relaxed) > options_.max_connections) {
    stream.reset();
    release_slot();
    return;
  }
  idle_.push_back(std::make_unique<Idle>(*this, std::move(stream)));
}

void UpstreamPool::drop(Idle& idle) {
  const auto at = std::find_if(idle_.begin(), idle_.end(), [&](const auto& other) { return other.get() == &idle; });
  SSEQUEL_ASSERT(at != idle_.end(), "an idle connection is in the pool");
  idle.close();
  dropped_.take(std::move(*at));  // From inside one of its functions.
  idle_.erase(at);
  release_slot();
}

bool UpstreamPool::take_slot() {
  const auto is_full = [this] { return total_.load(std::memory_order_relaxed) >= options_.max_connections; };
  if (is_full()) {
    if (!idle_.empty()) {
      idle_.front()->close();
      idle_.erase(idle_.begin());
      return true;  // Its slot passes on.
    }
    if (!relief_ || !relief_() || is_full()) return false;
  }
  ++connections_;
  total_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void UpstreamPool::release_slot() {
  SSEQUEL_ASSERT(connections_ > 0, "a slot is released once");
  --connections_;
  total_.fetch_sub(1, std::memory_order_relaxed);
}

void UpstreamPool::close_idle() {
  for (auto& idle : idle_) {
    idle->close();
    release_slot();
  }
  idle_.clear();
}

}  // namespace ssequel::gateway
