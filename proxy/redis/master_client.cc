// The client of one server, or of the master that sentinels name.
//
//   Searching (sentinels) ──► Connecting ──► Up ──► Leaving (READONLY and the like: what is under way is answered)
//        ▲                        │           │        │
//        └─ backoff ─ Waiting ◄───┴───────────┴────────┘
//
// In Searching and Connecting commands wait for their time; in Waiting and Leaving they fail at once.
#include <utility>

#include "redis/client_base.h"
#include "redis/sentinels.h"

namespace ssequel::redis {
namespace {

class MasterClient final : public ClientBase, private SentinelListener {
 public:
  MasterClient(net::DeadlineQueue& deadlines, Random& random, ClientOptions options, ClientListener& listener)
      : ClientBase(deadlines, random, std::move(options), listener),
        attempt_(deadlines, *this),
        patience_(deadlines, *this) {
    begin();
  }

 private:
  enum class State { Searching, Connecting, Up, Leaving, Waiting };
  ~MasterClient() override = default;

  void begin() {
    const auto& url = options_.url;
    if (url.kind == Url::Kind::Single) return connect(url.hosts.front(), false);
    state_ = State::Searching;
    search_ = SentinelSearch::start(deadlines_, options_.url, turn_++, options_.connect_timeout, *this);
  }

  void connect(const HostPort& host, bool is_master_wanted) {
    state_ = State::Connecting;
    auto options = connection_options(host);
    options.is_master_wanted = is_master_wanted;
    connection_ = Connection::open(deadlines_, std::move(options), *this);
  }

  void on_master(HostPort master) override {
    search_.reset();
    connect(master, true);
  }
  void on_no_master(const Failure& why) override { fail(why, {}); }

  void on_ready(Connection& connection) override {
    state_ = State::Up;
    patience_.cancel();
    for (auto& command : std::exchange(waiting_, {})) connection.send(std::move(command));
    tell_up();
  }

  void flush() override {
    if (connection_) connection_->flush();
  }

  void dispatch(Command command) override {
    switch (state_) {
      case State::Up:
        return connection_->send(std::move(command));
      case State::Searching:
      case State::Connecting:
        waiting_.push_back(std::move(command));
        if (!patience_.is_set()) patience_.set(patience());
        return;
      case State::Leaving:
      case State::Waiting:
        return refuse(std::move(command), why_);
    }
  }

  void on_answer(Connection& connection, Command command, Reply reply) override {
    if (reply.kind == Reply::Kind::Error) {
      if (command.script != nullptr && reply.text.starts_with("NOSCRIPT") && state_ == State::Up) {
        spell_out(command);
        return connection.send(std::move(command));
      }
      // It is there, but of no use: a later attempt's login tells when it is again, or finds the new master.
      const auto trouble = classify(reply.text);
      if (state_ == State::Up && (trouble == Trouble::ReadOnly || trouble == Trouble::Away)) {
        state_ = State::Leaving;
        why_ = {.trouble = trouble, .context = "Redis at " + to_string(connection.host()) + ": " + reply.text};
      }
    }
    const bool is_last = state_ == State::Leaving && connection.pending() == 0;
    finish(std::move(command), std::move(reply));
    if (is_last && !is_closed()) fail(why_, {});
  }

  void on_lost(Connection&, Failure why, std::vector<Command> unanswered) override {
    fail(std::move(why), std::move(unanswered));
  }

  void fail(Failure why, std::vector<Command> unanswered) {
    state_ = State::Waiting;
    connection_.reset();
    search_.reset();
    patience_.cancel();
    attempt_.set(next_wait());
    why_ = {.trouble = why.trouble, .context = why.context};
    std::vector<Command> waiting(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
    waiting_.clear();
    tell_down(why_);
    if (is_closed()) return;
    finish(std::move(unanswered), why);
    if (is_closed()) return;
    why.may_have_run = false;
    finish(std::move(waiting), why);
  }

  void on_deadline(net::Deadline& deadline) override {
    if (&deadline == &attempt_) return begin();
    expire(waiting_);
    if (!is_closed() && !waiting_.empty()) patience_.set(patience());
  }

  void let_go() override {
    attempt_.cancel();
    patience_.cancel();
    connection_.reset();
    search_.reset();
  }

  State state_ = State::Waiting;
  net::Deadline attempt_;   // Waiting: the next try.
  net::Deadline patience_;  // Of what waits.
  std::size_t turn_ = 0;    // Which sentinel is asked first.
  net::Owned<SentinelSearch> search_;
  net::Owned<Connection> connection_;
  Waiting waiting_;
  Failure why_;  // Of Leaving and Waiting.
};

}  // namespace

net::Owned<Client> make_master_client(net::DeadlineQueue& deadlines, Random& random, ClientOptions options,
                                      ClientListener& listener) {
  return net::Owned<Client>(new MasterClient(deadlines, random, std::move(options), listener));
}

}  // namespace ssequel::redis
