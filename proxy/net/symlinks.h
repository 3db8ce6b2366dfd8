// Where a path really leads, and which folders decide about it. Private to net.
#pragma once

#include <set>
#include <string>

namespace ssequel::net {

struct Resolution {
  std::string target;             // The path without symlinks; where something is missing, as far as it goes.
  std::set<std::string> folders;  // A change of what the path leads to is a change of an entry in one of these.
};

// Follows the symlinks of a path, as open(2) would; a relative one starts at the working directory. A missing component
// ends it: the folder in which it would have to appear is among `folders`.
[[nodiscard]] Resolution resolve_path(const std::string& path);

}  // namespace ssequel::net
