// Finds a log in Redis, or makes it, and loads its window. Private to nodes.
#pragma once

#include <memory>
#include <string>

#include "net/deadline.h"
#include "nodes/node_journal.h"
#include "replay/journal.h"

namespace ssequel::nodes {

class Join final : private net::Deadline::Listener {
 public:
  // is_found: only one that is there will do.
  Join(Door& door, LogNames names, replay::LogRecord proposal, const replay::Bounds& bounds,
       replay::Store::Encode encode, bool is_found, replay::Store::OnJoined done);
  ~Join() override { *alive_ = false; }
  void start();
  void on_up();  // What failed is tried again.

 private:
  void ask();
  void on_meta(const redis::Answer& answer);
  void load();
  void on_window(const redis::Answer& answer);
  [[nodiscard]] bool take(const redis::Reply& elements);
  void begin_log(replay::Place first, replay::Number floor);
  void finish();
  void fail(ErrorCode code, std::string context);
  void on_deadline(net::Deadline& deadline) override;
  redis::Client::OnAnswer guarded(void (Join::*then)(const redis::Answer&));

  static constexpr Millis kPatience{3000};
  static constexpr Millis kRetry{100};
  static constexpr std::size_t kMaxElements = 500;

  Door& door_;
  Joined joined_;
  const replay::Bounds bounds_;
  const replay::Store::Encode encode_;
  const bool is_found_;
  replay::Store::OnJoined done_;
  net::Deadline patience_;
  net::Deadline retry_;
  Hash meta_;
  std::string scratch_;
  std::size_t most_ = 64;
  bool is_asking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::nodes
