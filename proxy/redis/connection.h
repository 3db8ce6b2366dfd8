// One connection to one server, from the name to the last answer:
//
//   Dialling ──► (TLS) ──► LoggingIn ──► Ready ──► Lost
//       └───────────────────────────────────────────►
//
// LoggingIn: AUTH, SELECT, ROLE where a master is wanted, and PING, whose answer tells a server that is still loading.
// Ready: commands are pipelined, what is sent in one turn goes out at its end, answers belong to commands by order.
// Private to redis.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "net/closable.h"
#include "net/connector.h"
#include "net/deadline.h"
#include "net/stream.h"
#include "redis/command.h"
#include "redis/reply_reader.h"
#include "redis/tls.h"

namespace ssequel::redis {

struct ConnectionOptions {
  HostPort host;
  std::optional<Login> login;
  unsigned db = 0;
  std::optional<TlsFiles> tls;
  bool is_master_wanted = false;
  Millis timeout{3000};  // Until it is ready.
};

class Connection;

// The connection may be dropped in each of these calls.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_ready(Connection& connection) = 0;
  virtual void on_answer(Connection& connection, Command command, Reply reply) = 0;
  // Once, and the last call. unanswered: in their order; they went out, at least in part.
  virtual void on_lost(Connection& connection, Failure why, std::vector<Command> unanswered) = 0;
};

class Connection final : public net::Closable,
                         private net::ConnectListener,
                         private net::StreamListener,
                         private net::Deadline::Listener {
 public:
  // No callback comes from inside this call, nor from send().
  [[nodiscard]] static net::Owned<Connection> open(net::DeadlineQueue& deadlines, ConnectionOptions options,
                                                   ConnectionOwner& owner);
  [[nodiscard]] bool is_ready() const { return state_ == State::Ready; }
  [[nodiscard]] const HostPort& host() const { return options_.host; }
  [[nodiscard]] std::size_t pending() const { return commands_.size(); }
  // Only when it is ready.
  void send(Command command);
  void flush();  // At once, what would go out at the end of the turn.
  void close() noexcept override;

 private:
  enum class State { Dialling, Securing, LoggingIn, Ready, Lost };
  enum class Step { Auth, Select, Role, Ping };

  Connection(net::DeadlineQueue& deadlines, ConnectionOptions options, ConnectionOwner& owner);
  ~Connection() override = default;
  void on_connected(net::Owned<net::Stream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_read(std::string_view bytes) override;
  void on_eof() override;
  void on_drained() override {}
  void on_broken(const Error& error) override;
  void on_deadline(net::Deadline& deadline) override;

  void secure(std::string_view from_peer);
  void log_in();
  void on_step(Step step, const Reply& reply);
  void on_plain(std::string_view bytes);
  void on_reply(Reply reply);
  void post(std::string_view bytes);
  void watch();
  void lose(Trouble trouble, std::string_view what);
  [[nodiscard]] bool is_open() const { return owner_ != nullptr && state_ != State::Lost; }

  net::Loop& loop_;
  const ConnectionOptions options_;
  ConnectionOwner* owner_;  // Null from close() on.
  State state_ = State::Dialling;
  net::Deadline deadline_;  // Until it is ready; then of the foremost command.
  net::Owned<net::Connect> connect_;
  net::Owned<net::Stream> stream_;
  std::optional<TlsSession> tls_;
  ReplyReader reader_;
  std::deque<Step> steps_;  // Answers that the login waits for.
  std::deque<Command> commands_;
  std::vector<const Script*> known_;  // Scripts that went out here as a whole.
  std::string out_;                   // What goes out at the end of the turn.
  bool is_flush_deferred_ = false;    // True exactly while flush() is to come.
};

// Where a server is, as log lines say it.
[[nodiscard]] std::string to_string(const HostPort& host);

}  // namespace ssequel::redis
