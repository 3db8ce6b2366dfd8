// What the room shares about sockets: addresses as the system wants them, the options every connection has, and
// libuv's and the system's error codes as Errors. Private to net.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/address.h"

namespace ssequel::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Nothing if host is a name. Never asks a resolver.
[[nodiscard]] std::optional<SocketAddress> literal_address(const std::string& host, std::uint16_t port);
// Malformed if the path does not fit.
[[nodiscard]] Result<SocketAddress> unix_address(const std::string& path);
// A resolver's answer with a port put in; nothing for other families than IPv4 and IPv6.
[[nodiscard]] std::optional<SocketAddress> with_port(const sockaddr* address, std::uint16_t port);

// A silent peer is noticed after kKeepAliveIdle + kKeepAliveProbes * kKeepAliveInterval: one minute.
inline constexpr std::chrono::seconds kKeepAliveIdle{30};
inline constexpr std::chrono::seconds kKeepAliveInterval{10};
inline constexpr int kKeepAliveProbes = 3;

// TCP_NODELAY and keep-alive. On Linux a listening socket passes them on to what it accepts.
void set_tcp_options(int descriptor);

// A TCP socket may connect to itself where nobody listens on a port of the ephemeral range (simultaneous open, RFC 9293
// §3.5): the kernel happened to choose the target port as the source.
[[nodiscard]] bool is_connected_to_itself(int descriptor);

// code: libuv's, negative (on Unix the negated errno). The Error's code is what the system's says to a caller.
[[nodiscard]] Error system_error(int code, std::string_view what);
// The same under another code.
[[nodiscard]] Error system_error(ErrorCode meaning, int code, std::string_view what);

}  // namespace ssequel::net
