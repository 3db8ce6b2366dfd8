// The files of the status page, as they stand in proxy/app/status, in the program. The build makes the rest
// (status/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace ssequel::app {

struct StatusPage {
  std::string_view path;
  std::string_view type;
  std::string_view content;
};
[[nodiscard]] std::span<const StatusPage> status_pages();

}  // namespace ssequel::app
