// A YAML file as a tree that remembers where everything stands. yaml-cpp reads the file (YAML 1.2) and ends here, its
// exceptions too. What a configuration has no use for is a problem: several documents, anchors' aliases, merge keys,
// tags, keys that are no plain words, repeated keys (YAML 1.2.2 §3.2.1.3 wants keys unique; yaml-cpp does not look).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_problem.h"

namespace ssequel::app::config {

inline constexpr std::size_t kFileMax = 1024 * 1024;
inline constexpr std::size_t kDepthMax = 16;      // Lists and maps inside one another; the configuration needs six.
inline constexpr std::size_t kKeysMax = 1000;     // In one map.
inline constexpr std::size_t kItemsMax = 10'000;  // In one list.

struct Entry;

struct Node {
  enum class Kind { Null, Scalar, Sequence, Map } kind = Kind::Null;
  Mark mark;
  std::string text;            // Scalar, as it stands in the file, unquoted.
  bool is_quoted = false;      // Scalar: true for "…", '…' and block scalars.
  std::vector<Node> items;     // Sequence
  std::vector<Entry> entries;  // Map: in the order of the file, each key once.
};

struct Entry {
  std::string key;
  Mark mark;  // Of the key.
  Node value;
};

// The one document of the file; a Null node if there is none. Nothing if the file is too large, not UTF-8, or no YAML;
// then, as for repeated keys and the like, problems tell.
[[nodiscard]] std::optional<Node> read_tree(std::string_view yaml, Problems& problems);

}  // namespace ssequel::app::config
