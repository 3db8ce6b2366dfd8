// What both clients share: commands that wait for a connection, those that fail at once, answers and what they mean.
// Private to redis.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "redis/client.h"
#include "redis/command.h"
#include "redis/connection.h"

namespace ssequel::redis {

// Commands that have no connection yet, in their order.
using Waiting = std::deque<Command>;

class ClientBase : public Client, protected ConnectionOwner, protected net::Deadline::Listener {
 public:
  using Client::send;
  void send(Arguments arguments, std::string_view key, OnAnswer on_answer) final;
  void send(Arguments arguments, std::string_view key, Millis timeout, OnAnswer on_answer) final;
  void run(const Script& script, Arguments keys, Arguments arguments, OnAnswer on_answer) final;
  [[nodiscard]] bool is_up() const final { return is_up_; }
  void close() noexcept final;

 protected:
  ClientBase(net::DeadlineQueue& deadlines, Random& random, ClientOptions options, ClientListener& listener);
  ~ClientBase() override = default;

  // A command with its time; to a connection, to a queue, or to refuse().
  virtual void dispatch(Command command) = 0;
  virtual void let_go() = 0;  // Drops connections and deadlines.

  // All of these may call out: the client may be closed afterwards, which is_closed() tells.
  void finish(Command command, Reply reply);
  void finish(Command command, Failure failure);
  void finish(std::vector<Command> commands, const Failure& failure);
  // Fails the command at the end of this turn.
  void refuse(Command command, Failure failure);
  void expire(Waiting& waiting);  // Fails those whose time is over.
  // How often what waits is looked at: a command without a connection fails so much late at most.
  [[nodiscard]] Millis patience() const { return std::max(options_.command_timeout / 8, Millis(1)); }
  void tell_up();
  void tell_down(const Failure& why);  // Does nothing where it was told already.

  [[nodiscard]] ConnectionOptions connection_options(const HostPort& host) const;
  // How long to wait before the next try: longer and longer while failures follow each other.
  [[nodiscard]] Millis next_wait();
  [[nodiscard]] bool is_closed() const { return listener_ == nullptr; }

  net::DeadlineQueue& deadlines_;
  net::Loop& loop_;
  Random& random_;
  const ClientOptions options_;

 private:
  void accept(Command command);
  void fail_refused();

  ClientListener* listener_;  // Null from close() on.
  Backoff backoff_;
  Millis failed_at_{0};
  std::size_t pending_bytes_ = 0;
  std::vector<std::pair<Command, Failure>> refused_;  // To be told at the end of the turn.
  bool is_up_ = false;
  bool is_down_told_ = false;
};

[[nodiscard]] net::Owned<Client> make_master_client(net::DeadlineQueue& deadlines, Random& random,
                                                    ClientOptions options, ClientListener& listener);
[[nodiscard]] net::Owned<Client> make_cluster_client(net::DeadlineQueue& deadlines, Random& random,
                                                     ClientOptions options, ClientListener& listener);

}  // namespace ssequel::redis
