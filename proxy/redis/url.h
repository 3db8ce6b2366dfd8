// Where Redis is, as one line of the configuration says it:
//
//   redis://[USER:PASSWORD@]HOST[:PORT][/DB]                    one server
//   unix:/path.sock                                             one server, database 0, no login
//   redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,…]/NAME[/DB]  the master that these sentinels call NAME
//   redis+cluster://[USER:PASSWORD@]HOST[:PORT][,…]             a cluster, known by some of its nodes
//
// rediss instead of redis means TLS, whose files are query parameters: ca=PATH (else the system's authorities),
// cert=PATH and key=PATH (a client certificate), name=NAME (the certificate's, where it is not the host's).
// sentinel_user=… and sentinel_password=… are the sentinels' own login. USER may be empty: then it is `default`. Parts
// are percent-decoded. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ssequel::redis {

struct Login {
  std::string user;  // Empty: the user `default`, as servers before 6.0 have it.
  std::string password;
  friend bool operator==(const Login&, const Login&) = default;
};

struct TlsFiles {
  std::string ca;    // PEM; empty: the system's.
  std::string cert;  // PEM; with key, or neither.
  std::string key;
  std::string name;  // What certificates must be made out to; empty: the host that was asked for.
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

struct HostPort {
  std::string host;        // Without brackets. Of a unix socket: its path.
  std::uint16_t port = 0;  // 0: a unix socket.
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

struct Url {
  enum class Kind { Single, Sentinel, Cluster } kind = Kind::Single;
  std::vector<HostPort> hosts;  // One, or (Sentinel, Cluster) some of them.
  std::string master_name;      // Sentinel.
  unsigned db = 0;              // 0 in a cluster.
  std::optional<Login> login;
  std::optional<Login> sentinel_login;
  std::optional<TlsFiles> tls;
  friend bool operator==(const Url&, const Url&) = default;
};

// Malformed, with what is wrong and without the text: it may hold a password.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace ssequel::redis
