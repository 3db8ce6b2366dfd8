// Percent-encoding (RFC 3986 §2.1).
#pragma once

#include <string>
#include <string_view>

namespace ssequel {

// Once; a % that no two hexadecimal digits follow stays, and so does a plus.
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace ssequel
