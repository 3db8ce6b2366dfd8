// Where one listens or connects: "127.0.0.1:8080", "[::1]:8080", "name:80", "unix:/path".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ssequel::net {

struct Address {
  enum class Kind { Tcp, Unix } kind = Kind::Tcp;
  std::string host;  // Tcp: name or literal address without brackets.
  std::uint16_t port = 0;
  std::string path;  // Unix.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Address&, const Address&) = default;
};

// HOST:PORT (port required, 0 allowed), [V6]:PORT, unix:/path.
[[nodiscard]] Result<Address> parse_address(std::string_view text);

}  // namespace ssequel::net
