// Accepts connections. TCP with SO_REUSEPORT when asked (several loops on one port), TCP_NODELAY and keep-alive on
// what it accepts. Out of descriptors (EMFILE), it stops accepting for a while instead of spinning.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "net/address.h"
#include "net/closable.h"
#include "net/loop.h"
#include "net/stream.h"

namespace ssequel::net {

class ListenerClient {
 public:
  virtual ~ListenerClient() = default;
  // The stream has no listener yet and does not read. The Listener may be dropped here.
  virtual void on_accepted(Owned<Stream> stream) = 0;
  // Out of descriptors or memory: accepting rests for 100 ms at a time until it succeeds; connections wait in the
  // kernel's backlog meanwhile. Said once an outage.
  virtual void on_accept_trouble(const Error& error) = 0;
};

class Listener : public Closable {
 public:
  // client must outlive the listener. A host name is resolved (blocking: done at start only), an IPv4 address being
  // preferred; [::] takes IPv4 too where the system's bindv6only is 0. A stale unix socket that nobody answers on is
  // replaced, a live one is AddressInUse; our file is removed at the end. Errors name the address.
  [[nodiscard]] static Result<Owned<Listener>> open(Loop& loop, const Address& address, bool reuse_port,
                                                    ListenerClient& client);
  [[nodiscard]] virtual std::uint16_t port() const = 0;  // The bound one, also where 0 was asked for.
  virtual void pause() = 0;                              // Leaves connections in the kernel's backlog.
  virtual void resume() = 0;
};

}  // namespace ssequel::net
