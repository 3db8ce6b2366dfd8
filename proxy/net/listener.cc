// Accepts by itself on a uv_poll_t rather than by uv_listen: out of descriptors, uv_listen takes the waiting
// connections and closes them, and reports that on some versions only. Here they stay in the kernel's backlog until
// descriptors are free again, and a turn accepts a bounded number of them.
#include "net/listener.h"

#include <netdb.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "net/socket.h"
#include "net/stream_handle.h"

namespace ssequel::net {
namespace {

constexpr int kBacklog = 4096;  // The kernel cuts it at net.core.somaxconn.
constexpr int kAcceptsPerTurn = 256;
constexpr std::chrono::milliseconds kPauseAfterTrouble{100};

// Closes unless released.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const { return descriptor_; }
  [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

tl::unexpected<Error> failed(const Address& address, int code) {
  return tl::unexpected(system_error(code, "listening on " + address.to_string()));
}

// What a socket file is known by, so that only our own is removed at the end.
struct FileIdentity {
  dev_t device;
  ino_t inode;
  static std::optional<FileIdentity> of(const std::string& path) {
    struct stat found{};
    if (lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return std::nullopt;
    return FileIdentity{found.st_dev, found.st_ino};
  }
  bool operator==(const FileIdentity&) const = default;
};

Result<SocketAddress> resolve(const Address& address) {
  if (auto literal = literal_address(address.host, address.port)) return *literal;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), nullptr, &hints, &found); error != 0) {
    return fail(ErrorCode::Misconfigured, "listening on " + address.to_string() + ": " + gai_strerror(error));
  }
  // "localhost" is mostly both; who writes a name means the address that everybody can reach.
  std::optional<SocketAddress> chosen;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (!chosen || (chosen->storage.ss_family == AF_INET6 && each->ai_family == AF_INET)) {
      if (auto candidate = with_port(each->ai_addr, address.port)) chosen = candidate;
    }
  }
  freeaddrinfo(found);
  if (!chosen) return fail(ErrorCode::Misconfigured, "listening on " + address.to_string() + ": no address");
  return *chosen;
}

// True if a socket file stands there that nobody answers on.
bool is_stale(const SocketAddress& address, const std::string& path) {
  if (!FileIdentity::of(path)) return false;  // Not a socket: somebody's file, not ours to remove.
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // A full backlog is EAGAIN: somebody is there.
  return probe.get() >= 0 && connect(probe.get(), address.get(), address.length) != 0 && errno == ECONNREFUSED;
}

Result<Descriptor> bind_unix(const Address& address) {
  auto target = unix_address(address.path);
  if (!target) return tl::unexpected(target.error());
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (descriptor.get() < 0) return failed(address, -errno);
  if (bind(descriptor.get(), target->get(), target->length) == 0) return descriptor;
  const int error = errno;
  if (error != EADDRINUSE || !is_stale(*target, address.path)) return failed(address, -error);
  ::unlink(address.path.c_str());
  if (bind(descriptor.get(), target->get(), target->length) != 0) return failed(address, -errno);
  return descriptor;
}

