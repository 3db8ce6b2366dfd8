// The text form of an address, strict: what is not clearly one is refused with a way out.
#include "net/address.h"

#include <sys/un.h>

#include <charconv>

#include "base/ascii.h"

namespace ssequel::net {
namespace {

constexpr std::size_t kLongestUnixPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t kLongestName = 253;  // RFC 1035 §2.3.4, as text.

tl::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(ErrorCode::Malformed, "address '" + std::string(text.substr(0, 300)) + "': " + std::string(why));
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool is_name(std::string_view host) {
  for (const char c : host) {
    if (!ascii::is_alnum(c) && c != '.' && c != '-' && c != '_') return false;
  }
  return !host.empty() && host.size() <= kLongestName;
}

// The shape only; the system says whether it is an address.
bool is_ipv6_shape(std::string_view host) {
  const auto zone = host.find('%');
  for (const char c : host.substr(0, zone)) {
    const bool is_hex = ascii::is_digit(c) || (ascii::lower(c) >= 'a' && ascii::lower(c) <= 'f');
    if (!is_hex && c != ':' && c != '.') return false;
  }
  return host.find(':') < zone && (zone == host.npos || is_name(host.substr(zone + 1)));
}

}  // namespace

std::string Address::to_string() const {
  switch (kind) {
    case Kind::Unix:
      return "unix:" + path;
    case Kind::Tcp:
      break;
  }
  const bool needs_brackets = host.find(':') != host.npos;
  return (needs_brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    const auto path = text.substr(5);
    if (path.empty() || path.front() != '/') return refuse(text, "a unix socket is written unix:/path");
    if (path.size() > kLongestUnixPath) return refuse(text, "the path of a unix socket has at most 107 bytes");
    if (path.find('\0') != path.npos) return refuse(text, "the path holds a NUL");
    address.kind = Address::Kind::Unix;
    address.path = path;
    return address;
  }
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == text.npos) return refuse(text, "']' is missing");
    host = text.substr(1, close - 1);
    if (!is_ipv6_shape(host)) return refuse(text, "brackets hold an IPv6 address");
    if (!text.substr(close + 1).starts_with(':')) return refuse(text, "the port is missing: [ADDRESS]:PORT");
    port = text.substr(close + 2);
  } else {
    const auto colon = text.rfind(':');
    if (colon == text.npos) return refuse(text, "the port is missing: HOST:PORT");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.empty()) return refuse(text, "the host is missing; all interfaces are 0.0.0.0:PORT or [::]:PORT");
    if (host.find(':') != host.npos) return refuse(text, "an IPv6 address stands in brackets: [ADDRESS]:PORT");
    if (!is_name(host)) return refuse(text, "the host is neither a name nor an address");
  }
  if (!parse_port(port, address.port)) return refuse(text, "a port is a number from 0 to 65535");
  address.host = host;
  return address;
}

}  // namespace ssequel::net
