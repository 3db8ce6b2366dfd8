// The client of a cluster: a map of slots, a connection a node.
//
//   The map is asked for at the beginning, when a node is lost, when a slot moved, and when a node has trouble: of
//   nodes that are connected first, then of all that are known, then of those that the configuration names. Until the
//   first one has come, commands wait; when nobody has one to give, they fail, and it is asked for again after a
//   backoff.
//
// A command goes to the node of its slot, waits there while that is being connected, and follows MOVED and ASK.
#include <array>
#include <deque>
#include <map>
#include <utility>

#include "redis/client_base.h"
#include "redis/slots.h"

namespace ssequel::redis {
namespace {

constexpr int kMaxRedirections = 5;

class ClusterClient final : public ClientBase {
 public:
  ClusterClient(net::DeadlineQueue& deadlines, Random& random, ClientOptions options, ClientListener& listener)
      : ClientBase(deadlines, random, std::move(options), listener),
        refresh_(deadlines, *this),
        patience_(deadlines, *this) {
    refresh();
  }

 private:
  struct Node {
    HostPort at;
    net::Owned<Connection> connection{};
    Waiting waiting{};      // For the connection to be ready.
    Millis retry_at{0};     // No new connection before.
    Failure why{};          // Of the last loss.
    bool is_owner = false;  // Has slots.
  };
  ~ClusterClient() override = default;

  Node& node(const HostPort& at) { return nodes_.try_emplace(at, Node{.at = at}).first->second; }

  // ----------------------------------------------------------------------------------------------------- commands

  void flush() override {
    for (auto& [at, known] : nodes_) {
      if (known.connection) known.connection->flush();
    }
  }

  void dispatch(Command command) override {
    if (!has_map_) {
      if (!is_refreshing_) return refuse(std::move(command), why_);
      waiting_.push_back(std::move(command));
      if (!patience_.is_set()) patience_.set(patience());
      return;
    }
    Node* to = command.slot < 0 ? any_node() : owners_[static_cast<std::size_t>(command.slot)];
    if (to == nullptr) {
      look_again();
      return refuse(std::move(command), {.trouble = Trouble::Away, .context = "Redis: nobody serves the key's slot"});
    }
    send_to(*to, std::move(command));
  }

  Node* any_node() {
    Node* found = nullptr;
    for (auto& [at, candidate] : nodes_) {
      if (!candidate.is_owner) continue;
      if (candidate.connection && candidate.connection->is_ready()) return &candidate;
      if (!found || candidate.retry_at < found->retry_at) found = &candidate;
    }
    return found;
  }

  void send_to(Node& to, Command command) {
    if (to.connection && to.connection->is_ready()) return to.connection->send(std::move(command));
    if (!to.connection) {
      if (loop_.now() < to.retry_at) {
        look_again();
        return refuse(std::move(command), to.why);
      }
      to.connection = Connection::open(deadlines_, connection_options(to.at), *this);
    }
    to.waiting.push_back(std::move(command));
    if (!patience_.is_set()) patience_.set(patience());
  }

  void on_ready(Connection& connection) override {
    for (auto& command : std::exchange(node(connection.host()).waiting, {})) connection.send(std::move(command));
  }

  void on_answer(Connection& connection, Command command, Reply reply) override {
    if (reply.kind != Reply::Kind::Error) return finish(std::move(command), std::move(reply));
    if (command.script != nullptr && reply.text.starts_with("NOSCRIPT")) {
      spell_out(command);
      return connection.send(std::move(command));
    }
    if (const auto redirection = parse_redirection(reply.text, connection.host())) {
      Node& to = node(redirection->to);
      if (!redirection->is_ask) {
        owners_[redirection->slot] = &to;
        to.is_owner = true;
        look_again();
      }
      if (++command.redirections <= kMaxRedirections) {
        command.is_asking = redirection->is_ask;
        return send_to(to, std::move(command));
      }
      is_owed_ = true;
      return finish(std::move(command), Failure{.trouble = Trouble::Away, .context = "Redis: the slot keeps moving"});
    }
    const auto trouble = classify(reply.text);
    if (trouble == Trouble::Away || trouble == Trouble::ReadOnly) look_again();
    finish(std::move(command), std::move(reply));
  }

  void on_lost(Connection& connection, Failure why, std::vector<Command> unanswered) override {
    Node& lost = node(connection.host());
    lost.connection.reset();
    lost.retry_at = loop_.now() + next_wait();
    lost.why = {.trouble = why.trouble, .context = why.context};
    std::vector<Command> waiting(std::make_move_iterator(lost.waiting.begin()),
                                 std::make_move_iterator(lost.waiting.end()));
    lost.waiting.clear();
    look_again();
    finish(std::move(unanswered), why);
    if (is_closed()) return;
    why.may_have_run = false;
    finish(std::move(waiting), why);
  }

