// Channels of a store that several nodes share are joined before they are opened: the log may be there already, on
// another node. One question a channel at a time, whoever waits for it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relay/route.h"
#include "replay/journal.h"

namespace ssequel::gateway {

class Worker;

class JoinWaiter {
 public:
  virtual ~JoinWaiter() = default;
  // The channel is there now, or (a session) is nowhere. To be looked for anew.
  virtual void on_joined() = 0;
  // The store did not answer, or there is no room.
  virtual void on_join_failed() = 0;
};

class Joins {
 public:
  explicit Joins(Worker& worker) : worker_(worker) {}
  ~Joins() { *alive_ = false; }

  // A shared channel, made if it is nowhere. waiter: null for an eager one.
  struct Shared {
    std::shared_ptr<const relay::Route> route;
    std::string key;
    std::string target;
    std::string host;
    bool has_identity = false;
    bool is_eager = false;
    bool is_guest = false;  // Its readers are on other nodes; waiter: null.
  };
  void join(Shared shared, JoinWaiter* waiter);
  // A session, by its tag.
  void find(std::shared_ptr<const relay::Route> route, const std::string& tag, JoinWaiter& waiter);
  // Nothing is told to this one any more.
  void forget(JoinWaiter& waiter);

 private:
  void tell(const std::string& key, bool is_good);
  void on_joined(const Shared& shared, Result<replay::SavedLog> saved);

  Worker& worker_;
  std::map<std::string, std::vector<JoinWaiter*>> waiters_;  // By key; those that are asked for just now.
  std::vector<JoinWaiter*> told_;                            // To be told in this turn.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
