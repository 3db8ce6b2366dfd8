// An asynchronous Redis client on a loop: one server, the master that sentinels name, or a cluster. Commands are
// pipelined; answers are values. It connects by itself, again and again, with backoff and jitter, resolving names each
// time; it follows a master that moves, and slots that move.
//
//   send() ──► [waits while a connection is being made] ──► on its connection ──► answer
//                   │ none is to be had                          │ lost, late
//                   └──────────────► Away ◄──────────────────────┘
//
// Nothing is ever sent twice but where Redis said that it was not executed (MOVED, ASK, NOSCRIPT).
// Loop's thread only; never blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "net/closable.h"
#include "net/deadline.h"
#include "redis/reply.h"
#include "redis/url.h"

namespace ssequel::redis {

struct ClientOptions {
  Url url;
  Millis connect_timeout{3000};  // One attempt: name, connection, TLS, login.
  // From send() to the answer. A connection whose foremost command is later than that is given up: so a partition is
  // noticed. Commands that block (XREAD BLOCK) hold up what is behind them: give them a client of their own.
  Millis command_timeout{1000};
  Millis reconnect_min{50};  // See Backoff.
  Millis reconnect_max{2000};
};

class ClientListener {
 public:
  virtual ~ClientListener() = default;
  // A connection was made, or the cluster's map of slots renewed: what failed as Away or ReadOnly is worth trying
  // again. May come again without an on_down() between. A master may be another than before, or the same with less in
  // it.
  virtual void on_up() = 0;
  // Once an outage; commands fail at once from now on, and on_up() ends it. In a cluster: no node can be reached. The
  // commands that were under way fail right after this call.
  virtual void on_down(const Failure& why) = 0;
};

// A Lua script, sent by its hash and, where the server does not know it yet, by its text. Must outlive the commands.
class Script {
 public:
  explicit Script(std::string source);
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::string& sha1() const { return sha1_; }  // 40 hexadecimal digits.

 private:
  std::string source_;
  std::string sha1_;
};

// Owned<Client>: dropping it, at any moment and from any of its calls, closes the connections; nobody hears anything
// any more, callbacks are destroyed without being called. What was written may still be executed.
class Client : public net::Closable {
 public:
  using Arguments = std::span<const std::string_view>;
  // Called exactly once unless the client is dropped before, in a later turn or later in this one, never from inside
  // the call. Answers to commands of one key come in the order of sending (but where a cluster moves the key's slot).
  using OnAnswer = std::function<void(Answer)>;

  // Begins to connect; neither on_up() nor on_down() comes from inside this call. All references must outlive the
  // client. Misconfigured: the TLS files cannot be used.
  [[nodiscard]] static Result<net::Owned<Client>> create(net::DeadlineQueue& deadlines, Random& random,
                                                         ClientOptions options, ClientListener& listener);

  // What create() looks at, without a client.
  [[nodiscard]] static Result<void> check(const Url& url);

  // The arguments are copied. key: names the node in a cluster; all keys of the command must share its slot. Empty: any
  // node. timeout: instead of command_timeout.
  virtual void send(Arguments arguments, std::string_view key, OnAnswer on_answer) = 0;
  void send(std::initializer_list<std::string_view> arguments, std::string_view key, OnAnswer on_answer);
  virtual void send(Arguments arguments, std::string_view key, Millis timeout, OnAnswer on_answer) = 0;

  // EVALSHA, or EVAL. The first key routes.
  virtual void run(const Script& script, Arguments keys, Arguments arguments, OnAnswer on_answer) = 0;

  // What was sent goes out now and not at the turn's end: for the last words before the client is dropped.
  virtual void flush() = 0;

  // False exactly from on_down(), or the beginning, to on_up().
  [[nodiscard]] virtual bool is_up() const = 0;

  // Commands that wait for an answer, all together, are bounded; what is over fails as Away.
  static constexpr std::size_t kMaxPendingBytes = std::size_t{64} * 1024 * 1024;
};

// The cluster's hash slot of a key, 0 to 16383: CRC16 of what is between the first { and the next }, if that is not
// empty, else of all. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
[[nodiscard]] unsigned hash_slot(std::string_view key) noexcept;

}  // namespace ssequel::redis
