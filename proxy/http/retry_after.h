// The field Retry-After (RFC 9110 §10.2.3): how long to wait, or until when.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ssequel::http {

// Seconds from unix_seconds on; 0 for a date that has passed. nullopt for what is neither a number nor a date. A number
// too large for its type counts as the greatest.
[[nodiscard]] std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, std::int64_t unix_seconds);

// An HTTP-date (RFC 9110 §5.6.7) in any of its three formats, as seconds since 1970-01-01 UTC.
[[nodiscard]] std::optional<std::int64_t> parse_http_date(std::string_view text);

}  // namespace ssequel::http
