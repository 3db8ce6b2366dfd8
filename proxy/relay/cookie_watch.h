// Notices paths whose keys keep changing by cookies alone: a session cookie that rotates, a token per response. It
// keeps no cookie's value, and what it keeps is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "http/message.h"
#include "relay/route.h"

namespace ssequel::relay {

class CookieWatch {
 public:
  static constexpr unsigned kChanges = 5;         // So many tell.
  static constexpr std::size_t kMaxPlaces = 256;  // Then all are forgotten.

  // A request of a route with an identity in its key needs a new channel. The names of the cookies that keep changing
  // there, if it is time to tell, else empty. A change counts where the same client most likely asks again: another
  // cookie of the identity is what it was, or the request has a Last-Event-ID.
  [[nodiscard]] std::string on_new_key(const Route& route, const http::RequestHead& head);

 private:
  struct Place {
    std::vector<std::pair<std::string, std::size_t>> cookies;  // Name and hash, of the latest request.
    std::set<std::string> changed;
    unsigned changes = 0;
  };
  std::map<std::size_t, Place> places_;  // By the hash of the key without cookies.
};

}  // namespace ssequel::relay
