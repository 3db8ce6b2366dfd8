// SHA-256 by libcrypto: names for things whose parts must not be readable (credentials in a key) or chosen to collide.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace ssequel {

using Digest = std::array<std::byte, 32>;
[[nodiscard]] Digest sha256(std::string_view bytes);

}  // namespace ssequel
