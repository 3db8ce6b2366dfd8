// What both parsers of this room do with their buffers and with the start of a stream.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ssequel::sse {

// U+FEFF in UTF-8: taken away at the very start of a stream only.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Buffers are reused from event to event. One that a large event made larger than this is given back after it, since
// streams are many and their events mostly small.
inline constexpr std::size_t kKeptCapacity = 64 * 1024;

inline void clear(std::string& buffer) {
  if (buffer.capacity() > kKeptCapacity) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

}  // namespace ssequel::sse
