#include "gateway/side_rounds.h"

#include <utility>

#include "gateway/worker.h"

namespace ssequel::gateway {

// Stands in the home's rounds for a waiter of another loop. Both hold it, each touches its own part.
struct SideRounds::Guest final : SideWaiter {
  SideRounds* const from;  // Whose waiter it is.
  SideRounds* const home;
  SideWaiter* waiter;  // Null once it was told or is gone; its own loop's to look at.
  Guest(SideRounds& its, SideRounds& other, SideWaiter& whose) : from(&its), home(&other), waiter(&whose) {
    is_guest_ = true;
  }
};

void SideRounds::ask(const Ask& ask, SideWaiter& waiter) {
  auto& home = of_(worker_.asker_of(ask.key));
  if (&home == this) {
    ask_here(ask, waiter);
  } else {
    ask_there(ask, home, waiter);
  }
}

void SideRounds::ask_there(const Ask& ask, SideRounds& home, SideWaiter& waiter) {
  auto guest = std::make_shared<Guest>(*this, home, waiter);
  abroad_.emplace(&waiter, guest);
  auto carried = ask;
  carried.text = [text = ask.text()] { return text; };
  home.worker_.post([&home, guest = std::move(guest), carried = std::move(carried)] {
    if (home.is_over_) return;
    home.guests_.emplace(guest.get(), guest);
    home.ask_here(carried, *guest);
  });
}

void SideRounds::ask_here(const Ask& ask, SideWaiter& waiter) {
  if (const auto known = ask.known ? ask.known(worker_) : std::nullopt) return tell_one(*known, waiter, false);
  auto& question = questions_[ask.key];
  if (!question) {
    question =
        std::make_unique<Question>(*this, ask, Round{.request = ask.text(), .waiters = {&waiter}, .asker = &waiter});
    return;
  }
  if (worker_.loop().now() <= question->asked_at_ + ask.holds_for) {
    question->round_.waiters.push_back(&waiter);
    return;
  }
  auto& next = question->next_;
  if (next.waiters.empty()) next = {.request = ask.text(), .waiters = {}, .asker = &waiter};
  next.waiters.push_back(&waiter);
}

void SideRounds::forget(SideWaiter& waiter) {
  auto at = abroad_.find(&waiter);
  if (at == abroad_.end()) return forget_here(waiter);
  auto guest = std::move(at->second);
  abroad_.erase(at);
  guest->waiter = nullptr;
  auto& home = *guest->home;
  home.worker_.post([&home, guest = std::move(guest)] {
    home.forget_here(*guest);
    home.guests_.erase(guest.get());
  });
}

void SideRounds::clear() {
  is_over_ = true;
  if (telling_) telling_->waiters.clear();
  questions_.clear();
  guests_.clear();
  for (auto& [waiter, guest] : std::exchange(abroad_, {})) guest->waiter = nullptr;
}

void SideRounds::forget_here(SideWaiter& waiter) {
  const auto forget_in = [&waiter](Round& round) {
    std::erase(round.waiters, &waiter);
    if (round.asker == &waiter) round.asker = nullptr;
  };
  if (telling_) forget_in(*telling_);
  for (auto at = questions_.begin(); at != questions_.end();) {
    auto& question = *at->second;
    forget_in(question.round_);
    forget_in(question.next_);
    if (!question.round_.waiters.empty()) {
      ++at;
      continue;
    }
    // Nobody waits for this answer any more.
    question.request_.reset();
    auto dead = std::move(at->second);
    if (dead->next_.waiters.empty()) {
      at = questions_.erase(at);
    } else {
      at->second = std::make_unique<Question>(*this, dead->ask_, std::move(dead->next_));
      ++at;
    }
    worker_.graveyard().take(std::move(dead));
  }
}

SideRounds::Question::Question(SideRounds& rounds, Ask ask, Round round)
    : rounds_(rounds),
      ask_(std::move(ask)),
      asked_at_(rounds.worker_.loop().now()),
      round_(std::move(round)),
      request_(std::make_unique<SideRequest>(rounds.worker_, *this, std::move(round_.request), ask_.max_content)) {
  ask_.text = nullptr;  // It may look at what is gone by now.
}

void SideRounds::Question::on_side_answer(Result<SideAnswer> answer) {
  auto& rounds = rounds_;
  const auto telling = ask_.judge(rounds.worker_, asked_at_, std::move(answer));
  auto self = rounds.questions_.extract(ask_.key);
  if (telling.is_for_all) {
    round_.waiters.insert(round_.waiters.end(), next_.waiters.begin(), next_.waiters.end());
  } else if (!next_.waiters.empty()) {
    rounds.questions_[ask_.key] = std::make_unique<Question>(rounds, ask_, std::move(next_));
  }
  rounds.tell(std::move(self.mapped()), telling);
}

void SideRounds::tell_one(const Telling& telling, SideWaiter& waiter, bool is_asker) {
  if (!waiter.is_guest_) return telling.tell(waiter, is_asker);
  const auto at = guests_.find(&waiter);
  auto guest = std::move(at->second);
  guests_.erase(at);
  auto& from = *guest->from;
  from.worker_.post([&from, guest = std::move(guest), tell = telling.tell, is_asker] {
    if (!guest->waiter) return;
    auto& told = *std::exchange(guest->waiter, nullptr);
    from.abroad_.erase(&told);
    tell(told, is_asker);
  });
}

void SideRounds::tell(std::unique_ptr<Question> question, const Telling& telling) {
  auto& round = question->round_;
  telling_ = &round;  // Waiters may ask again, and others may be forgotten, while they are told.
  while (!round.waiters.empty()) {
    auto* waiter = round.waiters.front();
    round.waiters.erase(round.waiters.begin());
    tell_one(telling, *waiter, waiter == round.asker);
  }
  telling_ = nullptr;
  worker_.graveyard().take(std::move(question));
}

}  // namespace ssequel::gateway
