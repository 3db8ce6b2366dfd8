#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "net/stream_handle.h"

namespace ssequel::net {
namespace {

StreamHandle* stream_of(void* handle) { return static_cast<StreamHandle*>(static_cast<uv_handle_t*>(handle)->data); }

std::size_t total_size(std::span<const std::string_view> pieces) {
  std::size_t size = 0;
  for (const auto piece : pieces) size += piece.size();
  return size;
}

uv_buf_t to_buffer(std::string_view piece) {
  // libuv only reads from it.
  return {const_cast<char*>(piece.data()), piece.size()};
}

}  // namespace

// A queued write and what it keeps alive: `keep`, or a copy of the bytes that stands right behind it.
struct StreamHandle::Write {
  uv_write_t request{};
  std::shared_ptr<const void> keep;

  static Write* make(std::size_t copied_bytes) { return new (::operator new(sizeof(Write) + copied_bytes)) Write; }
  static void destroy(Write* write) {
    write->~Write();
    ::operator delete(write);
  }
  char* copy() { return reinterpret_cast<char*>(this + 1); }
};

StreamHandle::StreamHandle(Loop& loop, bool is_unix) : loop_(loop), is_unix_(is_unix) {
  const int error = is_unix ? uv_pipe_init(loop.raw(), &handle_.pipe, 0) : uv_tcp_init(loop.raw(), &handle_.tcp);
  SSEQUEL_ASSERT(error == 0, "a stream without a socket can always be made");
  handle_.any.data = this;
}

Owned<StreamHandle> StreamHandle::make(Loop& loop, bool is_unix) {
  return Owned<StreamHandle>(new StreamHandle(loop, is_unix));
}

int StreamHandle::open(int descriptor) {
  return is_unix_ ? uv_pipe_open(&handle_.pipe, descriptor) : uv_tcp_open(&handle_.tcp, descriptor);
}

int StreamHandle::descriptor() const {
  uv_os_fd_t descriptor = -1;
  return uv_fileno(&handle_.any, &descriptor) == 0 ? descriptor : -1;
}

void StreamHandle::close() noexcept {
  SSEQUEL_ASSERT(!closing_, "a stream is closed once");
  // Before uv_close: cancelled writes call back.
  listener_ = nullptr;
  closing_ = true;
  if (reset_on_close_ && !detached_ && !is_unix_) {
    // By hand, since uv_tcp_close_reset refuses after a shutdown.
    const linger abort{.l_onoff = 1, .l_linger = 0};
    static_cast<void>(setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort));
  }
  uv_close(&handle_.any, [](uv_handle_t* handle) {
    auto* stream = stream_of(handle);
    stream->closed_ = true;
    stream->delete_if_over();
  });
}

void StreamHandle::delete_if_over() {
  if (closed_ && pending_reports_ == 0) delete this;
}

// Reading.

void StreamHandle::start_reading() {
  if (reading_ || eof_ || !is_open()) return;
  const int error = uv_read_start(
      &handle_.stream,
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(stream_of(handle)->loop_.read_buffer(), Loop::kReadBufferBytes);
      },
      [](uv_stream_t* handle, ssize_t count, const uv_buf_t*) { stream_of(handle)->on_bytes(count); });
  if (error != 0) return fail_later(error);
  reading_ = true;
}

void StreamHandle::stop_reading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(&handle_.stream);
}

void StreamHandle::on_bytes(std::ptrdiff_t count) {
  if (count < 0) stop_reading();
  // Nobody listens any more; nothing was there; or a failed write is about to be reported.
  if (listener_ == nullptr || count == 0 || (count < 0 && broken_)) return;
  if (count > 0) return listener_->on_read({loop_.read_buffer(), static_cast<std::size_t>(count)});
  if (count == UV_EOF) {
    // libuv reports a bare end when a hang-up comes with the last bytes, also where it was a reset: who takes the end
    // of the connection for the end of the content (RFC 9112 §6.3) has to know.
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
      count = -error;
    } else {
      eof_ = true;
      return listener_->on_eof();
    }
  }
  report_broken(static_cast<int>(count), "read");
}

