// Asks sentinels, one after the other, where their master is.
// https://redis.io/docs/latest/develop/reference/sentinel-clients/ Private to redis.
#pragma once

#include <cstddef>

#include "net/closable.h"
#include "redis/connection.h"

namespace ssequel::redis {

class SentinelListener {
 public:
  virtual ~SentinelListener() = default;
  virtual void on_master(HostPort master) = 0;
  // None of them knows it.
  virtual void on_no_master(const Failure& why) = 0;
};

// One search. Dropping it cancels. Exactly one callback, never from inside start(); the search may be dropped there.
class SentinelSearch final : public net::Closable, private ConnectionOwner {
 public:
  // first: with whom to begin, of url.hosts in a circle. timeout: for each of them.
  [[nodiscard]] static net::Owned<SentinelSearch> start(net::DeadlineQueue& deadlines, const Url& url,
                                                        std::size_t first, Millis timeout, SentinelListener& listener);
  void close() noexcept override;

 private:
  SentinelSearch(net::DeadlineQueue& deadlines, const Url& url, std::size_t first, Millis timeout,
                 SentinelListener& listener)
      : deadlines_(deadlines), url_(url), next_(first), timeout_(timeout), listener_(&listener) {}
  ~SentinelSearch() override = default;
  void on_ready(Connection& connection) override;
  void on_answer(Connection& connection, Command command, Reply reply) override;
  void on_lost(Connection& connection, Failure why, std::vector<Command> unanswered) override;
  void ask_next();
  void go_on(Failure why);

  net::DeadlineQueue& deadlines_;
  const Url& url_;
  std::size_t next_;
  const Millis timeout_;
  SentinelListener* listener_;  // Null once told, or closed.
  std::size_t asked_ = 0;
  net::Owned<Connection> connection_;
};

}  // namespace ssequel::redis
