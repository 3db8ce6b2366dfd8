// The command line: what to do, and with which settings.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace ssequel::app {

// Runs the program; the exit code. 0; 2 for a configuration or an address in use; 128 + n after a second signal.
int run_command_line(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace ssequel::app
