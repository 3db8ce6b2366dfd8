// The channels that nobody watches, of all loops, in the order in which they may go: who was watched least recently
// first. So limits of the whole process find their victim wherever it lives. Any thread.
//
// An entry is what a loop last said of a channel of its own; whether the channel may still go is for its loop to see.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace ssequel::gateway {

class Worker;

class IdleChannels {
 public:
  struct Idle {
    Worker* worker = nullptr;
    std::string key;
    std::uint64_t bytes = 0;  // Of its window.
  };

  // The channel may go; it was last watched at `since`. Said again when one of the two changes.
  void put(Worker& worker, const std::string& key, Millis since, std::uint64_t bytes);
  // It is watched, or gone.
  void remove(Worker& worker, const std::string& key);
  // Takes the first one out, so that nobody else finds it.
  [[nodiscard]] std::optional<Idle> take();
  // The first ones that have bytes, until these are enough. What they have is not counted again until it is put anew.
  [[nodiscard]] std::vector<Idle> take_bytes(std::uint64_t enough);

 private:
  using Order = std::tuple<Millis, std::uint64_t>;  // Of equals, who came first.
  struct Name {
    Worker* worker;
    std::string key;
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct Hash {
    std::size_t operator()(const Name& name) const noexcept { return std::hash<std::string>()(name.key); }
  };

  std::mutex mutex_;
  std::map<Order, Idle> in_order_;
  std::unordered_map<Name, Order, Hash> places_;
  std::uint64_t next_ = 0;
};

}  // namespace ssequel::gateway
