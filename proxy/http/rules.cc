#include "http/rules.h"

#include <limits>
#include <optional>

#include "base/ascii.h"
#include "http/hop_by_hop.h"
#include "http/octets.h"
#include "http/serializer.h"

namespace ssequel::http {

namespace {

constexpr Refusal kAccepted{};

// Sizes past 2^63-1 fit some readers' integers and not others'.
constexpr auto kLargestSize = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// HTTP-version (RFC 9112 §2.3): case matters. The minor version, or a refusal.
Refusal parse_version(std::string_view text, int& minor_version) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || !ascii::is_digit(text[5]) || text[6] != '.' ||
      !ascii::is_digit(text[7])) {
    return {400, "malformed HTTP version"};
  }
  if (text[5] != '1') return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  // A later minor version is read as the highest that we know (RFC 9110 §2.5).
  minor_version = text[7] == '0' ? 0 : 1;
  return kAccepted;
}

bool is_reg_name(std::string_view name) {
  if (name.empty() || !are_all_in(kRegNameOctets, name)) return false;
  const auto is_hex = [](char c) { return ascii::is_digit(c) || (ascii::lower(c) >= 'a' && ascii::lower(c) <= 'f'); };
  for (auto at = name.find('%'); at != std::string_view::npos; at = name.find('%', at + 1)) {
    if (at + 2 >= name.size() || !is_hex(name[at + 1]) || !is_hex(name[at + 2])) return false;
  }
  return true;
}

struct Authority {
  std::string_view host;
  std::optional<std::string_view> port;  // May be empty (RFC 3986 §3.2.3).
};

// uri-host [":" port] (RFC 9110 §7.2). No user information: it hides the host from the reader (RFC 9110 §4.2.4). No
// empty host (RFC 9110 §4.2.1).
std::optional<Authority> parse_authority(std::string_view text) {
  Authority authority;
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    const auto bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket < 3) return std::nullopt;
    if (!are_all_in(kIpLiteralOctets, text.substr(1, bracket - 1))) return std::nullopt;
    host_end = bracket + 1;
  } else {
    host_end = std::min(text.find(':'), text.size());
    if (!is_reg_name(text.substr(0, host_end))) return std::nullopt;
  }
  authority.host = text.substr(0, host_end);
  if (host_end == text.size()) return authority;
  if (text[host_end] != ':') return std::nullopt;
  const auto port = text.substr(host_end + 1);
  unsigned number = 0;
  for (const char c : port) {
    if (!ascii::is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
    if (number > 65535) return std::nullopt;
  }
  authority.port = port;
  return authority;
}

// The four forms of RFC 9112 §3.2.
Refusal parse_target(RequestHead& head) {
  const std::string_view target = head.target;
  if (!is_target_text(target)) return {400, "a request target holds visible ASCII without '#' only"};
  if (head.method == "CONNECT") {
    const auto authority = parse_authority(target);
    if (!authority || !authority->port || authority->port->empty()) return {400, "CONNECT wants host:port"};
    return kAccepted;
  }
  if (target.starts_with('/')) {
    head.origin_form = target;
    return kAccepted;
  }
  if (target == "*") {
    if (head.method != "OPTIONS") return {400, "only OPTIONS has the target *"};
    head.origin_form = target;
    return kAccepted;
  }
  constexpr std::string_view kScheme = "http://";
  if (!ascii::starts_with(target, kScheme)) return {400, "the request target is neither a path nor an http URI"};
  const auto rest = target.substr(kScheme.size());
  const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
  const auto authority = rest.substr(0, authority_end);
  if (!parse_authority(authority)) return {400, "malformed authority in the request target"};
  head.host = authority;
  const auto path = rest.substr(authority_end);
  if (path.starts_with('/')) {
    head.origin_form = path;
  } else if (path.empty() && head.method == "OPTIONS") {
    head.origin_form = "*";  // RFC 9112 §3.2.4.
  } else {
    head.origin_form.assign(1, '/').append(path);
  }
  return kAccepted;
}

// The fields that this hop itself lives by, gathered in one pass.
struct HopFields {
  std::size_t hosts = 0, lengths = 0, codings = 0;  // How many there are,
  std::string_view host, length, coding;            // and the last of them.
  bool has_connection = false, has_expect = false, has_upgrade = false;
};

