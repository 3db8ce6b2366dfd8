#include "store/block.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace ssequel;
using namespace ssequel::store;

namespace {

struct Given {
  std::string frame;
  std::optional<std::string> origin;
  friend bool operator==(const Given&, const Given&) = default;
};

Block block_of(replay::Place first, const std::vector<Given>& entries) {
  Block block{.first = first, .count = 0, .frames = {}, .origins = {}};
  for (const auto& entry : entries) {
    block.append({.place = block.end(),
                  .number = 1,
                  .origin = entry.origin ? std::optional<std::string_view>(*entry.origin) : std::nullopt,
                  .last_id = {},
                  .frame = entry.frame});
  }
  return block;
}

std::vector<Given> read(const Block& block) {
  std::vector<Given> entries;
  BlockReader reader(block.frames, block.origins);
  while (const auto entry = reader.next()) {
    entries.push_back(
        {std::string(entry->frame), entry->origin ? std::optional<std::string>(*entry->origin) : std::nullopt});
  }
  CHECK(reader.is_at_end());
  return entries;
}

}  // namespace

TEST_CASE("a block gives back what it was made of, and is the event stream itself") {
  const std::vector<Given> entries = {
      {"id: 1\ndata: a\n\n", std::nullopt}, {"id: 2\ndata: b\ndata:\n\n", "o-2"}, {"id: 3\n\n", std::nullopt}};
  const auto block = block_of(7, entries);
  CHECK(block.end() == 10);
  CHECK(block.frames == "id: 1\ndata: a\n\nid: 2\ndata: b\ndata:\n\nid: 3\n\n");
  CHECK(block.origins == "\no-2\n\n");
  CHECK(read(block) == entries);
}

TEST_CASE("an empty origin id, or one too long to come back with, is none") {
  const auto block = block_of(0, {{"id: 1\n\n", ""}, {"id: 2\n\n", std::string(replay::kMaxOrigin + 1, 'x')}});
  CHECK(block.origins.empty());
  CHECK(read(block).front().origin == std::nullopt);
}

TEST_CASE("blocks joined are the block of all their entries, whichever of them have origin ids") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Given> entries;
    const auto count = 2 + random() % 8;
    for (std::size_t i = 0; i < count; ++i) {
      entries.push_back({"id: " + std::to_string(i) + "\ndata: x\n\n", std::nullopt});
      if (random() % 3 == 0) entries.back().origin = "o" + std::to_string(i);
    }
    const auto cut = 1 + static_cast<std::ptrdiff_t>(random() % (count - 1));
    auto joined = block_of(5, {entries.begin(), entries.begin() + cut});
    joined.append(block_of(joined.end(), {entries.begin() + cut, entries.end()}));
    const auto whole = block_of(5, entries);
    CHECK(joined.frames == whole.frames);
    CHECK(joined.count == whole.count);
    CHECK(read(joined) == entries);
  }
}

TEST_CASE("bytes that are no block are not read as one") {
  const auto all_read = [](std::string_view frames, std::string_view origins) {
    BlockReader reader(frames, origins);
    while (reader.next()) {
    }
    return reader.is_at_end();
  };
  CHECK(all_read("id: 1\n\n", ""));
  CHECK_FALSE(all_read("id: 1\n", ""));
  CHECK_FALSE(all_read("id: 1\n\nid: 2", ""));
  CHECK_FALSE(all_read("id: 1\n\n", "a\nb\n"));
  CHECK_FALSE(all_read("id: 1\n\nid: 2\n\n", "a\n"));
  CHECK_FALSE(all_read("id: 1\n\n", "a"));
}

TEST_CASE("a sum tells where one value ends and the next begins") {
  CHECK(RowSum().add("ab").add("c").value() != RowSum().add("a").add("bc").value());
  CHECK(RowSum().add("").add("a").value() != RowSum().add("a").add("").value());
  CHECK(RowSum().add(std::uint64_t{1}).value() != RowSum().add(std::uint64_t{2}).value());
}
