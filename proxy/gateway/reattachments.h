// Which sessions can be joined by a repetition of the request that opened them, and which such requests are just being
// asked (`reattach`). One registry for the whole process: a repetition may come in on any loop.
//
//   (nothing) ──look_up: Asks──► asked ──settle──► a session's ──forget──► (nothing)
//                                  └────give_up: those who wait look again, and one of them asks
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ssequel::gateway {

// Thread-safe. Digests are relay::ReattachDigest's.
class Reattachments {
 public:
  struct Found {
    enum class Kind {
      Asks,    // Nobody did: the caller asks the upstream, and says settle() or give_up().
      Waits,   // Somebody asks just now: the caller is told when it is time to look again.
      Session  // `tag` answers it.
    } kind = Kind::Asks;
    std::string tag;
  };
  // look_again: called once if the caller waits, on any thread and from inside any of these functions but leave(). who:
  // for leave().
  [[nodiscard]] Found look_up(const std::string& digest, const void* who, std::function<void()> look_again);
  // Waits no more. look_again may be under way on another thread all the same.
  void leave(const std::string& digest, const void* who);
  // This session answers it from now on.
  void settle(const std::string& digest, const std::string& tag);
  // Who asked got no stream.
  void give_up(const std::string& digest);
  // The session is gone. Nothing if another one has taken its place.
  void forget(const std::string& digest, const std::string& tag);

 private:
  struct Waiter {
    const void* who;
    std::function<void()> look_again;
  };
  struct Entry {
    std::string tag;
    bool is_asked = false;
    std::vector<Waiter> waiters;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

// Who asks the upstream for all that send the same request. Gives up when it goes, unless it has succeeded.
class ReattachTicket {
 public:
  ReattachTicket(Reattachments& reattachments, std::string digest)
      : reattachments_(&reattachments), digest_(std::move(digest)) {}
  ReattachTicket(const ReattachTicket&) = delete;
  ReattachTicket& operator=(const ReattachTicket&) = delete;
  ~ReattachTicket() {
    if (reattachments_) reattachments_->give_up(digest_);
  }
  [[nodiscard]] const std::string& digest() const { return digest_; }
  void succeeded() { reattachments_ = nullptr; }

 private:
  Reattachments* reattachments_;
  std::string digest_;
};

}  // namespace ssequel::gateway
