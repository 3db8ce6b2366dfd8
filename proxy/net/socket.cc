#include "net/socket.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <uv.h>

#include <cerrno>
#include <cstring>

namespace ssequel::net {
namespace {

void set_option(int descriptor, int level, int name, int value) {
  // Refused only where the option makes no sense (a unix socket); the connection works without it.
  static_cast<void>(setsockopt(descriptor, level, name, &value, sizeof value));
}

ErrorCode meaning_of(int code) {
  switch (code) {
    case UV_EADDRINUSE:
      return ErrorCode::AddressInUse;
    case UV_EACCES:
    case UV_EPERM:
    case UV_EROFS:
      return ErrorCode::Denied;
    case UV_ENOENT:
    case UV_ENOTDIR:
      return ErrorCode::NotFound;
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOMEM:
    case UV_ENOBUFS:
    case UV_ENOSPC:
    case UV_EAGAIN:
      return ErrorCode::RetryLater;
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
    case UV_EINVAL:
      return ErrorCode::Misconfigured;
    default:
      return ErrorCode::PeerGone;
  }
}

}  // namespace

std::optional<SocketAddress> with_port(const sockaddr* address, std::uint16_t port) {
  SocketAddress out;
  if (address->sa_family == AF_INET) {
    out.length = sizeof(sockaddr_in);
    std::memcpy(&out.storage, address, out.length);
    reinterpret_cast<sockaddr_in*>(&out.storage)->sin_port = htons(port);
    return out;
  }
  if (address->sa_family == AF_INET6) {
    out.length = sizeof(sockaddr_in6);
    std::memcpy(&out.storage, address, out.length);
    reinterpret_cast<sockaddr_in6*>(&out.storage)->sin6_port = htons(port);
    return out;
  }
  return std::nullopt;
}

std::optional<SocketAddress> literal_address(const std::string& host, std::uint16_t port) {
  // getaddrinfo rather than inet_pton: it knows zones (fe80::1%eth0). AI_NUMERICHOST keeps it from asking anybody.
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  const auto address = with_port(found->ai_addr, port);
  freeaddrinfo(found);
  return address;
}

Result<SocketAddress> unix_address(const std::string& path) {
  SocketAddress out;
  auto* address = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (path.empty() || path.size() >= sizeof address->sun_path) {
    return fail(ErrorCode::Malformed, "unix:" + path + ": the path of a unix socket has 1 to 107 bytes");
  }
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.data(), path.size());
  out.length = sizeof(sockaddr_un);
  return out;
}

void set_tcp_options(int descriptor) {
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(kKeepAliveIdle.count()));
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(kKeepAliveInterval.count()));
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

bool is_connected_to_itself(int descriptor) {
  SocketAddress own;
  SocketAddress peer;
  own.length = peer.length = sizeof own.storage;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&own.storage), &own.length) != 0) return false;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length) != 0) return false;
  return own.length == peer.length && std::memcmp(&own.storage, &peer.storage, own.length) == 0;
}

Error system_error(ErrorCode meaning, int code, std::string_view what) {
  char text[128];
  uv_strerror_r(code, text, sizeof text);
  return Error{meaning, std::string(what) + ": " + text};
}

Error system_error(int code, std::string_view what) { return system_error(meaning_of(code), code, what); }

}  // namespace ssequel::net
