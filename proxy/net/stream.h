// A connected TCP or unix stream. Reading is switched on and off; writing is tried at once, and what the socket does
// not take is queued and reported when it has gone.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/closable.h"
#include "net/loop.h"

namespace ssequel::net {

class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // bytes: valid during the call. After any of these calls the stream may be gone: look again before touching it.
  virtual void on_read(std::string_view bytes) = 0;
  // The peer will send no more (FIN; a reset is on_broken, also where both come with the last bytes). Writing is still
  // possible; that the peer is gone for good shows only there from now on.
  virtual void on_eof() = 0;
  // All that was queued has been handed to the kernel. Never from inside a write, once for all that was queued.
  virtual void on_drained() = 0;
  // Reset, timeout, a failed write. Once, and the last call: the stream is of no use any more, drop it. Where reading
  // is on, what had arrived before is delivered first: an answer that came while our write failed is not lost.
  virtual void on_broken(const Error& error) = 0;
};

// Loop's thread only. Owned<Stream>: dropping it closes the connection with FIN after what the kernel has, but what is
// still queued here is lost. (Linux sends RST instead where received bytes were left unread.)
class Stream : public Closable {
 public:
  virtual void set_listener(StreamListener& listener) = 0;  // Replaces; must outlive the stream or be replaced.
  // Both idempotent. While reading is off, the peer's end or reset is not noticed either. After on_eof() and
  // on_broken() there is nothing left to start.
  virtual void start_reading() = 0;
  virtual void stop_reading() = 0;
  [[nodiscard]] virtual bool is_reading() const = 0;

  // Writes without queueing: how many bytes the kernel took, 0 if it takes none now or something is queued. An error is
  // PeerGone and also means that nothing more will be heard, on_broken() neither: the caller has the news. (Where the
  // peer may have answered already, as to a request's content, write() is the one that loses nothing.)
  virtual Result<std::size_t> try_write(std::span<const std::string_view> pieces) = 0;
  // Tries at once, queues a copy of the rest. True if everything went out at once; else on_drained() follows, or
  // on_broken(), neither of them from inside the call.
  virtual bool write(std::span<const std::string_view> pieces) = 0;
  bool write(std::string_view piece) { return write(std::span(&piece, 1)); }
  // Queues the pieces without a copy; `keep` holds their memory until they are written. on_drained() follows.
  virtual void write_shared(std::span<const std::string_view> pieces, std::shared_ptr<const void> keep) = 0;
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;  // What the kernel has not taken yet.
  // Queued, or with the kernel and not acknowledged by the peer. While nothing is written, it falls as long as the peer
  // takes something.
  [[nodiscard]] virtual std::size_t unacknowledged_bytes() const = 0;
  [[nodiscard]] bool is_blocked() const { return queued_bytes() != 0; }

  // FIN after everything queued; reading goes on. Nothing may be written afterwards.
  virtual void shutdown() = 0;
  // The next close sends RST instead of FIN (SO_LINGER 0): the peer can tell that something broke off.
  virtual void reset_on_close() = 0;
  // How long the kernel may wait for acknowledgements of sent data (TCP_USER_TIMEOUT); 0 = its default. No-op on unix.
  virtual void set_user_timeout(Millis timeout) = 0;

  // Takes the descriptor off this loop (for another loop's adopt()); the stream is closed afterwards without touching
  // the connection. Nothing may be queued. -1 on failure.
  [[nodiscard]] virtual int detach() = 0;

  // Without port; empty for unix sockets.
  [[nodiscard]] virtual std::string peer_address() const = 0;

  // A stream on this loop from a connected descriptor, as detach() gives it. On an error it is closed.
  [[nodiscard]] static Result<Owned<Stream>> adopt(Loop& loop, int descriptor, bool is_unix);
};

}  // namespace ssequel::net
