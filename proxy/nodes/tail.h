// Follows streams with one XREAD that waits for any of them. Private to nodes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/deadline.h"
#include "nodes/layout.h"
#include "redis/client.h"

namespace ssequel::nodes {

class TailListener {
 public:
  virtual ~TailListener() = default;
  // New elements of the stream, in order. The follower may be removed, and others added, in this call.
  virtual void on_elements(const redis::Reply& elements) = 0;
  // Behind this the next elements are asked for.
  [[nodiscard]] virtual StreamId position() const = 0;
};

class Tail final : private redis::ClientListener, private net::Deadline::Listener {
 public:
  // wake_key: a stream of this node's alone. commands: another connection than the one that waits. All references must
  // outlive it.
  Tail(net::DeadlineQueue& deadlines, Random& random, const redis::ClientOptions& options, std::string wake_key,
       redis::Client& commands);
  ~Tail() override;

  void follow(const std::string& key, TailListener& listener);
  void leave(const std::string& key);

 private:
  void on_up() override;
  void on_down(const redis::Failure&) override {}
  void on_deadline(net::Deadline&) override { ask(); }
  void ask();
  void ask_soon();
  void wake();
  void on_answer(const redis::Answer& answer);

  static constexpr Millis kBlock{4000};
  static constexpr Millis kRetry{200};
  static constexpr std::size_t kMaxElements = 256;            // Of each stream and answer.
  static constexpr std::size_t kGoodBytes = 4 * 1024 * 1024;  // An answer over this, and fewer are asked for.

  net::DeadlineQueue& deadlines_;
  const std::string wake_key_;
  redis::Client& commands_;
  net::Owned<redis::Client> client_;
  net::Deadline retry_;
  std::map<std::string, TailListener*> followed_;
  StreamId woken_;  // Of the wake stream.
  std::size_t most_ = kMaxElements;
  bool is_asking_ = false;  // True exactly while an answer is to come.
  bool is_stale_ = false;   // Somebody follows who is not in what was asked.
  bool is_scheduled_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::nodes
