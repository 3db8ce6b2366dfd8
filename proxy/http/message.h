// Heads of HTTP/1.1 messages (RFC 9112 §2) and how their content is delimited (RFC 9112 §6).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/fields.h"

namespace ssequel::http {

struct Framing {
  enum class Kind {
    None,       // No content.
    Length,     // Content-Length: `length` bytes.
    Chunked,    // Transfer-Encoding: chunked.
    UntilClose  // Responses only: to the end of the connection.
  } kind = Kind::None;
  std::uint64_t length = 0;
};

// Whether a byte of content may come. `Content-Length: 0` says that none does.
[[nodiscard]] constexpr bool has_content(const Framing& framing) noexcept {
  return framing.kind != Framing::Kind::None && (framing.kind != Framing::Kind::Length || framing.length != 0);
}

struct RequestHead {
  std::string method;  // As sent: GET, POST, any token (QUERY, PROPFIND ...).
  std::string target;  // Request target as sent, raw bytes. Absolute-form is kept here; see authority and path_query.
  int minor_version = 1;  // HTTP/1.minor: 0 or 1.
  Fields fields;
  Framing framing;
  bool keep_alive = true;         // What the client allows (RFC 9112 §9.3).
  bool expects_continue = false;  // Expect: 100-continue, from an HTTP/1.1 client, with content to come.
  bool is_upgrade = false;        // Connection: upgrade with an Upgrade field other than h2c.
  // Host field, or the authority of an absolute-form target, which then replaces the Host field (RFC 9112 §3.2.2): both
  // are the same always. Empty only in HTTP/1.0 without one.
  std::string host;
  // origin-form: path and query (absolute-form with its authority taken off); "*" for OPTIONS *; "" for CONNECT.
  std::string origin_form;
  [[nodiscard]] std::string_view path() const;   // Raw, up to '?'.
  [[nodiscard]] std::string_view query() const;  // Raw, behind '?'; empty if none.
};

struct ResponseHead {
  int status = 0;      // 100..599
  std::string reason;  // May be empty.
  int minor_version = 1;
  Fields fields;
  Framing framing;         // For the request it answers (HEAD, 204, 304: None).
  bool keep_alive = true;  // The connection may serve another request afterwards.
};

[[nodiscard]] std::string_view reason_phrase(int status) noexcept;  // RFC 9110 §15; "" if unknown.

}  // namespace ssequel::http
