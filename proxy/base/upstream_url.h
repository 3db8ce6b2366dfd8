// Where the upstream is: http://HOST:PORT or unix:/path.sock. A plain value; net/address.h is made from it.
#pragma once

#include <cstdint>
#include <string>

namespace ssequel {

struct UpstreamUrl {
  bool is_unix = false;
  std::string host = "127.0.0.1";  // Without brackets.
  std::uint16_t port = 80;
  std::string path;  // unix
  [[nodiscard]] std::string authority() const;  // For a Host field: host[:port], brackets for IPv6; "localhost" for unix.
  friend bool operator==(const UpstreamUrl&, const UpstreamUrl&) = default;
};

}  // namespace ssequel
