// TLS over bytes: OpenSSL between two memory buffers, no socket. The server's certificate must be made out to the name
// that was asked for, by an authority that is trusted; there is no way around this. Private to redis.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "redis/url.h"

namespace ssequel::redis {

// The files, read. At least TLS 1.2.
class TlsContext {
 public:
  // Misconfigured, with the file's name.
  [[nodiscard]] static Result<TlsContext> load(const TlsFiles& files);

 private:
  friend class TlsSession;
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

// One connection's client side. Feed what came from the peer; send what output() takes; until nothing is left.
class TlsSession {
 public:
  // name: a host name or an address.
  TlsSession(const TlsContext& context, const std::string& name);
  // What came from the peer; empty to begin. Plain text is appended to `plain`. Denied: no trust in its certificate.
  // PeerGone: it said goodbye. Malformed: it broke the protocol.
  [[nodiscard]] Result<void> feed(std::string_view from_peer, std::string& plain);
  [[nodiscard]] bool is_established() const { return is_established_; }
  // Only once it is established.
  [[nodiscard]] Result<void> write(std::string_view plain);
  // Takes what the peer is to get.
  [[nodiscard]] std::string output();

 private:
  [[nodiscard]] Result<void> give_up(int result);
  struct Free {
    void operator()(SSL* session) const noexcept { SSL_free(session); }
  };
  std::unique_ptr<SSL, Free> session_;
  BIO* in_ = nullptr;   // The session's.
  BIO* out_ = nullptr;  // The session's.
  bool is_established_ = false;
};

}  // namespace ssequel::redis
