// Cuts that follow from the input itself, so that a crash file alone repeats a crash.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

// Cuts bytes into pieces of 1 to 16, chosen by what stands in seed.
inline std::vector<std::string_view> cut_by(std::string_view bytes, std::string_view seed) {
  std::uint32_t state = 2166136261;
  for (const char c : seed) state = (state ^ static_cast<unsigned char>(c)) * 16777619;
  std::vector<std::string_view> pieces;
  while (!bytes.empty()) {
    state = state * 1664525 + 1013904223;
    const auto piece = bytes.substr(0, 1 + (state >> 28));
    pieces.push_back(piece);
    bytes.remove_prefix(piece.size());
  }
  return pieces;
}
