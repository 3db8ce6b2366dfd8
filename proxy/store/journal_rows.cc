#include "store/journal_rows.h"

#include <charconv>

namespace ssequel::store {

Error damaged(std::string what) { return {ErrorCode::Malformed, "the journal is damaged: " + std::move(what)}; }

std::uint64_t decimal(const replay::IdForm& form, replay::Number number) {
  return form.spelling == replay::Spelling::Decimal ? static_cast<std::uint64_t>(number) : 0;
}

std::string ulid(const replay::IdForm& form, replay::Number number) {
  std::string text;
  if (form.spelling == replay::Spelling::Ulid) replay::append_number(text, form.spelling, number);
  return text;
}

std::string spell(const std::vector<replay::End>& ends) {
  std::string text;
  for (const auto& end : ends) {
    if (!text.empty()) text += ' ';
    text += std::to_string(end.at);
    text += end.is_clean ? " clean" : " broken";
  }
  return text;
}

std::optional<std::vector<replay::End>> parse_ends(std::string_view text) {
  std::vector<replay::End> ends;
  while (!text.empty()) {
    replay::End end;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), end.at);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    constexpr std::string_view kClean = " clean", kBroken = " broken";
    end.is_clean = text.starts_with(kClean);
    if (!end.is_clean && !text.starts_with(kBroken)) return std::nullopt;
    text.remove_prefix(end.is_clean ? kClean.size() : kBroken.size());
    if (text.starts_with(' ')) text.remove_prefix(1);
    ends.push_back(end);
  }
  return ends;
}

std::int64_t block_sum(std::uint64_t log, replay::Place first, std::uint64_t count, std::int64_t at,
                       std::string_view frames, std::string_view origins) {
  return RowSum().add(log).add(first).add(count).add(static_cast<std::uint64_t>(at)).add(frames).add(origins).value();
}

std::uint64_t head_sum(const Ledger& ledger) {
  const auto& record = ledger.record;
  RowSum sum;
  sum.add(ledger.id).add(record.key).add(record.route).add(record.signature).add(record.form.tag);
  sum.add(std::uint64_t{record.form.carries_origin}).add(decimal(record.form, record.first_number));
  sum.add(std::uint64_t{record.has_start});
  sum.add(std::uint64_t{record.is_session}).add(record.method).add(record.target).add(record.host);
  sum.add(record.identity).add(record.path).add(record.origin).add(ledger.head);
  sum.add(ledger.retry_ms ? *ledger.retry_ms + 1 : 0);
  // Rows of earlier versions keep their sums.
  if (record.form.spelling == replay::Spelling::Ulid) sum.add(ulid(record.form, record.first_number));
  if (!record.is_sequence()) sum.add(record.strategy);
  if (!record.reattach.empty()) sum.add(record.reattach);
  return static_cast<std::uint64_t>(sum.value());
}

std::int64_t progress_sum(const Ledger& ledger, const Progress& progress, std::string_view ends, std::uint64_t of_head,
                          std::int64_t unix_ms, std::uint64_t commit_number) {
  const auto& form = ledger.record.form;
  RowSum sum;
  sum.add(of_head)
      .add(ledger.id)
      .add(progress.first)
      .add(progress.floor_id)
      .add(progress.next)
      .add(decimal(form, progress.next_number))
      .add(progress.last_id)
      .add(ends)
      .add(std::uint64_t{progress.is_loss_untold})
      .add(static_cast<std::uint64_t>(unix_ms));
  if (form.spelling == replay::Spelling::Ulid) sum.add(ulid(form, progress.next_number));
  if (commit_number != 0) sum.add(commit_number);  // Rows of earlier versions keep their sums.
  return sum.value();
}

}  // namespace ssequel::store
