// Orphans: upstream requests of sessions that nobody reads at the moment. Each costs the service what a watched one
// does, so that routes bound them: `orphans.per_identity` and `orphans.total`. At a bound the one that was left first
// is let go. One registry for the whole process: an identity's sessions live on all loops.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace ssequel::gateway {

class Worker;

// Thread-safe.
class Orphans {
 public:
  struct Limits {
    std::uint64_t per_identity;  // Those without an identity count against `total` only.
    std::uint64_t total;         // Of the route.
  };
  // One that has to be let go, on its own loop. It is no orphan of ours any more.
  struct Victim {
    Worker* worker;
    std::string tag;
    friend bool operator==(const Victim&, const Victim&) = default;
  };
  // The session's last reader has left. Its route's oldest orphans that are too many now, which may be this one.
  [[nodiscard]] std::vector<Victim> add(const std::string& route, const std::string& identity, const std::string& tag,
                                        Worker& worker, const Limits& limits);
  // It has a reader again, or its upstream has ended. Nothing if it is none.
  void remove(const std::string& route, const std::string& tag);
  [[nodiscard]] std::size_t count(const std::string& route) const;

 private:
  struct Orphan;
  using ByAge = std::list<Orphan>;  // The oldest first.
  struct Orphan {
    Victim self;
    std::string identity;
    std::list<ByAge::iterator>::iterator among_its_identity;
  };
  struct OfRoute {
    ByAge by_age;
    std::unordered_map<std::string, ByAge::iterator> by_tag;
    std::unordered_map<std::string, std::list<ByAge::iterator>> by_identity;
  };
  static void erase(OfRoute& orphans, ByAge::iterator orphan);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, OfRoute> routes_;  // By name.
};

}  // namespace ssequel::gateway
