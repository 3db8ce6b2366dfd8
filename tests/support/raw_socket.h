// The other side of a connection, without libuv: a non-blocking socket that a test drives by hand.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace ssequel::test {

class RawSocket {
 public:
  enum class End { None, Eof, Reset };  // What reading met last.

  RawSocket() = default;
  explicit RawSocket(int descriptor) : descriptor_(descriptor) {
    if (descriptor_ >= 0) fcntl(descriptor_, F_SETFL, fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
  }
  RawSocket(RawSocket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), received_(std::move(other.received_)), end_(other.end_) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    received_ = std::move(other.received_);
    end_ = other.end_;
    return *this;
  }
  ~RawSocket() { close(); }

  // To 127.0.0.1; the connection is made at once, since the kernel's backlog answers.
  [[nodiscard]] static RawSocket connect_tcp(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connected(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  [[nodiscard]] static RawSocket connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  // Listening on a port of 127.0.0.1, one that the kernel chose unless it is named.
  [[nodiscard]] static RawSocket listening(int backlog = 16, std::uint16_t port = 0) {
    RawSocket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(socket.descriptor_, backlog) != 0) {
      socket.close();
    }
    return socket;
  }
  // Of a listening socket: one that waits, or an invalid one.
  [[nodiscard]] RawSocket accept() const { return RawSocket(::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC)); }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

  [[nodiscard]] bool is_valid() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

  bool send(std::string_view bytes) const {
    return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Fixed and small, so that the kernel does not let them grow while a test fills them.
  void set_buffers(int bytes) const {
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  void finish_sending() const { ::shutdown(descriptor_, SHUT_WR); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void reset() {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    close();
  }

  // Takes what has arrived; everything so far.
  const std::string& receive() {
    char buffer[64 * 1024];
    for (;;) {
      const auto count = ::recv(descriptor_, buffer, sizeof buffer, 0);
      if (count > 0) {
        received_.append(buffer, static_cast<std::size_t>(count));
        continue;
      }
      // The first one counts: a socket that told of its reset reads as ended afterwards.
      if (count == 0 && end_ == End::None) end_ = End::Eof;
      if (count < 0 && errno == ECONNRESET) end_ = End::Reset;
      return received_;
    }
  }
  [[nodiscard]] End end() {
    receive();
    return end_;
  }

 private:
  static RawSocket connected(int family, const sockaddr* address, socklen_t size) {
    const int descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(descriptor, address, size) == 0) return RawSocket(descriptor);
    ::close(descriptor);
    return RawSocket();
  }

  int descriptor_ = -1;
  std::string received_;
  End end_ = End::None;
};

}  // namespace ssequel::test
