#include "gateway/reader_group.h"

#include <algorithm>

#include "base/assert.h"
#include "gateway/subscription.h"
#include "gateway/worker.h"

namespace ssequel::gateway {
namespace {

// A sweep over many sockets takes a while; the others are looked at in between.
constexpr std::size_t kSweep = 1024;
constexpr std::size_t kMaxRuns = 16;
constexpr std::size_t kReadBytes = 1024 * 1024;

}  // namespace

ReaderGroup::ReaderGroup(Worker& worker, std::shared_ptr<ChannelFeed> feed, ReaderGroupOwner& owner,
                         bool may_end_in_drain)
    : worker_(worker),
      feed_(std::move(feed)),
      owner_(owner),
      counters_(worker.route_counters(feed_->route->name)),
      may_end_in_drain_(may_end_in_drain) {
  worker_.reader_groups().insert(this);
}

ReaderGroup::~ReaderGroup() {
  SSEQUEL_ASSERT(size() == 0, "a subscription leaves before its group goes");
  *alive_ = false;
  worker_.reader_groups().erase(this);
}

void ReaderGroup::join(Subscription& subscription) {
  subscription.set_seat(subscribers_.size());
  subscribers_.push_back(&subscription);
  ++counters_.subscribers;
}

void ReaderGroup::leave(Subscription& subscription, const std::shared_ptr<relay::Credential>& credential) {
  const auto seat = subscription.seat();
  SSEQUEL_ASSERT(seat < subscribers_.size() && subscribers_[seat] == &subscription, "a subscription sits in its seat");
  if (is_sweeping_) {
    subscribers_[seat] = nullptr;
    ++holes_;
  } else {
    subscribers_[seat] = subscribers_.back();
    if (subscribers_[seat]) subscribers_[seat]->set_seat(seat);
    subscribers_.pop_back();
  }
  --counters_.subscribers;
  if (subscribers_.empty()) {
    // Many channels are kept that nobody reads.
    std::vector<replay::Run>().swap(runs_);
    std::vector<Subscription*>().swap(subscribers_);
  }
  owner_.on_left(credential);
}

void ReaderGroup::compact() {
  if (holes_ == 0) return;
  std::erase(subscribers_, nullptr);
  for (std::size_t seat = 0; seat < subscribers_.size(); ++seat) subscribers_[seat]->set_seat(seat);
  holes_ = 0;
}

void ReaderGroup::sweep() {
  sweep_left_ = subscribers_.size();
  sweep_target_ = feed_->log->published();
  if (!is_deferred_ && !is_sweeping_) serve_some();
}

void ReaderGroup::serve_some() {
  if (subscribers_.empty()) {
    owner_.on_swept(sweep_target_);
    return;
  }
  is_sweeping_ = true;
  replay::Place reached = 0;
  for (std::size_t served = 0; served < kSweep && sweep_left_ > 0; ++served, --sweep_left_) {
    if (sweep_at_ >= subscribers_.size()) sweep_at_ = 0;
    auto* subscription = subscribers_[sweep_at_++];
    if (!subscription) continue;
    subscription->serve();
    reached = std::max(reached, subscription->cursor());
  }
  is_sweeping_ = false;
  compact();
  runs_.clear();  // Lets go of the segments.
  runs_from_ = replay::ReplayLog::kNoPlace;
  if (sweep_left_ > 0 && !is_deferred_) {
    is_deferred_ = true;
    worker_.loop().defer([this, alive = alive_] {
      if (!*alive) return;
      is_deferred_ = false;
      serve_some();
    });
  }
  const auto alive = alive_;
  if (reached != 0) owner_.on_reached(reached);
  if (*alive && sweep_left_ == 0) owner_.on_swept(sweep_target_);
}

bool ReaderGroup::read(replay::Place from, replay::Place stop, const std::vector<replay::Run>*& runs) {
  const auto& log = *feed_->log;
  runs = &runs_;
  // The first subscriber of a sweep looks; those at the same place find it here.
  if (is_sweeping_ && from == runs_from_ && stop == runs_stop_ && !runs_.empty() &&
      runs_.back().end == log.published()) {
    return true;
  }
  runs_from_ = from;
  runs_stop_ = stop;
  return log.read(from, stop, kMaxRuns, kReadBytes, runs_);
}

void ReaderGroup::broadcast(std::string_view line) {
  const bool was_sweeping = std::exchange(is_sweeping_, true);  // Seats stay where they are meanwhile.
  for (std::size_t seat = 0; seat < subscribers_.size(); ++seat) {
    if (subscribers_[seat]) subscribers_[seat]->send_line(line);
  }
  is_sweeping_ = was_sweeping;
  if (!was_sweeping) compact();
}

void ReaderGroup::end_all(const std::function<std::optional<std::uint64_t>()>& retry_ms) {
  const bool was_sweeping = std::exchange(is_sweeping_, true);
  for (std::size_t seat = 0; seat < subscribers_.size(); ++seat) {
    if (subscribers_[seat]) subscribers_[seat]->end(retry_ms());
  }
  is_sweeping_ = was_sweeping;
  if (!was_sweeping) compact();
}

replay::Place ReaderGroup::foremost() const {
  replay::Place most = 0;
  for (const auto* subscription : subscribers_) {
    if (subscription) most = std::max(most, subscription->cursor());
  }
  return most;
}

}  // namespace ssequel::gateway
