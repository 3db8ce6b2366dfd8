// The event stream of the status page: once a second, while somebody looks, the facts are gathered and sent to all who
// look, the same bytes. While nobody does, nothing is gathered. A viewer that comes back with Last-Event-ID gets what
// it missed, as far as the last minutes are kept; a new one gets these, too, so that its plots begin filled.
//
// One loop's thread. A viewer that does not read is left out until it does, and cut after a while: nothing queues.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/client_session.h"
#include "net/deadline.h"

namespace ssequel::gateway {

// Who gathers. One line of text (JSON); `done` is called once, perhaps later.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  virtual void status(std::function<void(std::string)> done) = 0;
};

class StatusFeed final : private net::Deadline::Listener {
 public:
  static constexpr std::size_t kMaxViewers = 16;
  static constexpr std::size_t kKeptSnapshots = 120;
  static constexpr std::size_t kKeptBytes = 512 * 1024;

  // All must outlive the feed.
  StatusFeed(net::DeadlineQueue& deadlines, const Clock& clock, StatusSource& source);
  ~StatusFeed() override;  // All viewers must be gone.
  StatusFeed(const StatusFeed&) = delete;
  StatusFeed& operator=(const StatusFeed&) = delete;

  [[nodiscard]] bool is_full() const { return viewers_.size() >= kMaxViewers; }
  [[nodiscard]] std::size_t viewers() const { return viewers_.size(); }
  // Answers a GET with the stream; not when is_full(). last_event_id: empty if there is none.
  void join(ClientSession& session, std::string_view last_event_id);

 private:
  class Viewer;
  struct Snapshot {
    std::uint64_t id;
    std::string frame;
  };
  void on_deadline(net::Deadline& deadline) override;
  void gather();
  void take(const std::string& content);
  void leave(Viewer& viewer) { std::erase(viewers_, &viewer); }

  const Clock& clock_;
  StatusSource& source_;
  net::Deadline deadline_;
  std::vector<Viewer*> viewers_;
  std::deque<Snapshot> kept_;  // The newest last; ids rise, over restarts too: they are times.
  std::size_t kept_bytes_ = 0;
  bool is_gathering_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
