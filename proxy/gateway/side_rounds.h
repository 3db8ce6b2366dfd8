// Side requests that several wait for: one at a time for each key, however many ask, on whatever loops. Whoever comes
// while one is under way, too late to be told its answer, waits for the next one, which is asked once for all of them.
//
//   ask ─► known already ──────────► told
//   ask ─► nothing under way ──────► asked, for a round of one
//   ask ─► in time for the answer ─► joins its round
//   ask ─► too late for it ────────► the next round, asked when this one has its answer
//
// Each key is one loop's to ask for, its home. Waiters of other loops are represented there by a guest each.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/side_request.h"

namespace ssequel::gateway {

class Worker;

// What an owner of rounds tells its answers to: it knows by itself which kind it is.
class SideWaiter {
 public:
  virtual ~SideWaiter() = default;

 private:
  friend class SideRounds;
  bool is_guest_ = false;
};

class SideRounds {
 public:
  struct Telling {
    // is_asker: it was this one's own request that was sent.
    std::function<void(SideWaiter& waiter, bool is_asker)> tell;
    // Those of the next round are told the same, too, and it is not asked.
    bool is_for_all = false;
  };
  struct Ask {
    std::string key;
    // What is known without asking; empty: nothing ever is. As judge(), it is called by the home's thread.
    std::function<std::optional<Telling>(Worker& home)> known{};
    // An answer is told to those who came up to this long after its question was asked. Negative: to the asker alone.
    Millis holds_for{0};
    std::size_t max_content = 0;        // As SideRequest's.
    std::function<std::string()> text;  // The request's head; called only if it may be sent, before ask() returns.
    // Once an answer. What is the key's, and not the one request's, may be in it.
    std::function<Telling(Worker& home, Millis asked_at, Result<SideAnswer> answer)> judge;
  };
  using Of = SideRounds& (*)(Worker&);
  // of: the same rounds of any loop.
  SideRounds(Worker& worker, Of of) : worker_(worker), of_(of) {}
  // The waiter is told once, at once only of what is known already; forget() it before it dies.
  void ask(const Ask& ask, SideWaiter& waiter);
  void forget(SideWaiter& waiter);
  void clear();  // Nothing is asked any more.

 private:
  struct Guest;
  struct Round {
    std::string request;
    std::vector<SideWaiter*> waiters;
    SideWaiter* asker = nullptr;  // The first of them; null once it is gone.
  };
  struct Question final : Retirable, SideListener {
    Question(SideRounds& rounds, Ask ask, Round round);
    void on_side_answer(Result<SideAnswer> answer) override;
    SideRounds& rounds_;
    Ask ask_;
    Millis asked_at_;
    Round round_;
    Round next_;  // Of those who came too late for this one.
    std::unique_ptr<SideRequest> request_;
  };
  void ask_here(const Ask& ask, SideWaiter& waiter);
  void ask_there(const Ask& ask, SideRounds& home, SideWaiter& waiter);
  void forget_here(SideWaiter& waiter);
  void tell_one(const Telling& telling, SideWaiter& waiter, bool is_asker);
  void tell(std::unique_ptr<Question> question, const Telling& telling);

  Worker& worker_;
  const Of of_;
  std::map<std::string, std::unique_ptr<Question>> questions_;
  bool is_over_ = false;
  Round* telling_ = nullptr;                              // Those who are being told.
  std::map<SideWaiter*, std::shared_ptr<Guest>> abroad_;  // Of this loop's waiters, who is at another one.
  std::map<SideWaiter*, std::shared_ptr<Guest>> guests_;  // Of other loops' waiters; they are among ours.
};

}  // namespace ssequel::gateway
