// The response head of an event stream: what a log keeps of the upstream's, and what a client gets of it, with its CORS
// fields for the Origin they were given for (Fetch §3.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "relay/route.h"

namespace ssequel::relay {

struct StreamHead {
  http::Fields fields;  // End-to-end fields, less those of one response only; no CORS fields.
  http::Fields cors;    // Access-Control-*, as given for `origin`.
  std::string origin;   // The Origin of the request that the upstream answered; empty if it had none.
};

[[nodiscard]] bool is_cors_field(std::string_view name) noexcept;

// shared: fields that belong to one response (cookies, request ids, dates, validators) go too.
[[nodiscard]] StreamHead make_stream_head(const http::ResponseHead& upstream, std::string_view request_origin,
                                          bool is_shared);

// As a journal keeps it: the fields' lines, an empty line, the CORS fields' lines, an empty line, the Origin.
//   Content-Type: text/event-stream CRLF ... CRLF  Access-Control-Allow-Origin: * CRLF ... CRLF  https://a.example
[[nodiscard]] std::string serialize(const StreamHead& head);
// nullopt for what serialize() does not write.
[[nodiscard]] std::optional<StreamHead> parse_stream_head(std::string_view text);

struct ClientHead {
  bool is_chunked = true;  // HTTP/1.1; else close-delimited.
  bool keep_alive = true;
  std::string_view resume;                    // Ssequel-Resume; empty: left out.
  const http::Fields* cors = nullptr;         // For this client's Origin; null: none.
  const http::Fields* set_cookies = nullptr;  // Set-Cookie lines of this client's own response.
  bool via = false;
};
// Status line 200, fields, empty line.
void append_client_head(std::string& out, const StreamHead& head, const ClientHead& client);

// The head of an answer without data, where no verdict of the upstream's exists: the request's own Origin is allowed,
// with credentials, so that a page's EventSource stays alive and learns nothing.
void append_bare_head(std::string& out, std::optional<std::string_view> origin, bool is_chunked, bool keep_alive,
                      std::string_view resume = {});

// 200 with a content type that this route makes events of.
[[nodiscard]] bool is_event_stream(const http::ResponseHead& head, UpstreamFormat format) noexcept;
// Content-Type is text/event-stream, whatever the status.
[[nodiscard]] bool has_event_stream_type(const http::Fields& fields) noexcept;

}  // namespace ssequel::relay
