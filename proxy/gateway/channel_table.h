// The channels of one loop: shared ones by key, session ones by tag. Keeps limits.channels and limits.store_bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "gateway/channel_host.h"
#include "net/deadline.h"

namespace ssequel::gateway {

class Worker;

class ChannelTable final : private net::Deadline::Listener {
 public:
  explicit ChannelTable(Worker& worker);
  ~ChannelTable() override;

  // Null if there is none. Shared: channel_key(). Session: the tag.
  [[nodiscard]] ChannelHost* find(std::string_view key);
  // has_identity: the request had an identity, and it is part of the key.
  // A new channel; null at limits.channels when every channel is watched. Otherwise the one without subscribers that
  // was watched least recently makes room.
  [[nodiscard]] ChannelHost* open_shared(std::shared_ptr<const relay::Route> route, std::string key, std::string target,
                                         std::string host, bool has_identity, bool is_eager);
  [[nodiscard]] ChannelHost* open_session(std::shared_ptr<const relay::Route> route, std::string method,
                                          std::string target, std::string host, SessionBinding binding);
  // What a new shared channel's log would be.
  [[nodiscard]] replay::LogRecord propose(const relay::Route& route, const std::string& key, bool has_identity);
  // A channel with a log that was joined. Null: there is no room.
  ChannelHost* open_joined(std::shared_ptr<const relay::Route> route, replay::SavedLog saved, std::string target,
                           std::string host, bool is_eager);
  // Goes on with what a store kept. False, and nothing has changed: the route is another by now, or there is no room.
  [[nodiscard]] bool revive(replay::SavedLog&& saved);
  // Closes the channel without subscribers that was watched least recently of those with an upstream connection. False
  // if there is none.
  [[nodiscard]] bool free_connection();
  // The channel is over for good: takes it out of the table, and destroys it later.
  void retire(ChannelHost& host);
  // The log of a channel grew: over store_bytes, the oldest entries go, of unwatched channels first.
  void account(ChannelHost& host);
  [[nodiscard]] std::size_t size() const { return channels_.size(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  template <class Use>
  void for_each(Use use) {
    std::vector<ChannelHost*> all;
    all.reserve(channels_.size());
    for (auto& [key, host] : channels_) all.push_back(host.get());
    for (auto* host : all) use(*host);
  }
  void close_all();  // The process ends: a store keeps what there is.
  // A channel of this key goes while this node's upstream is read for it: the next one tells that gap.
  void note_torn(const std::string& key);
  // Whether it may go has perhaps changed: says so to the other loops.
  void note_watch(ChannelHost& host);

 private:
  [[nodiscard]] bool make_room();
  // A channel of this loop gave its place to another loop's, if it may still go; else the place is taken back.
  void give_up(const std::string& key);
  // Nobody reads it, nobody waits for it, and it is not kept for ever.
  [[nodiscard]] static bool may_go(ChannelHost& host);
  // The form and the first number of a new shared channel's log.
  void begin_shared(relay::Channel::Setup& setup, const relay::Route& route, const std::string& key, bool has_identity);
  // is_kept: its log and journal are there.
  // Where a log with `ids.start` begins: above all that the key's earlier logs have given, whatever their signature.
  [[nodiscard]] std::uint64_t begin_with_start(std::uint64_t start, const std::string& start_key);
  ChannelHost* add(relay::Channel::Setup setup, SessionBinding binding, bool is_kept = false);
  void release(ChannelHost& host);
  // Of the process: over store_bytes.
  void shed();
  void shed_idle(const std::string& key, std::uint64_t bytes);
  void shed_watched(std::uint64_t bytes);
  void recount(ChannelHost& host);
  void on_deadline(net::Deadline& deadline) override;

  Worker& worker_;
  std::unordered_map<std::string, std::unique_ptr<ChannelHost>> channels_;
  std::unordered_set<std::string> torn_;  // Keys of channels that went while this node's upstream was read for them.
  std::unordered_multimap<std::string, ChannelHost*> with_start_;  // Those with `ids.start`, by start_key().
  std::uint64_t bytes_ = 0;
  net::Deadline expiry_;  // Lets aged entries of quiet channels go.
};

}  // namespace ssequel::gateway