HopFields gather(const Fields& fields) {
  HopFields found;
  fields.for_each([&](const Field& field) {
    switch (field.name.size()) {  // Most names fail at their length.
      case 4:
        if (!ascii::equals(field.name, "host")) return;
        ++found.hosts;
        found.host = field.value;
        return;
      case 6:
        found.has_expect = found.has_expect || ascii::equals(field.name, "expect");
        return;
      case 7:
        found.has_upgrade = found.has_upgrade || ascii::equals(field.name, "upgrade");
        return;
      case 10:
        found.has_connection = found.has_connection || ascii::equals(field.name, "connection");
        return;
      case 14:
        if (!ascii::equals(field.name, "content-length")) return;
        ++found.lengths;
        found.length = field.value;
        return;
      case 17:
        if (!ascii::equals(field.name, "transfer-encoding")) return;
        ++found.codings;
        found.coding = field.value;
        return;
    }
  });
  return found;
}

bool parse_length(std::string_view text, std::uint64_t& length) {
  if (text.empty()) return false;
  length = 0;
  for (const char c : text) {
    if (!ascii::is_digit(c)) return false;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kLargestSize - digit) / 10) return false;
    length = length * 10 + digit;
  }
  return true;
}

// RFC 9112 §6, without its leniencies: no list of equal lengths, no length beside a coding, no coding but one
// `chunked`.
Refusal declared_framing(const HopFields& found, int minor_version, Framing& framing) {
  framing = {};
  if (found.codings != 0) {
    if (minor_version == 0) return {400, "Transfer-Encoding in an HTTP/1.0 message"};
    if (found.lengths != 0) return {400, "both Content-Length and Transfer-Encoding"};
    if (found.codings != 1 || !ascii::equals(found.coding, "chunked")) {
      return {400, "Transfer-Encoding is not exactly one chunked"};
    }
    framing.kind = Framing::Kind::Chunked;
  } else if (found.lengths != 0) {
    if (found.lengths != 1) return {400, "more than one Content-Length"};
    if (!parse_length(found.length, framing.length)) return {400, "malformed Content-Length"};
    framing.kind = Framing::Kind::Length;
  }
  return kAccepted;
}

// RFC 9112 §9.3: close wins over keep-alive.
bool allows_keep_alive(const HopFields& found, const Fields& fields, int minor_version) {
  if (!found.has_connection) return minor_version == 1;
  if (fields.lists("connection", "close")) return false;
  return minor_version == 1 || fields.lists("connection", "keep-alive");
}

}  // namespace

Refusal parse_request_line(std::string_view line, std::size_t target_bytes, RequestHead& head) {
  const auto method_end = line.find(' ');
  if (method_end == std::string_view::npos || !is_token(line.substr(0, method_end))) {
    return {400, "malformed request line"};
  }
  const auto rest = line.substr(method_end + 1);
  const auto target_end = rest.find(' ');
  if (target_end == std::string_view::npos || target_end == 0) return {400, "malformed request line"};
  if (target_end > target_bytes) return {414, "the request target is too long"};
  if (const Refusal refusal = parse_version(rest.substr(target_end + 1), head.minor_version)) return refusal;
  head.method = line.substr(0, method_end);
  head.target = rest.substr(0, target_end);
  return parse_target(head);
}

Refusal parse_status_line(std::string_view line, ResponseHead& head) {
  constexpr std::size_t kVersionSize = 8, kStatusEnd = 12;
  if (line.size() < kStatusEnd || line[kVersionSize] != ' ') return {400, "malformed status line"};
  if (const Refusal refusal = parse_version(line.substr(0, kVersionSize), head.minor_version)) return refusal;
  // An upstream answers in a version of ours (RFC 9110 §2.5): requests go out as HTTP/1.1.
  if (line[kVersionSize - 1] > '1') return {505, "a version that nobody asked for"};
  head.status = 0;
  for (const char c : line.substr(kVersionSize + 1, 3)) {
    if (!ascii::is_digit(c)) return {400, "malformed status line"};
    head.status = head.status * 10 + (c - '0');
  }
  if (head.status < 100 || head.status > 599) return {400, "a status outside of 100 to 599"};
  const auto rest = line.substr(kStatusEnd);
  if (rest.empty()) {
    head.reason.clear();
    return kAccepted;
  }
  if (rest.front() != ' ' || !is_field_text(rest)) return {400, "malformed status line"};
  head.reason = rest.substr(1);
  return kAccepted;
}

Refusal parse_field_line(std::string_view line, Field& field) {
  std::size_t colon = 0;
  while (colon < line.size() && is_in(kTokenOctets, line[colon])) ++colon;
  if (colon == line.size()) return {400, "a field line without a colon"};
  if (line[colon] != ':') {
    const bool is_space = line[colon] == ' ' || line[colon] == '\t';
    if (is_space && colon == 0) return {400, "a line begins with white space (obsolete line folding)"};
    if (is_space) return {400, "white space in or behind a field name"};  // RFC 9112 §5.1.
    return {400, "a field name holds a character that is none of a token"};
  }
  if (colon == 0) return {400, "an empty field name"};
  field.name = line.substr(0, colon);
  field.value = ascii::trim(line.substr(colon + 1));
  if (!is_field_text(field.value)) return {400, "a control character in a field value"};
  return kAccepted;
}