// Writing.

std::ptrdiff_t StreamHandle::send_now(std::span<const std::string_view> pieces) {
  std::array<uv_buf_t, 128> buffers;
  std::ptrdiff_t sent = 0;
  while (!pieces.empty()) {
    unsigned count = 0;
    std::ptrdiff_t size = 0;
    while (!pieces.empty() && count < buffers.size()) {
      if (!pieces.front().empty()) buffers[count++] = to_buffer(pieces.front());
      size += static_cast<std::ptrdiff_t>(pieces.front().size());
      pieces = pieces.subspan(1);
    }
    if (count == 0) break;
    const int taken = uv_try_write(&handle_.stream, buffers.data(), count);
    if (taken == UV_EAGAIN) break;
    if (taken < 0) return taken;
    sent += taken;
    if (taken < size) break;
  }
  return sent;
}

Result<std::size_t> StreamHandle::try_write(std::span<const std::string_view> pieces) {
  SSEQUEL_ASSERT(!shut_, "nothing is written after shutdown");
  if (!is_open()) return fail(ErrorCode::PeerGone, "write: the connection is broken");
  const auto sent = send_now(pieces);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  broken_ = true;
  stop_reading();
  return tl::unexpected(system_error(ErrorCode::PeerGone, static_cast<int>(sent), "write"));
}

bool StreamHandle::write(std::span<const std::string_view> pieces) {
  SSEQUEL_ASSERT(!shut_, "nothing is written after shutdown");
  if (!is_open()) return false;
  const auto sent = send_now(pieces);
  if (sent < 0) {
    fail_later(static_cast<int>(sent));
    return false;
  }
  const auto rest = total_size(pieces) - static_cast<std::size_t>(sent);
  if (rest == 0) return true;
  auto* write = Write::make(rest);
  auto skip = static_cast<std::size_t>(sent);
  char* end = write->copy();
  for (const auto piece : pieces) {
    const auto skipped = std::min(skip, piece.size());
    skip -= skipped;
    end = std::copy(piece.begin() + skipped, piece.end(), end);
  }
  const auto buffer = uv_buf_t{write->copy(), rest};
  queue(write, {&buffer, 1});
  return false;
}

void StreamHandle::write_shared(std::span<const std::string_view> pieces, std::shared_ptr<const void> keep) {
  SSEQUEL_ASSERT(!shut_, "nothing is written after shutdown");
  if (!is_open()) return;
  auto* write = Write::make(0);
  write->keep = std::move(keep);
  constexpr std::size_t kUsual = 16;
  std::array<uv_buf_t, kUsual> few;
  std::vector<uv_buf_t> many;
  if (pieces.size() > kUsual) many.resize(pieces.size());
  const auto buffers = many.empty() ? std::span<uv_buf_t>(few) : std::span<uv_buf_t>(many);
  std::size_t count = 0;
  for (const auto piece : pieces) {
    if (!piece.empty()) buffers[count++] = to_buffer(piece);
  }
  if (count == 0) buffers[count++] = uv_buf_t{nullptr, 0};  // on_drained() follows all the same.
  queue(write, buffers.first(count));
}

void StreamHandle::queue(Write* write, std::span<const uv_buf_t> buffers) {
  write->request.data = write;
  // libuv copies the array of buffers, not the bytes.
  const int error = uv_write(&write->request, &handle_.stream, buffers.data(), static_cast<unsigned>(buffers.size()),
                             [](uv_write_t* request, int status) {
                               auto* stream = stream_of(request->handle);
                               Write::destroy(static_cast<Write*>(request->data));
                               stream->on_written(status);
                             });
  if (error != 0) {
    Write::destroy(write);
    return fail_later(error);
  }
  ++writes_;
}

