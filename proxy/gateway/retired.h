// Retire, never delete, from inside: who is done hands its ownership over as its last act, and is destroyed between
// loop turns, when none of its functions is on the stack.
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

  void take(std::unique_ptr<Retirable> dead) {
    if (!dead) return;
    if (dead_.empty()) loop_.defer([this] { sweep(); });
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
};

}  // namespace ssequel::gateway