Refusal finish_request(RequestHead& head) {
  const HopFields found = gather(head.fields);
  // RFC 9112 §3.2: none, two, or a malformed one is answered 400. HTTP/1.0 may go without.
  if (found.hosts > 1) return {400, "more than one Host"};
  if (found.hosts == 0 && head.minor_version == 1) return {400, "no Host"};
  if (found.hosts == 1 && !parse_authority(found.host)) return {400, "malformed Host"};

  if (const Refusal refusal = declared_framing(found, head.minor_version, head.framing)) return refusal;
  if (head.framing.kind == Framing::Kind::Length && found.length.size() > 1 && found.length.front() == '0') {
    return {400, "Content-Length with leading zeros"};  // Octal to some.
  }
  head.keep_alive = allows_keep_alive(found, head.fields, head.minor_version);

  const bool has_content = head.framing.kind == Framing::Kind::Chunked || head.framing.length != 0;
  // Both mean nothing in HTTP/1.0 (RFC 9110 §10.1.1, §7.8).
  head.expects_continue =
      head.minor_version == 1 && found.has_expect && has_content && head.fields.lists("expect", "100-continue");
  // h2c would take the connection out of our hands into a protocol that we do not read.
  head.is_upgrade = head.minor_version == 1 && found.has_upgrade && found.has_connection &&
                    head.fields.lists("connection", "upgrade") && !head.fields.lists("upgrade", "h2c");

  if (head.host.empty()) {
    head.host = found.host;
  } else if (found.host != head.host) {
    head.fields.set("Host", head.host);
  }
  return kAccepted;
}

Refusal finish_response(ResponseHead& head, Answered answered, Framing& declared) {
  const HopFields found = gather(head.fields);
  if (const Refusal refusal = declared_framing(found, head.minor_version, declared)) return refusal;
  if (declared.kind == Framing::Kind::None) declared.kind = Framing::Kind::UntilClose;
  head.framing = declared;
  // RFC 9112 §6.3, 1 and 2: no content, whatever is declared.
  const bool is_tunnel = head.status == 101 || (answered.is_connect && head.status / 100 == 2);
  if (answered.is_head || head.status / 100 == 1 || head.status == 204 || head.status == 304 || is_tunnel) {
    head.framing = {};
  }
  head.keep_alive = !is_tunnel && head.framing.kind != Framing::Kind::UntilClose &&
                    allows_keep_alive(found, head.fields, head.minor_version);
  return kAccepted;
}

Refusal check_trailers(const Fields& trailers) {
  for (std::size_t i = 0; i < trailers.size(); ++i) {
    const auto name = trailers[i].name;
    if (is_hop_by_hop(name) || ascii::equals(name, "content-length") || ascii::equals(name, "host") ||
        ascii::equals(name, "expect")) {
      return {400, "a field in the trailer section that belongs into the header section"};
    }
  }
  return kAccepted;
}

Refusal parse_chunk_line(std::string_view line, std::uint64_t& size, std::size_t& extension_bytes) {
  size = 0;
  std::size_t at = 0;
  for (; at < line.size(); ++at) {
    const char c = ascii::lower(line[at]);
    const bool is_letter = c >= 'a' && c <= 'f';
    if (!ascii::is_digit(c) && !is_letter) break;
    if (at == kChunkSizeDigits) return {400, "a chunk size is too large"};
    size = size * 16 + static_cast<std::uint64_t>(is_letter ? c - 'a' + 10 : c - '0');
  }
  if (at == 0) return {400, "malformed chunk size"};
  if (size > kLargestSize) return {400, "a chunk size is too large"};
  extension_bytes = line.size() - at;

  constexpr Refusal kMalformed{400, "malformed chunk size or extension"};
  const auto take_token = [&] {
    const auto start = at;
    while (at < line.size() && is_in(kTokenOctets, line[at])) ++at;
    return at != start;
  };
  while (at < line.size()) {
    if (line[at++] != ';' || !take_token()) return kMalformed;
    if (at == line.size() || line[at] != '=') continue;
    ++at;
    if (at == line.size() || line[at] != '"') {
      if (!take_token()) return kMalformed;
      continue;
    }
    const auto start = at++;  // quoted-string, RFC 9110 §5.6.4.
    while (at < line.size() && line[at] != '"') at += line[at] == '\\' ? 2 : 1;
    if (at >= line.size()) return kMalformed;
    ++at;
    if (!is_field_text(line.substr(start, at - start))) return kMalformed;
  }
  return kAccepted;
}

}  // namespace ssequel::http