void StreamHandle::on_written(int status) {
  --writes_;
  if (!is_open()) return;
  if (status < 0) return report_broken(status, "write");
  if (writes_ == 0 && listener_ != nullptr) listener_->on_drained();
}

std::size_t StreamHandle::queued_bytes() const { return uv_stream_get_write_queue_size(&handle_.stream); }

std::size_t StreamHandle::unacknowledged_bytes() const {
  int with_kernel = 0;
  if (!is_open() || ioctl(descriptor(), SIOCOUTQ, &with_kernel) != 0) with_kernel = 0;
  return queued_bytes() + static_cast<std::size_t>(with_kernel);
}

void StreamHandle::shutdown() {
  if (shut_ || !is_open()) return;
  shut_ = true;
  auto* request = new uv_shutdown_t;
  // A failure means that the peer is gone, which reading tells better.
  const int error = uv_shutdown(request, &handle_.stream, [](uv_shutdown_t* finished, int) { delete finished; });
  if (error != 0) delete request;
}

// Failing.

void StreamHandle::fail_later(int status) {
  if (!is_open()) return;
  broken_ = true;
  ++pending_reports_;  // Keeps the object until the call.
  loop_.defer([this, status] {
    --pending_reports_;
    if (closing_) return delete_if_over();
    report_broken(status, "write");
  });
}

void StreamHandle::report_broken(int status, std::string_view what) {
  broken_ = true;
  // An origin that refuses a request early answers and closes, and our write fails before we have read the answer: what
  // has arrived is still delivered. The socket is dead or answers at once, so this ends.
  while (reading_ && listener_ != nullptr) {
    const auto count = ::read(descriptor(), loop_.read_buffer(), Loop::kReadBufferBytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    listener_->on_read({loop_.read_buffer(), static_cast<std::size_t>(count)});
  }
  if (closing_) return;
  stop_reading();
  if (auto* listener = std::exchange(listener_, nullptr)) {
    listener->on_broken(system_error(ErrorCode::PeerGone, status, what));
  }
}

// The socket.

void StreamHandle::set_user_timeout(Millis timeout) {
  if (is_unix_ || detached_) return;
  const auto value =
      static_cast<unsigned>(std::clamp<Millis::rep>(timeout.count(), 0, std::numeric_limits<int>::max()));
  static_cast<void>(setsockopt(descriptor(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value));
}

int StreamHandle::detach() {
  if (!is_open() || shut_ || detached_ || writes_ != 0) return -1;
  const int copy = fcntl(descriptor(), F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return -1;
  stop_reading();
  listener_ = nullptr;
  detached_ = true;
  broken_ = true;  // Of no use here any more.
  return copy;
}

std::string StreamHandle::peer_address() const {
  if (is_unix_) return {};
  SocketAddress peer;
  int size = sizeof peer.storage;
  if (uv_tcp_getpeername(&handle_.tcp, reinterpret_cast<sockaddr*>(&peer.storage), &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = {};
  if (peer.storage.ss_family == AF_INET6) {
    const auto* address = reinterpret_cast<const sockaddr_in6*>(&peer.storage);
    if (!IN6_IS_ADDR_V4MAPPED(&address->sin6_addr)) {
      uv_inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
    } else {  // An IPv4 client of a socket that listens for both.
      uv_inet_ntop(AF_INET, &address->sin6_addr.s6_addr[12], text, sizeof text);
    }
  } else if (peer.storage.ss_family == AF_INET) {
    uv_inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&peer.storage)->sin_addr, text, sizeof text);
  }
  return text;
}

Result<Owned<Stream>> Stream::adopt(Loop& loop, int descriptor, bool is_unix) {
  auto stream = StreamHandle::make(loop, is_unix);
  if (const int error = stream->open(descriptor); error != 0) {
    ::close(descriptor);
    return tl::unexpected(system_error(error, "adopting a connection"));
  }
  return stream;
}

}  // namespace ssequel::net
