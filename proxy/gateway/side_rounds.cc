#include "gateway/side_rounds.h"

#include <utility>

#include "gateway/worker.h"

namespace ssequel::gateway {

void SideRounds::ask(const Ask& ask, SideWaiter& waiter) {
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
  const auto telling = ask_.judge(asked_at_, std::move(answer));
  auto self = rounds.questions_.extract(ask_.key);
  if (telling.is_for_all) {
    round_.waiters.insert(round_.waiters.end(), next_.waiters.begin(), next_.waiters.end());
  } else if (!next_.waiters.empty()) {
    rounds.questions_[ask_.key] = std::make_unique<Question>(rounds, ask_, std::move(next_));
  }
  rounds.tell(std::move(self.mapped()), telling);
}

void SideRounds::tell(std::unique_ptr<Question> question, const Telling& telling) {
  auto& round = question->round_;
  telling_ = &round;  // Waiters may ask again, and others may be forgotten, while they are told.
  while (!round.waiters.empty()) {
    auto* waiter = round.waiters.front();
    round.waiters.erase(round.waiters.begin());
    telling.tell(*waiter, waiter == round.asker);
  }
  telling_ = nullptr;
  worker_.graveyard().take(std::move(question));
}

}  // namespace ssequel::gateway
