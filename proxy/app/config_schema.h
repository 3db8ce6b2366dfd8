// The table of keys for people: the reference that config/README.md holds.
#pragma once

#include <string>

namespace ssequel::app::config {

// Markdown: a table a section, in the order of the file.
[[nodiscard]] std::string reference();

}  // namespace ssequel::app::config
