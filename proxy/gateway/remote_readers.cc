#include "gateway/remote_readers.h"

#include "gateway/channel_host.h"
#include "gateway/worker.h"

namespace ssequel::gateway {

RemoteReaders::RemoteReaders(Worker& home, ChannelHost& host, std::shared_ptr<ChannelFeed> feed,
                             std::shared_ptr<bool> host_alive)
    : home_(home),
      channel_worker_(host.worker()),
      host_(host),
      feed_(std::move(feed)),
      host_alive_(std::move(host_alive)) {}

void RemoteReaders::wake() {
  if (readers == 0 || wake_pending_.exchange(true)) return;
  home_.post([self = shared_from_this()] {
    self->wake_pending_.store(false);  // Before looking: what is published from here on wakes again.
    if (self->group_) self->group_->sweep();
  });
}

void RemoteReaders::end_all() {
  home_.post([self = shared_from_this()] {
    if (self->group_) self->group_->end_all([] { return std::nullopt; });
  });
}

void RemoteReaders::close() {
  home_.post([self = shared_from_this()] {
    if (self->group_) self->group_->end_all([] { return std::nullopt; });
    self->group_.reset();
    self->home_.forget(self);
  });
}

ReaderGroup& RemoteReaders::group() {
  if (!group_) {
    group_ = std::make_unique<ReaderGroup>(home_, feed_, static_cast<ReaderGroupOwner&>(*this), true);
    home_.keep(shared_from_this());
  }
  return *group_;
}

void RemoteReaders::on_reached(replay::Place place) {
  if (place <= reached_.load(std::memory_order_relaxed)) return;
  reached_.store(place, std::memory_order_relaxed);
  tell_progress();
}

void RemoteReaders::on_swept(replay::Place place) {
  if (place <= swept_.load(std::memory_order_relaxed)) return;
  swept_.store(place, std::memory_order_relaxed);
  tell_progress();
}

void RemoteReaders::tell_progress() {
  if (report_pending_.exchange(true)) return;
  channel_worker_.post([self = shared_from_this()] {
    self->report_pending_.store(false);
    if (*self->host_alive_) self->host_.on_remote_progress();
  });
}

void RemoteReaders::on_left(const std::shared_ptr<relay::Credential>& credential) {
  channel_worker_.post([self = shared_from_this(), credential] {
    if (*self->host_alive_) self->host_.on_remote_left(*self, credential);
  });
}

std::uint64_t RemoteReaders::retry_ms() const {
  return static_cast<std::uint64_t>(feed_->route->retry.value_or(relay::kSharedRetry).count());
}

}  // namespace ssequel::gateway
