// `ssequel window`: says how large a window must be, in words and as YAML to paste. The computation is window_size.h.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

namespace ssequel::app {

// The exit code: 0, or 2 for an argument that is wrong, said on err with what is allowed.
[[nodiscard]] int run_window_command(std::span<const std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace ssequel::app
