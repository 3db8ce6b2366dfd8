// Which fields end at an intermediary (RFC 9110 §7.6.1).
#pragma once

#include <string_view>
#include <vector>

#include "http/fields.h"

namespace ssequel::http {

// Connection, Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade, HTTP2-Settings. Trailer stays, and so do
// Proxy-Authenticate and Proxy-Authorization: we are no proxy in their sense.
[[nodiscard]] bool is_hop_by_hop(std::string_view name) noexcept;

// What a message's Connection fields name. Fields a client must not be able to name away (Host, Content-Length,
// Last-Event-ID, X-Forwarded-*, a route's identity and key fields) are the caller's `keep`.
class ConnectionOptions {
 public:
  // Views into fields, which must outlive this and not change.
  explicit ConnectionOptions(const Fields& fields);
  // True if the Connection field names it; "close" and "keep-alive" are no names.
  [[nodiscard]] bool names(std::string_view name) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return named_.empty(); }

 private:
  std::vector<std::string_view> named_;
};

}  // namespace ssequel::http
