#include "relay/path_pattern.h"

namespace ssequel::relay {
namespace {

// Takes the first segment off: "/a/b" gives "a" and leaves "/b".
std::string_view take(std::string_view& path) noexcept {
  path.remove_prefix(1);
  const auto segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

}  // namespace

bool path_matches(std::string_view pattern, std::string_view path) noexcept {
  if (!path.starts_with('/')) return pattern == path;  // "*" of OPTIONS
  // Greedy with one place to come back to: the last `**` seen, which then swallows one segment more.
  std::string_view retry_pattern;
  std::string_view retry_path;
  bool can_retry = false;
  for (;;) {
    if (pattern.empty() && path.empty()) return true;
    if (!pattern.empty()) {
      auto rest = pattern;
      const auto wanted = take(rest);
      if (wanted == "**") {
        pattern = rest;
        retry_pattern = rest;
        retry_path = path;
        can_retry = true;
        continue;
      }
      if (!path.empty()) {
        auto path_rest = path;
        const auto segment = take(path_rest);
        if (wanted == "*" || wanted == segment) {
          pattern = rest;
          path = path_rest;
          continue;
        }
      }
    }
    if (!can_retry || retry_path.empty()) return false;
    take(retry_path);
    pattern = retry_pattern;
    path = retry_path;
  }
}

}  // namespace ssequel::relay
