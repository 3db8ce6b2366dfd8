#include "store/block.h"

#include <zlib.h>

#include <array>

#include "base/assert.h"

namespace ssequel::store {

void Block::append(const replay::JournalEntry& entry) {
  SSEQUEL_ASSERT(entry.place == end(), "entries of a block are consecutive");
  SSEQUEL_ASSERT(entry.frame.ends_with("\n\n"), "a frame ends with its empty line");
  frames += entry.frame;
  const bool has_origin = entry.origin && !entry.origin->empty() && entry.origin->size() <= replay::kMaxOrigin;
  if (has_origin && origins.empty()) origins.assign(count, '\n');
  if (has_origin) origins += *entry.origin;
  if (!origins.empty()) origins += '\n';
  ++count;
}

void Block::append(const Block& next) {
  SSEQUEL_ASSERT(next.first == end(), "blocks of a log are consecutive");
  if (origins.empty() && !next.origins.empty()) origins.assign(count, '\n');
  if (!origins.empty() && next.origins.empty()) {
    origins.append(next.count, '\n');
  } else {
    origins += next.origins;
  }
  frames += next.frames;
  count += next.count;
}

std::optional<BlockReader::Entry> BlockReader::next() {
  const auto end = frames_.find("\n\n");
  if (end == std::string_view::npos) return std::nullopt;
  Entry entry;
  entry.frame = frames_.substr(0, end + 2);
  if (has_origins_) {
    const auto line = origins_.find('\n');
    if (line == std::string_view::npos) return std::nullopt;
    if (line != 0) entry.origin = origins_.substr(0, line);
    origins_.remove_prefix(line + 1);
  }
  frames_.remove_prefix(end + 2);
  return entry;
}

RowSum& RowSum::add(std::uint64_t value) noexcept {
  std::array<unsigned char, 8> bytes{};
  for (auto& byte : bytes) {
    byte = static_cast<unsigned char>(value);
    value >>= 8;
  }
  sum_ = static_cast<std::uint32_t>(crc32_z(sum_, bytes.data(), bytes.size()));
  return *this;
}

RowSum& RowSum::add(std::string_view bytes) noexcept {
  add(static_cast<std::uint64_t>(bytes.size()));
  if (!bytes.empty()) {
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    sum_ = static_cast<std::uint32_t>(crc32_z(sum_, data, bytes.size()));
  }
  return *this;
}

}  // namespace ssequel::store
