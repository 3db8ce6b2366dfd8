#include "net/symlinks.h"

#include <filesystem>
#include <system_error>
#include <vector>

namespace ssequel::net {
namespace {

namespace fs = std::filesystem;

constexpr int kMostSymlinks = 40;  // As the kernel (path_resolution(7)).

// The components of a path, the next one last.
void push_components(std::vector<fs::path>& rest, const fs::path& path) {
  std::vector<fs::path> components(path.begin(), path.end());
  rest.insert(rest.end(), components.rbegin(), components.rend());
}

}  // namespace

Resolution resolve_path(const std::string& path) {
  Resolution out;
  std::error_code error;
  std::vector<fs::path> rest;
  push_components(rest, fs::absolute(path, error));
  fs::path at = "/";
  int symlinks = 0;
  while (!rest.empty()) {
    const auto component = rest.back();
    rest.pop_back();
    if (component.empty() || component == "." || component == "/") continue;
    if (component == "..") {
      at = at.parent_path();
      continue;
    }
    const auto status = fs::symlink_status(at / component, error);
    const bool is_missing = !fs::exists(status);
    const bool is_symlink = fs::is_symlink(status);
    // The entry is one that may be swapped: a symlink, the end of the path, or what has yet to come.
    if (is_symlink || is_missing || rest.empty()) out.folders.insert(at.string());
    if (is_missing) {
      at /= component;
      break;
    }
    if (!is_symlink) {
      at /= component;
      continue;
    }
    const auto target = fs::read_symlink(at / component, error);
    if (error || ++symlinks > kMostSymlinks) break;
    if (target.is_absolute()) at = "/";
    push_components(rest, target);
  }
  out.target = at.string();
  return out;
}

}  // namespace ssequel::net