Result<Descriptor> bind_tcp(const Address& address, bool reuse_port) {
  const auto target = resolve(address);
  if (!target) return tl::unexpected(target.error());
  Descriptor descriptor(socket(target->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (descriptor.get() < 0) return failed(address, -errno);
  const int on = 1;
  // A restart must not wait for the TIME-WAITs of the last run.
  if (setsockopt(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (reuse_port && setsockopt(descriptor.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)) {
    return failed(address, -errno);
  }
  set_tcp_options(descriptor.get());  // What is accepted inherits them.
  if (bind(descriptor.get(), target->get(), target->length) != 0) return failed(address, -errno);
  return descriptor;
}

// accept(2), "Error handling": errors of the connection that was to be accepted, not of ours.
bool concerns_the_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

class PollListener final : public Listener {
 public:
  PollListener(Loop& loop, const Address& address, Descriptor descriptor, ListenerClient& client)
      : loop_(loop), address_(address), client_(&client), descriptor_(descriptor.release()) {
    if (is_unix()) socket_file_ = FileIdentity::of(address_.path);
    uv_timer_init(loop.raw(), &again_);
    again_.data = this;
    const int error = uv_poll_init(loop.raw(), &poll_, descriptor_);
    SSEQUEL_ASSERT(error == 0, "a listening socket can be polled");
    poll_.data = this;
    update();
  }

  void close() noexcept override {
    client_ = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), on_handle_closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&again_), on_handle_closed);
    // uv_close has stopped polling it; the port is free now, not a turn later.
    ::close(descriptor_);
    if (socket_file_ && FileIdentity::of(address_.path) == socket_file_) ::unlink(address_.path.c_str());
  }

  std::uint16_t port() const override {
    SocketAddress bound;
    bound.length = sizeof bound.storage;
    if (is_unix() || getsockname(descriptor_, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) {
      return 0;
    }
    return ntohs(bound.storage.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound.storage)->sin6_port
                                                     : reinterpret_cast<sockaddr_in*>(&bound.storage)->sin_port);
  }

  void pause() override {
    paused_ = true;
    update();
  }
  void resume() override {
    paused_ = false;
    update();
  }

 private:
  ~PollListener() override = default;

  bool is_unix() const { return address_.kind == Address::Kind::Unix; }
  bool is_accepting() const { return client_ != nullptr && !paused_ && !resting_; }

  static void on_handle_closed(uv_handle_t* handle) {
    auto* self = static_cast<PollListener*>(handle->data);
    if (++self->closed_handles_ == 2) delete self;
  }

  void update() {
    if (!is_accepting()) {
      uv_poll_stop(&poll_);
      return;
    }
    uv_poll_start(&poll_, UV_READABLE,
                  [](uv_poll_t* poll, int, int) { static_cast<PollListener*>(poll->data)->accept_waiting(); });
  }

  void accept_waiting() {
    // What is left over makes the socket readable in the next turn again.
    for (int i = 0; i < kAcceptsPerTurn && is_accepting(); ++i) {
      const int descriptor = accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor >= 0) {
        in_trouble_ = false;
        auto stream = Stream::adopt(loop_, descriptor, is_unix());
        if (stream) client_->on_accepted(std::move(*stream));
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (concerns_the_connection(errno)) continue;
      return rest(-errno);
    }
  }

  // Out of descriptors or memory. The socket stays readable: without a rest the loop would spin.
  void rest(int code) {
    resting_ = true;
    update();
    uv_timer_start(
        &again_,
        [](uv_timer_t* timer) {
          auto* self = static_cast<PollListener*>(timer->data);
          self->resting_ = false;
          self->update();
        },
        kPauseAfterTrouble.count(), 0);
    if (std::exchange(in_trouble_, true)) return;
    client_->on_accept_trouble(system_error(ErrorCode::RetryLater, code, "accepting on " + address_.to_string()));
  }

  Loop& loop_;
  const Address address_;
  ListenerClient* client_;  // nullptr once closed.
  int descriptor_;
  uv_poll_t poll_{};
  uv_timer_t again_{};
  int closed_handles_ = 0;
  bool paused_ = false;      // By pause().
  bool resting_ = false;     // True exactly while again_ runs.
  bool in_trouble_ = false;  // True from a failure to the next success.
  std::optional<FileIdentity> socket_file_;
};

}  // namespace

Result<Owned<Listener>> Listener::open(Loop& loop, const Address& address, bool reuse_port, ListenerClient& client) {
  auto bound = address.kind == Address::Kind::Unix ? bind_unix(address) : bind_tcp(address, reuse_port);
  if (!bound) return tl::unexpected(bound.error());
  if (::listen(bound->get(), kBacklog) != 0) return failed(address, -errno);
  return Owned<Listener>(new PollListener(loop, address, std::move(*bound), client));
}

}  // namespace ssequel::net