  // ------------------------------------------------------------------------------------------------------ the map

  // Something failed that may work later: on_up() is owed, when the map has been renewed.
  void look_again() {
    is_owed_ = true;
    if (!is_refreshing_ && !refresh_.is_set()) refresh_.set(next_wait());
  }

  void refresh() {
    is_refreshing_ = true;
    candidates_.clear();
    for (const auto& [at, known] : nodes_) {
      if (known.connection && known.connection->is_ready()) candidates_.push_back(at);
    }
    for (const auto& [at, known] : nodes_) candidates_.push_back(at);
    for (const auto& seed : options_.url.hosts) candidates_.push_back(seed);
    why_ = {.trouble = Trouble::Away, .context = "Redis: no node of the cluster knows its slots"};
    ask_next();
  }

  void ask_next() {
    if (candidates_.empty()) return give_up();
    Node& candidate = node(candidates_.front());
    std::erase(candidates_, HostPort(candidates_.front()));
    candidate.retry_at = Millis(0);
    static constexpr std::array<std::string_view, 2> kQuestion{"CLUSTER", "SLOTS"};
    Command command;
    command.bytes = encode(kQuestion);
    command.due = loop_.now() + options_.command_timeout;
    command.on_answer = [this, asked = candidate.at](const Answer& answer) { on_slots(asked, answer); };
    send_to(candidate, std::move(command));
  }

  void on_slots(const HostPort& asked, const Answer& answer) {
    const auto ranges = answer ? parse_slots(*answer, asked) : std::vector<SlotRange>();
    if (ranges.empty()) {
      if (!answer) why_ = {.trouble = answer.error().trouble, .context = answer.error().context};
      return ask_next();
    }
    is_refreshing_ = false;
    has_map_ = true;
    owners_.fill(nullptr);
    for (auto& [at, known] : nodes_) known.is_owner = false;
    for (const auto& range : ranges) {
      Node& owner = node(range.master);
      owner.is_owner = true;
      for (auto slot = range.first; slot <= range.last; ++slot) owners_[slot] = &owner;
    }
    std::erase_if(nodes_, [](const auto& entry) {
      const Node& known = entry.second;
      return !known.is_owner && known.waiting.empty() && (!known.connection || known.connection->pending() == 0);
    });
    patience_.cancel();
    for (auto& command : std::exchange(waiting_, {})) dispatch(std::move(command));
    if (const bool is_owed = std::exchange(is_owed_, false); is_owed || !is_up()) tell_up();
  }

  void give_up() {
    is_refreshing_ = false;
    refresh_.set(next_wait());
    // An old map may still be right for some; it stays.
    tell_down(why_);
    if (is_closed()) return;
    std::vector<Command> waiting(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
    waiting_.clear();
    finish(std::move(waiting), why_);
  }

  void on_deadline(net::Deadline& deadline) override {
    if (&deadline == &refresh_) return refresh();
    bool is_anybody_left = false;
    expire(waiting_);
    // Whoever is told may change the nodes.
    std::vector<HostPort> all;
    for (const auto& [at, known] : nodes_) all.push_back(at);
    for (const auto& at : all) {
      const auto found = nodes_.find(at);
      if (is_closed()) return;
      if (found == nodes_.end()) continue;
      expire(found->second.waiting);
    }
    if (is_closed()) return;
    for (const auto& [at, known] : nodes_) is_anybody_left |= !known.waiting.empty();
    if (is_anybody_left || !waiting_.empty()) patience_.set(patience());
  }

  void let_go() override {
    refresh_.cancel();
    patience_.cancel();
    for (auto& [at, known] : nodes_) known.connection.reset();
  }

  net::Deadline refresh_;   // The next look at the map.
  net::Deadline patience_;  // Of what waits; looked at now and then.
  std::map<HostPort, Node> nodes_;
  std::array<Node*, kSlots> owners_{};
  Waiting waiting_;  // For the first map.
  std::deque<HostPort> candidates_;
  Failure why_;  // There is no map.
  bool has_map_ = false;
  bool is_refreshing_ = false;  // True exactly while an answer to CLUSTER SLOTS is to come.
  bool is_owed_ = false;        // Something failed that may work after the next map.
};

}  // namespace

net::Owned<Client> make_cluster_client(net::DeadlineQueue& deadlines, Random& random, ClientOptions options,
                                       ClientListener& listener) {
  return net::Owned<Client>(new ClusterClient(deadlines, random, std::move(options), listener));
}

}  // namespace ssequel::redis
