// Nothing but the way in: the command line is app/command_line.h.
#include <iostream>
#include <string>
#include <vector>

#include "app/command_line.h"

int main(int count, char** values) {
  return ssequel::app::run_command_line(std::vector<std::string>(values + 1, values + count), std::cout, std::cerr);
}
