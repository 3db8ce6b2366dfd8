// Opens connections: resolves names off the loop (uv_getaddrinfo, each time anew), tries the addresses in turn, within
// one time limit.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"
#include "net/closable.h"
#include "net/deadline.h"
#include "net/stream.h"

namespace ssequel::net {

class ConnectListener {
 public:
  virtual ~ConnectListener() = default;
  // TCP_NODELAY and keep-alive are on; the stream has no listener yet and does not read. The Connect may be dropped
  // here.
  virtual void on_connected(Owned<Stream> stream) = 0;
  // PeerGone (refused, unreachable, unknown name) or RetryLater (timeout, out of descriptors); the context names the
  // address.
  virtual void on_connect_failed(const Error& error) = 0;
};

// One attempt. The queue and the listener must outlive it. Dropping it cancels: no callback follows. Exactly one
// callback, never from inside start().
class Connect : public Closable {
 public:
  [[nodiscard]] static Owned<Connect> start(DeadlineQueue& deadlines, const Address& address, Millis timeout,
                                            ConnectListener& listener);
};

}  // namespace ssequel::net
