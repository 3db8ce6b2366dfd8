// `reattach`: by what a repeated request is known to be the same one, so that it can join the answer that is running or
// kept instead of being asked twice. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/sha256.h"
#include "http/message.h"
#include "relay/route.h"

namespace ssequel::relay {

// Requests with more content join nothing.
inline constexpr std::size_t kMaxReattachContent = 1024 * 1024;

// True if the request has at least one of the route's `reattach` fields.
[[nodiscard]] bool has_reattach_field(const Route& route, const http::RequestHead& head);

// A digest of route, identity, Origin (whose CORS fields the answer has), method, host, target, the `reattach` fields
// and the content. Parts are length-prefixed: no two different requests are one by the way their parts are put
// together.
class ReattachDigest {
 public:
  // last_event_id: one that means something to the upstream alone; it is part of what was asked. Empty if there is
  // none.
  ReattachDigest(const Route& route, const http::RequestHead& head, std::string_view identity,
                 std::string_view last_event_id);
  void add(std::string_view content) { digest_.add(content); }
  // 32 raw bytes. Once.
  [[nodiscard]] std::string finish();

 private:
  Sha256 digest_;
};

}  // namespace ssequel::relay
