// Heads and chunks to bytes. Values that come from outside were checked by the parser; what we make ourselves is
// checked here: a field with CR, LF or NUL never leaves the house.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ssequel::http {

void append_request_line(std::string& out, std::string_view method, std::string_view target);  // HTTP/1.1
void append_status_line(std::string& out, int status, std::string_view reason);                // HTTP/1.1
// Nothing is appended, and false returned, if name is no token or value holds CR, LF, NUL or another control but HTAB.
bool append_field(std::string& out, std::string_view name, std::string_view value);

// "HEX\r\n" for a chunk of that size; the content and "\r\n" follow.
void append_chunk_header(std::string& out, std::uint64_t size);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// A whole answer of our own with an application/problem+json content (RFC 9457): status, title, detail. With
// Content-Length, Date-less, `Connection: close` if close. head_only: for HEAD. extra: more field lines, each with
// CRLF.
[[nodiscard]] std::string problem_response(int status, std::string_view detail, bool close, bool head_only,
                                           std::string_view extra = {});

[[nodiscard]] bool is_token(std::string_view text) noexcept;        // RFC 9110 §5.6.2
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;  // No controls but HTAB.

}  // namespace ssequel::http
