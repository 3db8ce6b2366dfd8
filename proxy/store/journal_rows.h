// What the rows of the journal are made of, and how their sums are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/journal_file.h"

namespace ssequel::store {

[[nodiscard]] Error damaged(std::string what);
// "17 clean 40 broken"
[[nodiscard]] std::string spell(const std::vector<replay::End>& ends);
[[nodiscard]] std::optional<std::vector<replay::End>> parse_ends(std::string_view text);

[[nodiscard]] std::int64_t block_sum(std::uint64_t log, replay::Place first, std::uint64_t count, std::int64_t at,
                                     std::string_view frames, std::string_view origins);
[[nodiscard]] std::uint64_t head_sum(const Ledger& ledger);
[[nodiscard]] std::int64_t progress_sum(const Ledger& ledger, const Progress& progress, std::string_view ends,
                                        std::uint64_t of_head, std::int64_t unix_ms, std::uint64_t commit_number);
// A number has one of two columns, by how the log spells it; the other one is 0, or empty.
[[nodiscard]] std::uint64_t decimal(const replay::IdForm& form, replay::Number number);
[[nodiscard]] std::string ulid(const replay::IdForm& form, replay::Number number);

// Stops the calling function at an error, and passes it on.
#define SSEQUEL_TRY(expression)                           \
  do {                                                    \
    auto attempt = (expression);                          \
    if (!attempt) return tl::unexpected(attempt.error()); \
  } while (false)

}  // namespace ssequel::store
