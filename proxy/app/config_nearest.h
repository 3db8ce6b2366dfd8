// "Did you mean ...?": the known word nearest to one that was not known.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ssequel::app::config {

// Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, replacements, and swaps of
// neighbours. Case, and `-` for `_`, make no difference.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest candidate at a distance of at most 2 or a third of the word's length, and below the length itself; the
// first of equals; empty if there is none.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace ssequel::app::config
