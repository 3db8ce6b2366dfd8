// Subscribers of a shared channel on another loop than the channel's: their group there, and the messages both ways.
// Made by the channel's loop; kept alive by both. Wakes and reports are joined: one is under way at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "gateway/reader_group.h"

namespace ssequel::gateway {

class RemoteReaders final : public std::enable_shared_from_this<RemoteReaders>, private ReaderGroupOwner {
 public:
  // host_alive: false once the host is gone; looked at on the channel's loop only.
  RemoteReaders(Worker& home, ChannelHost& host, std::shared_ptr<ChannelFeed> feed, std::shared_ptr<bool> host_alive);

  // --- Channel's loop
  [[nodiscard]] Worker& home() { return home_; }
  void wake();
  void end_all();
  void close();  // Ends all; nothing comes after it.
  [[nodiscard]] replay::Place reached() const { return reached_.load(std::memory_order_relaxed); }
  // Up to where the group has been served, however far each reader came.
  [[nodiscard]] replay::Place swept() const { return swept_.load(std::memory_order_relaxed); }
  // A first reader is on its way: what was published before is none of its concern.
  void set_swept(replay::Place place) { swept_.store(place, std::memory_order_relaxed); }
  std::size_t readers = 0;  // As the channel counts them.

  // A reader that was counted never began. From either loop.
  void lose(const std::shared_ptr<relay::Credential>& credential) { on_left(credential); }

  // --- Home loop
  [[nodiscard]] ReaderGroup& group();  // Made when first asked for.
  void drop_group() { group_.reset(); }

 private:
  void on_reached(replay::Place place) override;
  void on_swept(replay::Place place) override;
  void on_left(const std::shared_ptr<relay::Credential>& credential) override;
  void tell_progress();
  [[nodiscard]] std::uint64_t retry_ms() const override;
  [[nodiscard]] ChannelHost* host() override { return nullptr; }

  Worker& home_;
  Worker& channel_worker_;
  ChannelHost& host_;
  const std::shared_ptr<ChannelFeed> feed_;
  const std::shared_ptr<bool> host_alive_;
  std::unique_ptr<ReaderGroup> group_;
  std::atomic<replay::Place> reached_{0};
  std::atomic<replay::Place> swept_{0};
  std::atomic<bool> wake_pending_{false};
  std::atomic<bool> report_pending_{false};
};

}  // namespace ssequel::gateway
