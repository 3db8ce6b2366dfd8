// A loop's side of the Redis store: its connections, the pulse of its logs, what it tails. Private to nodes.
//
//   commands   joins, pulses, commits: one connection, pipelined
//   tails      XREAD of all logs that are followed: a connection of their own, in a cluster one for each slot in use
//
// Pulses go out together, for all logs that are due: four times a lease, and at once where something changed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/deadline.h"
#include "nodes/layout.h"
#include "nodes/node_store.h"
#include "nodes/tail.h"
#include "redis/client.h"
#include "replay/journal.h"

namespace ssequel::nodes {

class NodeJournal;
class Join;

class Door final : public replay::Store, private redis::ClientListener, private net::Deadline::Listener {
 public:
  Door(NodeStore& house, net::DeadlineQueue& deadlines);
  ~Door() override;

  // replay::Store
  [[nodiscard]] std::unique_ptr<replay::Journal> open(const replay::LogRecord& record,
                                                      std::shared_ptr<const replay::ReplayLog> log) override;
  [[nodiscard]] std::unique_ptr<replay::Journal> adopt(const replay::SavedLog& saved) override;
  [[nodiscard]] bool is_shared() const override { return true; }
  void join(const replay::LogRecord& proposal, const replay::Bounds& bounds, Encode encode, OnJoined done) override;
  void find(const std::string& route, const std::string& tag, const replay::Bounds& bounds, OnJoined done) override;
  void abandon(const replay::SavedLog& saved) override;
  void set_on_wanted(OnWanted on_wanted) override;
  void stand_down() override;

  // --- For journals and joins.
  [[nodiscard]] NodeStore& house() { return house_; }
  [[nodiscard]] net::DeadlineQueue& deadlines() { return deadlines_; }
  [[nodiscard]] redis::Client& client() { return *client_; }
  [[nodiscard]] bool is_up() const { return client_->is_up(); }
  [[nodiscard]] bool is_standing_down() const { return is_standing_down_; }
  [[nodiscard]] Millis now() const { return deadlines_.loop().now(); }
  // What a lease is granted for: less than the configured time, so that the next node has it within that.
  [[nodiscard]] Millis term() const { return house_.options().lease * 5 / 6; }
  [[nodiscard]] Millis beat() const { return house_.options().lease / 4; }
  void add(NodeJournal& journal);
  void remove(NodeJournal& journal);
  void flush_later(NodeJournal& journal);  // NodeJournal::flush() at the end of this turn.
  void pulse_later(NodeJournal& journal);  // A pulse of it at the end of this turn.
  [[nodiscard]] Tail& tail(unsigned slot);
  [[nodiscard]] std::uint64_t keep_joined(struct Joined joined);
  void end(Join& join);
  void stand(const std::string& why);  // Trouble that no connection tells of; empty: it is over.

 private:
  void on_up() override;
  void on_down(const redis::Failure& why) override;
  void on_deadline(net::Deadline& deadline) override;
  [[nodiscard]] redis::ClientOptions client_options() const;
  void begin(std::unique_ptr<Join> join);
  void end_of_turn();
  void schedule();
  void send_pulses();
  void send_pulses(const std::vector<NodeJournal*>& journals);
  void ask_wanted();
  void on_wanted(const redis::Answer& answer);
  void review();  // Settings of the server that can lose data.

  NodeStore& house_;
  net::DeadlineQueue& deadlines_;
  net::Deadline tick_;
  net::Owned<redis::Client> client_;
  std::map<unsigned, std::unique_ptr<Tail>> tails_;
  std::unordered_map<std::string, NodeJournal*> journals_;  // By the stream's key.
  std::unordered_set<NodeJournal*> dirty_, due_;
  std::unordered_map<Join*, std::unique_ptr<Join>> joins_;
  std::map<std::uint64_t, std::unique_ptr<Joined>> joined_;  // By SavedLog::handle, until adopted.
  std::uint64_t next_handle_ = 1;
  OnWanted on_wanted_;
  Millis wanted_at_{0};  // Asked for again then.
  bool is_scheduled_ = false;
  bool is_standing_down_ = false;
  bool is_pulse_refused_ = false;  // The last one was.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::nodes
