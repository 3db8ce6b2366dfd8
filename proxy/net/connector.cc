// An attempt: [look the name up] → connect to the first address → the next … → on_connected or on_connect_failed.
// One deadline serves all of it: an address that does not answer gets its share of the time that is left, so that one
// dead address does not use up the time of those behind it.
#include "net/connector.h"

#include <netdb.h>
#include <uv.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "net/socket.h"
#include "net/stream_handle.h"

namespace ssequel::net {
namespace {

constexpr Millis kLeastShare{2000};  // More than one SYN retransmission (RFC 6298 §2: one second).
constexpr std::size_t kMostAddresses = 16;

class ConnectAttempt final : public Connect, Deadline::Listener {
 public:
  ConnectAttempt(DeadlineQueue& deadlines, const Address& address, Millis timeout, ConnectListener& listener)
      : loop_(deadlines.loop()),
        address_(address),
        timeout_(timeout),
        until_(loop_.now() + timeout),
        listener_(&listener),
        deadline_(deadlines, *this) {}

  void begin() {
    deadline_.set(timeout_);
    if (address_.kind == Address::Kind::Unix) return connect_unix();
    if (const auto literal = literal_address(address_.host, address_.port)) {
      candidates_.push_back(*literal);
      return try_next();
    }
    look_up();
  }

  void close() noexcept override {
    listener_ = nullptr;
    deadline_.cancel();
    let_go();
    // Not at once: one of our functions, or a deferred report, may be under way.
    loop_.defer([this] { delete this; });
  }

 private:
  ~ConnectAttempt() override = default;

  // Requests own their memory until they call back; `owner` is nullptr when nobody waits for them any more.
  struct Lookup {
    uv_getaddrinfo_t request{};
    ConnectAttempt* owner;
  };
  struct Dial {
    uv_connect_t request{};
    ConnectAttempt* owner;
  };

  void let_go() {
    if (lookup_ != nullptr) {
      lookup_->owner = nullptr;
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));  // Only helps if it has not begun.
      lookup_ = nullptr;
    }
    if (dial_ != nullptr) {
      dial_->owner = nullptr;
      dial_ = nullptr;
    }
    stream_.reset();
  }

  void look_up() {
    lookup_ = new Lookup{.owner = this};
    lookup_->request.data = lookup_;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    const int error = uv_getaddrinfo(
        loop_.raw(), &lookup_->request,
        [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
          auto* lookup = static_cast<Lookup*>(request->data);
          if (auto* owner = lookup->owner) {
            owner->lookup_ = nullptr;
            owner->on_looked_up(status, found);
          }
          uv_freeaddrinfo(found);
          delete lookup;
        },
        address_.host.c_str(), nullptr, &hints);
    if (error == 0) return;
    delete std::exchange(lookup_, nullptr);
    fail_later(error);
  }

  void on_looked_up(int status, const addrinfo* found) {
    if (status < 0) return fail_later(status);
    for (; found != nullptr && candidates_.size() < kMostAddresses; found = found->ai_next) {
      if (const auto candidate = with_port(found->ai_addr, address_.port)) candidates_.push_back(*candidate);
    }
    last_error_ = UV_EAI_NODATA;
    try_next();
  }

  Dial* make_dial() {
    auto* dial = new Dial{.owner = this};
    dial->request.data = dial;
    return dial;
  }

  static void on_dialled(uv_connect_t* request, int status) {
    auto* dial = static_cast<Dial*>(request->data);
    auto* owner = dial->owner;
    delete dial;
    if (owner == nullptr) return;
    owner->dial_ = nullptr;
    owner->on_outcome(status);
  }

  void connect_unix() {
    if (const auto fits = unix_address(address_.path); !fits) return fail_later(UV_ENAMETOOLONG);
    stream_ = StreamHandle::make(loop_, true);
    dial_ = make_dial();
    uv_pipe_connect(&dial_->request, stream_->pipe(), address_.path.c_str(), on_dialled);
  }

  void try_next() {
    while (next_ < candidates_.size()) {
      const auto& candidate = candidates_[next_++];
      stream_ = StreamHandle::make(loop_, false);
      auto* dial = make_dial();
      last_error_ = uv_tcp_connect(&dial->request, stream_->tcp(), candidate.get(), on_dialled);
      if (last_error_ == 0) {
        dial_ = dial;
        return deadline_.set(share_of_time());
      }
      delete dial;
      stream_.reset();
    }
    fail_later(last_error_);
  }

  Millis share_of_time() const {
    const auto left = std::max(until_ - loop_.now(), Millis(0));
    const auto others = static_cast<Millis::rep>(candidates_.size() - next_);
    return std::min(left, std::max(left / (others + 1), kLeastShare));
  }

  void on_outcome(int status) {
    if (status == 0 && address_.kind == Address::Kind::Tcp && is_connected_to_itself(stream_->descriptor())) {
      status = UV_ECONNREFUSED;
    }
    if (status < 0) {
      last_error_ = status;
      stream_.reset();
      return try_next();
    }
    if (address_.kind == Address::Kind::Tcp) set_tcp_options(stream_->descriptor());
    deadline_.cancel();
    std::exchange(listener_, nullptr)->on_connected(std::move(stream_));
  }

  void on_deadline(Deadline&) override {
    const bool is_dialling = dial_ != nullptr;
    let_go();
    last_error_ = UV_ETIMEDOUT;
    if (is_dialling && next_ < candidates_.size() && loop_.now() < until_) return try_next();
    fail_later(UV_ETIMEDOUT);
  }

  // Deferred: begin() must not report.
  void fail_later(int status) {
    deadline_.cancel();
    loop_.defer([this, status] {
      if (listener_ == nullptr) return;
      std::exchange(listener_, nullptr)->on_connect_failed(describe(status));
    });
  }

  Error describe(int status) const {
    const auto what = "connecting to " + address_.to_string();
    if (status == UV_ETIMEDOUT) {
      return Error{ErrorCode::RetryLater, what + ": no answer within " + std::to_string(timeout_.count()) + " ms"};
    }
    const bool is_ours = status == UV_EMFILE || status == UV_ENFILE || status == UV_ENOMEM || status == UV_ENOBUFS;
    return system_error(is_ours ? ErrorCode::RetryLater : ErrorCode::PeerGone, status, what);
  }

  Loop& loop_;
  const Address address_;
  const Millis timeout_;
  const Millis until_;
  ConnectListener* listener_;  // nullptr once told, or closed.
  Deadline deadline_;
  Lookup* lookup_ = nullptr;
  Dial* dial_ = nullptr;
  Owned<StreamHandle> stream_;  // The one that is being connected.
  std::vector<SocketAddress> candidates_;
  std::size_t next_ = 0;
  int last_error_ = UV_EAI_NODATA;
};

}  // namespace

Owned<Connect> Connect::start(DeadlineQueue& deadlines, const Address& address, Millis timeout,
                              ConnectListener& listener) {
  auto* attempt = new ConnectAttempt(deadlines, address, timeout, listener);
  Owned<Connect> owned(attempt);
  attempt->begin();
  return owned;
}

}  // namespace ssequel::net
