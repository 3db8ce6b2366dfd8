#include "redis/url.h"

#include <charconv>

#include "base/ascii.h"
#include "base/percent.h"

namespace ssequel::redis {
namespace {

constexpr std::uint16_t kPort = 6379;
constexpr std::uint16_t kSentinelPort = 26379;
constexpr unsigned kMaxDb = 65535;
constexpr std::size_t kMaxHosts = 64;

tl::unexpected<Error> wrong(std::string what) { return fail(ErrorCode::Malformed, std::move(what)); }

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Cuts `text` at the first `mark`: what is before it, and what is behind it stays. All of it if there is none.
std::string_view cut(std::string_view& text, char mark) {
  const auto at = text.find(mark);
  const auto head = text.substr(0, at);
  text = at == text.npos ? std::string_view() : text.substr(at + 1);
  return head;
}

Result<HostPort> read_host(std::string_view text, std::uint16_t port) {
  std::string_view host;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return wrong("an IPv6 address without its closing bracket");
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') return wrong("something between an address and its port");
  } else {
    host = text.substr(0, text.find(':'));
    text.remove_prefix(host.size());
  }
  if (host.empty()) return wrong("a host is missing");
  if (!text.empty() && (!read_number(text.substr(1), port) || port == 0)) return wrong("a port that is no port");
  return HostPort{std::string(host), port};
}

Result<Login> read_login(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return wrong("a user without a password; a password alone is written :PASSWORD@");
  Login login{percent_decode(text.substr(0, colon)), percent_decode(text.substr(colon + 1))};
  if (login.password.empty()) return wrong("an empty password");
  return login;
}

Result<void> read_parameters(std::string_view query, Url& url) {
  Login sentinel;
  while (!query.empty()) {
    auto value = cut(query, '&');
    const auto name = cut(value, '=');
    const bool is_of_tls = name == "ca" || name == "cert" || name == "key" || name == "name";
    const bool is_of_sentinels = name == "sentinel_user" || name == "sentinel_password";
    if (!is_of_tls && !is_of_sentinels)
      return wrong("an unknown parameter; known are ca, cert, key, name, sentinel_user, sentinel_password");
    if (is_of_tls && !url.tls) return wrong("ca, cert, key and name are for rediss only");
    if (is_of_sentinels && url.kind != Url::Kind::Sentinel) return wrong("a login for sentinels, and no sentinels");
    auto decoded = percent_decode(value);
    if (name == "ca") url.tls->ca = std::move(decoded);
    if (name == "cert") url.tls->cert = std::move(decoded);
    if (name == "key") url.tls->key = std::move(decoded);
    if (name == "name") url.tls->name = std::move(decoded);
    if (name == "sentinel_user") sentinel.user = std::move(decoded);
    if (name == "sentinel_password") sentinel.password = std::move(decoded);
  }
  if (url.tls && url.tls->cert.empty() != url.tls->key.empty()) return wrong("one of cert and key without the other");
  if (!sentinel.user.empty() && sentinel.password.empty()) return wrong("a sentinel_user without its password");
  if (!sentinel.password.empty()) url.sentinel_login = std::move(sentinel);
  return {};
}

Result<void> read_scheme(std::string_view scheme, Url& url) {
  auto rest = scheme;
  const auto base = cut(rest, '+');
  if (ascii::equals(base, "rediss")) {
    url.tls.emplace();
  } else if (!ascii::equals(base, "redis")) {
    return wrong("a scheme other than redis, rediss, redis+sentinel, redis+cluster and so on, or unix:/path");
  }
  if (base.size() == scheme.size()) return {};
  if (ascii::equals(rest, "sentinel")) {
    url.kind = Url::Kind::Sentinel;
  } else if (ascii::equals(rest, "cluster")) {
    url.kind = Url::Kind::Cluster;
  } else {
    return wrong("something other than sentinel or cluster behind the + of the scheme");
  }
  return {};
}

Result<void> read_path(std::string_view path, Url& url) {
  if (url.kind == Url::Kind::Sentinel) {
    url.master_name = percent_decode(cut(path, '/'));
    if (url.master_name.empty()) return wrong("the name of the master is missing: …/NAME or …/NAME/DB");
  }
  if (path.empty()) return {};
  if (!read_number(path, url.db) || url.db > kMaxDb) return wrong("a database that is no number");
  if (url.kind == Url::Kind::Cluster && url.db != 0) return wrong("a cluster has database 0 only");
  return {};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  if (text.starts_with("unix:/")) {
    url.hosts.push_back({std::string(text.substr(5)), 0});
    return url;
  }
  const auto scheme_end = text.find("://");
  if (scheme_end == text.npos) return wrong("no ://");
  if (auto read = read_scheme(text.substr(0, scheme_end), url); !read) return tl::unexpected<Error>(read.error());
  text.remove_prefix(scheme_end + 3);
  if (text.find('#') != text.npos) return wrong("a #; in a password it is written %23");

  const auto path_at = text.find_first_of("/?");
  auto hosts = text.substr(0, path_at);
  text = path_at == text.npos ? std::string_view() : text.substr(path_at);
  auto path = text.substr(0, text.find('?'));
  text.remove_prefix(path.size());
  if (!path.empty()) path.remove_prefix(1);
  if (!text.empty()) text.remove_prefix(1);

  if (const auto at = hosts.rfind('@'); at != hosts.npos) {
    auto login = read_login(hosts.substr(0, at));
    if (!login) return tl::unexpected<Error>(login.error());
    url.login = std::move(*login);
    hosts.remove_prefix(at + 1);
  } else if (path.find('@') != path.npos || text.find('@') != text.npos) {
    return wrong("an @ behind a slash or a question mark: in a password, / is written %2F and ? is %3F");
  }
  const auto port = url.kind == Url::Kind::Sentinel ? kSentinelPort : kPort;
  do {
    auto host = read_host(cut(hosts, ','), port);
    if (!host) return tl::unexpected<Error>(host.error());
    url.hosts.push_back(std::move(*host));
  } while (!hosts.empty() && url.hosts.size() < kMaxHosts);
  if (!hosts.empty()) return wrong("too many hosts");
  if (url.kind == Url::Kind::Single && url.hosts.size() > 1)
    return wrong("several hosts: these are for redis+sentinel and redis+cluster");
  if (auto read = read_path(path, url); !read) return tl::unexpected<Error>(read.error());
  if (auto read = read_parameters(text, url); !read) return tl::unexpected<Error>(read.error());
  return url;
}

}  // namespace ssequel::redis
