// Base 62 (0-9A-Za-z): ids made of it stand in a header field, a URL and a CORS-safelisted value without escapes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ssequel::base62 {

// A bijection between byte strings of at most 64 bytes and texts: leading zero bytes are kept, as leading '0's.
[[nodiscard]] std::string encode(std::string_view bytes);

// Nothing if the text has a foreign character, is over 100 characters, or was not made by encode().
[[nodiscard]] std::optional<std::string> decode(std::string_view text);

// 16 random bytes as a text of exactly kTagLength characters.
inline constexpr std::size_t kTagLength = 22;  // 62^22 > 2^128
[[nodiscard]] std::string encode_tag(std::span<const std::byte, 16> bits);
[[nodiscard]] bool is_tag(std::string_view text) noexcept;

}  // namespace ssequel::base62
