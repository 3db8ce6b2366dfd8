// As much JSON (RFC 8259) as frames need: is this one object, and how is a string written. Values are never built.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ssequel::sse::json {

// Objects and arrays inside each other; deeper texts count as no object.
inline constexpr std::size_t kMaxDepth = 512;

// True if text is exactly one object, with optional white space around it. Strict as to RFC 8259's grammar; bytes from
// 0x80 on are taken as they are. Linear in time, constant in memory.
[[nodiscard]] bool is_object(std::string_view text);

// Appends text as a string in quotes, safe on one line of an event stream. Each byte that is not of a UTF-8 character
// becomes U+FFFD.
void append_string(std::string& out, std::string_view text);

// The longest beginning of text, in whole characters, that has at most max_bytes bytes once what is not UTF-8 has
// become U+FFFD; returned with that done.
[[nodiscard]] std::string cut_utf8(std::string_view text, std::size_t max_bytes);

}  // namespace ssequel::sse::json
