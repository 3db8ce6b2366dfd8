#pragma once

namespace ssequel::app {

inline constexpr const char* kVersion = SSEQUEL_VERSION;  // From CMakeLists.txt.

}  // namespace ssequel::app
