// A route's path pattern: segments between slashes, `*` is one segment, `**` any number, none too. Works on the raw
// bytes of a path, as they came: no decoding, no dot removal, so that what is matched is what the upstream sees.
#pragma once

#include <string_view>

namespace ssequel::relay {

// "/events/**" matches "/events", "/events/" and "/events/a/b".
[[nodiscard]] bool path_matches(std::string_view pattern, std::string_view path) noexcept;

}  // namespace ssequel::relay
