#include "base/upstream_url.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/ascii.h"

namespace ssequel {
namespace {

// sockaddr_un holds 108 bytes, one of them the NUL at the end (unix(7)).
constexpr std::size_t kUnixPathMax = 107;
constexpr std::size_t kHostMax = 253;  // RFC 1035 §2.3.4, as text.

bool is_name(std::string_view host) {
  return std::all_of(host.begin(), host.end(),
                     [](char c) { return ascii::is_alnum(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_ipv6(std::string_view host) {
  return std::count(host.begin(), host.end(), ':') >= 2 && std::all_of(host.begin(), host.end(), [](char c) {
           const char l = ascii::lower(c);
           return ascii::is_digit(c) || (l >= 'a' && l <= 'f') || c == ':' || c == '.';
         });
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

Result<UpstreamUrl> parse_unix(std::string_view path) {
  if (!path.starts_with('/')) return fail(ErrorCode::Malformed, "the path of a unix socket begins with /");
  if (path.size() > kUnixPathMax || path.find('\0') != path.npos) {
    return fail(ErrorCode::Malformed, "the path of a unix socket has at most 107 bytes");
  }
  return UpstreamUrl{.is_unix = true, .host = "", .port = 0, .path = std::string(path)};
}

}  // namespace

std::string UpstreamUrl::authority() const {
  if (is_unix) return "localhost";
  std::string out = host.find(':') == host.npos ? host : "[" + host + "]";
  if (port != 80) out += ":" + std::to_string(port);
  return out;
}

std::string UpstreamUrl::to_string() const {
  if (is_unix) return "unix:" + path;
  const std::string name = host.find(':') == host.npos ? host : "[" + host + "]";
  return "http://" + name + ":" + std::to_string(port);
}

Result<UpstreamUrl> parse_upstream_url(std::string_view text) {
  if (ascii::starts_with(text, "unix:")) return parse_unix(text.substr(5));
  if (ascii::starts_with(text, "https://")) {
    return fail(ErrorCode::Unsupported, "TLS is not spoken: leave it to the ingress or the mesh");
  }
  if (!ascii::starts_with(text, "http://"))
    return fail(ErrorCode::Malformed, "it does not begin with http:// or unix:");
  auto rest = text.substr(7);
  if (rest.find('@') != rest.npos) return fail(ErrorCode::Unsupported, "a user and a password have no place in it");
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != rest.npos) {
    return fail(ErrorCode::Unsupported, "it has a path: requests go upstream with the path they came with");
  }

  UpstreamUrl url;
  std::string_view host = rest, after;
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == rest.npos) return fail(ErrorCode::Malformed, "a bracket is not closed");
    host = rest.substr(1, close - 1);
    after = rest.substr(close + 1);
    if (!is_ipv6(host)) return fail(ErrorCode::Malformed, "there is no IPv6 address between the brackets");
  } else {
    const auto colon = rest.find(':');
    host = rest.substr(0, colon);
    after = colon == rest.npos ? std::string_view() : rest.substr(colon);
    if (after.find(':', 1) != after.npos) return fail(ErrorCode::Malformed, "an IPv6 address stands in brackets");
    if (!is_name(host)) return fail(ErrorCode::Malformed, "its host has a foreign character");
  }
  if (host.empty() || host.size() > kHostMax)
    return fail(ErrorCode::Malformed, "it has no host of 1 to 253 characters");
  url.host = ascii::to_lower(host);
  if (!after.empty()) {
    const auto port = after.front() == ':' ? port_of(after.substr(1)) : std::nullopt;
    if (!port) return fail(ErrorCode::Malformed, "its port is not a number from 1 to 65535");
    url.port = *port;
  }
  return url;
}

}  // namespace ssequel
