// Consecutive entries of one log as a journal keeps them: frames back to back, each ended by its empty line, so that a
// block reads as the event stream it is. What was appended between two commits shares a block: a row an event would
// cost ten times as much.
//
//   frames   id: 41 LF data: a LF LF id: 42 LF data: b LF LF
//   origins  e-17 LF LF                                        one line a frame, empty for none; "" if none has one
//
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "replay/journal.h"

namespace ssequel::store {

struct Block {
  replay::Place first = 0;
  std::uint64_t count = 0;
  std::string frames;
  std::string origins;

  // The entry's place must be first + count.
  void append(const replay::JournalEntry& entry);
  // `next` begins where this one ends.
  void append(const Block& next);
  [[nodiscard]] replay::Place end() const noexcept { return first + count; }
  [[nodiscard]] std::size_t size() const noexcept { return frames.size() + origins.size(); }
};

// Takes a block apart. Views into the texts it was made of.
class BlockReader {
 public:
  BlockReader(std::string_view frames, std::string_view origins)
      : frames_(frames), origins_(origins), has_origins_(!origins.empty()) {}
  struct Entry {
    std::string_view frame;
    std::optional<std::string_view> origin;
  };
  // nullopt at the end, or where the bytes are no frame.
  [[nodiscard]] std::optional<Entry> next();
  [[nodiscard]] bool is_at_end() const noexcept { return frames_.empty() && origins_.empty(); }

 private:
  std::string_view frames_;
  std::string_view origins_;
  bool has_origins_;
};

// CRC-32 (ISO 3309, as zlib has it) of a row's values, so that damage is noticed.
class RowSum {
 public:
  RowSum& add(std::uint64_t value) noexcept;
  RowSum& add(std::string_view bytes) noexcept;  // With its length: "ab", "c" is not "a", "bc".
  [[nodiscard]] std::int64_t value() const noexcept { return static_cast<std::int64_t>(sum_); }

 private:
  std::uint32_t sum_ = 0;
};

}  // namespace ssequel::store
