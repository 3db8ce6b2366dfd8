// Where the upstream is: http://HOST:PORT or unix:/path.sock. A plain value; net/address.h is made from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ssequel {

struct UpstreamUrl {
  bool is_unix = false;
  std::string host = "127.0.0.1";  // Without brackets.
  std::uint16_t port = 80;
  std::string path;  // unix
  [[nodiscard]] std::string authority()
      const;  // For a Host field: host[:port], brackets for IPv6; "localhost" for unix.
  [[nodiscard]] std::string to_string() const;  // What parse_upstream_url() reads as the same.
  friend bool operator==(const UpstreamUrl&, const UpstreamUrl&) = default;
};

// http://HOST[:PORT][/] (port 80 if none is given, never 0; an IPv6 address in brackets) or unix:/path. A scheme and a
// host are compared without case (RFC 3986 §6.2.2.1), so the host comes out in lower case. Error: Unsupported for
// https, user information, a path or a query; Malformed for the rest; the context says what is wrong, without the text.
[[nodiscard]] Result<UpstreamUrl> parse_upstream_url(std::string_view text);

}  // namespace ssequel
