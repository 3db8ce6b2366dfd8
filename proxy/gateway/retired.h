// Retire, never delete, from inside: who is done hands its ownership over as its last act, and is destroyed between
// loop turns, when none of its functions is on the stack. Their destructors may use the worker, so what is left when
// the graveyard goes is destroyed with it and not by the loop's last turn.
#pragma once

#include <memory>
#include <vector>

#include "net/loop.h"

namespace ssequel::gateway {

class Retirable {
 public:
  virtual ~Retirable() = default;
};

class Graveyard {
 public:
  explicit Graveyard(net::Loop& loop) : loop_(loop) {}
  Graveyard(const Graveyard&) = delete;
  Graveyard& operator=(const Graveyard&) = delete;
  ~Graveyard() {
    *alive_ = false;
    sweep();
  }

  void take(std::unique_ptr<Retirable> dead) {
    if (!dead) return;
    if (dead_.empty() && *alive_) {
      loop_.defer([this, alive = alive_] {
        if (*alive) sweep();
      });
    }
    dead_.push_back(std::move(dead));
  }
  void sweep() {
    // Destructors may retire others.
    while (!dead_.empty()) {
      auto now = std::exchange(dead_, {});
      now.clear();
    }
  }

 private:
  net::Loop& loop_;
  std::vector<std::unique_ptr<Retirable>> dead_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
