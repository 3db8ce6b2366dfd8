// What texts of the configuration may look like, and how secrets in them are masked. Pure.
#pragma once

#include <string>
#include <string_view>

namespace ssequel::app::config {

// RFC 9110 §5.6.2, at most 256 characters: names of fields, cookies and methods.
[[nodiscard]] bool is_token(std::string_view text);
// A token, or the first part of one with a `*` for any rest.
[[nodiscard]] bool is_field_pattern(std::string_view text);
[[nodiscard]] bool is_method(std::string_view text);  // A token of capitals that is proxied: no CONNECT, no TRACE.
[[nodiscard]] bool is_name(std::string_view text);    // A label: 1 to 256 visible ASCII characters, no quotes, no \.
[[nodiscard]] bool is_path(std::string_view text);    // Begins with /, no query, no fragment, RFC 3986 characters only.
[[nodiscard]] bool is_target(std::string_view text);  // A path, maybe with a query.
[[nodiscard]] bool is_path_pattern(std::string_view text);  // A path; `*` and `**` only as whole segments.
[[nodiscard]] bool is_parameter(std::string_view text);     // A query parameter's name, as it stands in a URL.
[[nodiscard]] bool is_sse_field(std::string_view text);  // A field of an event stream that has no meaning of its own.
[[nodiscard]] bool is_sql_name(std::string_view text);   // NAME or SCHEMA.NAME, unquoted identifiers.
[[nodiscard]] bool is_redis_prefix(std::string_view text);  // No braces: they would decide the hash slot.
[[nodiscard]] bool is_redis_url(std::string_view text);
[[nodiscard]] bool is_postgres_url(std::string_view text);

// redis://user:***@host/0?password=***: everything but the passwords.
[[nodiscard]] std::string mask_url(std::string_view url);
// True for names and values of fields that are likely credentials.
[[nodiscard]] bool is_credential(std::string_view field_name, std::string_view field_value);

}  // namespace ssequel::app::config
