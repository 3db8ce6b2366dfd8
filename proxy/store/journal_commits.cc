// The journal file: what is written.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/assert.h"
#include "base/seeded_bug.h"
#include "store/journal_rows.h"
#include "store/layout.h"

namespace ssequel::store {
namespace {

constexpr std::size_t kMaxDroppedBlocks = 32;  // Of one log, in one commit or step.
constexpr std::size_t kMaxVacuumPages = 64;

// All that was committed of a log, from memory. Its loop may be evicting, and may not have published all of it yet.
bool copy_window(const Ledger& ledger, Change& whole) {
  const auto& log = *ledger.log;
  const auto end = ledger.progress.next;
  std::vector<replay::Run> runs;
  for (int attempt = 0; attempt < 2000; ++attempt) {
    whole = Change();
    auto place = log.first();
    whole.first = place;
    if (place != 0) whole.floor_id = log.id_before(place);
    const bool has_floor = place == 0 || !whole.floor_id.empty();
    while (has_floor && place < end && log.read(place, end, 16, JournalFile::kMaxBlock, runs) && !runs.empty()) {
      for (const auto& run : runs) {
        auto bytes = run.bytes;
        for (; place < run.end; ++place) {
          const auto framed = replay::unframe(bytes);
          bytes.remove_prefix(framed.framed_size);
          if (whole.blocks.empty() || whole.blocks.back().size() >= JournalFile::kMaxBlock) {
            whole.blocks.emplace_back();
            whole.blocks.back().first = place;
          }
          const auto origin = log.origin_of(place);
          whole.blocks.back().append(
              {.place = place, .number = 0, .origin = origin, .last_id = {}, .frame = framed.frame});
        }
      }
    }
    if (has_floor && place >= end) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// With rows that its window does not need.
bool is_lagging(const Ledger& ledger) {
  return !ledger.kept.empty() && ledger.kept.front().end < ledger.progress.first;
}

}  // namespace

void Change::merge(Change&& later) {
  for (auto& block : later.blocks) {
    if (!blocks.empty() && blocks.back().end() == block.first &&
        blocks.back().size() + block.size() <= JournalFile::kMaxBlock) {
      blocks.back().append(block);
    } else {
      blocks.push_back(std::move(block));
    }
  }
  if (later.next_number) next_number = later.next_number;
  if (later.last_id) last_id = std::move(later.last_id);
  if (later.head) head = std::move(later.head);
  if (later.retry_ms) retry_ms = later.retry_ms;
  ends.insert(ends.end(), later.ends.begin(), later.ends.end());
  if (later.first > first) {
    first = later.first;
    floor_id = std::move(later.floor_id);
  }
  forget = forget || later.forget;
}

// ------------------------------------------------------------------------------------------------------- commits

Result<void> JournalFile::commit(const std::vector<std::shared_ptr<Ledger>>& ledgers, std::int64_t unix_ms) {
  // A disk slow enough for what was sent and is not held to be seen.
  if (seeded_bug("emit-before-persist")) std::this_thread::sleep_for(Millis(100));
  std::vector<Outcome> after;
  after.reserve(ledgers.size());
  const auto last_block = last_block_;
  auto done = transact([&]() -> Result<void> {
    for (const auto& ledger : ledgers) {
      after.push_back({.progress = ledger->progress, .added = {}, .dropped = 0});
      SSEQUEL_TRY(write(*ledger, after.back(), unix_ms));
    }
    return {};
  });
  if (!done) {
    last_block_ = last_block;
    return done;
  }
  for (std::size_t i = 0; i < ledgers.size(); ++i) {
    auto& ledger = *ledgers[i];
    auto& staged = ledger.staged;
    if (staged.forget) {
      if (ledger.is_inserted) forgotten_.push_back({.id = ledger.id, .kept = std::exchange(ledger.kept, {})});
      lagging_.erase(ledgers[i]);
      ledger.is_inserted = false;
    } else {
      ledger.is_inserted = true;
      ledger.progress = std::move(after[i].progress);
      ledger.kept.erase(ledger.kept.begin(), ledger.kept.begin() + static_cast<std::ptrdiff_t>(after[i].dropped));
      ledger.kept.insert(ledger.kept.end(), after[i].added.begin(), after[i].added.end());
      ledger.updated_at = unix_ms;
      if (staged.head) ledger.head = std::move(*staged.head);
      if (staged.retry_ms) ledger.retry_ms = staged.retry_ms;
      ledger.head_sum = head_sum(ledger);
      if (is_lagging(ledger)) lagging_.insert(ledgers[i]);
    }
    staged = Change();
  }
  return done;
}

Result<void> JournalFile::write(Ledger& ledger, Outcome& outcome, std::int64_t unix_ms) {
  auto& next = outcome.progress;
  const auto& staged = ledger.staged;
  if (staged.forget) {
    if (!ledger.is_inserted) return {};
    --staged_logs_;
    SSEQUEL_TRY(note_given(ledger.record, ledger.progress.next_number));
    SSEQUEL_TRY(sql_.delete_progress.run(ledger.id));
    return sql_.forget_log.run(ledger.id);
  }
  if (!ledger.is_inserted || staged.head || staged.retry_ms) {
    Ledger changed;
    changed.id = ledger.is_inserted ? ledger.id : ++last_id_;
    changed.record = ledger.record;
    changed.head = staged.head ? *staged.head : ledger.head;
    changed.retry_ms = staged.retry_ms ? staged.retry_ms : ledger.retry_ms;
    ledger.id = changed.id;
    ledger.head_sum = head_sum(changed);
    if (ledger.is_inserted) {
      SSEQUEL_TRY(sql_.update_head.run(changed.head, changed.retry_ms, ledger.head_sum, changed.id));
    } else {
      ++staged_logs_;
      next.next_number = ledger.record.first_number;
      const auto& record = ledger.record;
      SSEQUEL_TRY(sql_.insert_log.run(
          ledger.id, Statement::blob(record.key), record.route, Statement::blob(record.signature),
          record.is_session ? "session" : "shared", record.method, record.target, record.host, record.form.tag,
          record.form.carries_origin, decimal(record.form, record.first_number), ulid(record.form, record.first_number),
          record.has_start, record.strategy, Statement::blob(record.identity), record.path, record.origin, changed.head,
          changed.retry_ms, ledger.head_sum, Statement::blob(record.reattach)));
    }
  }
  if (!staged.blocks.empty()) {
    SSEQUEL_ASSERT(staged.blocks.front().first == next.next, "a log is journalled without a hole");
    SSEQUEL_TRY(write_blocks(ledger, outcome, unix_ms));
    next.next = staged.blocks.back().end();
    next.is_loss_untold = false;
  }
  if (staged.next_number) next.next_number = *staged.next_number;
  if (staged.last_id) next.last_id = *staged.last_id;
  if (staged.first > next.first) {
    next.first = staged.first;
    next.floor_id = staged.floor_id;
  }
  next.ends.insert(next.ends.end(), staged.ends.begin(), staged.ends.end());
  std::erase_if(next.ends, [&](const replay::End& end) { return end.at < next.first; });
  if (next.ends.size() > kMaxEnds) next.ends.erase(next.ends.begin() + 1, next.ends.end() - (kMaxEnds - 1));
  SSEQUEL_TRY(write_progress(ledger, next, ledger.head_sum, unix_ms));
  auto dropped = drop_blocks(ledger.kept, next.first);
  if (!dropped) return tl::unexpected(dropped.error());
  outcome.dropped = *dropped;
  return {};
}

Result<void> JournalFile::write_blocks(const Ledger& ledger, Outcome& outcome, std::int64_t unix_ms) {
  for (const auto& block : ledger.staged.blocks) {
    SSEQUEL_TRY(sql_.insert_block.run(
        ++last_block_, ledger.id, block.first, block.count, unix_ms, Statement::blob(block.frames),
        block.origins.empty() ? std::optional<Statement::Blob>() : Statement::blob(block.origins),
        block_sum(ledger.id, block.first, block.count, unix_ms, block.frames, block.origins)));
    outcome.added.push_back({.id = last_block_, .end = block.end()});
  }
  return {};
}

Result<void> JournalFile::write_progress(const Ledger& ledger, const Progress& progress, std::uint64_t of_head,
                                         std::int64_t unix_ms) {
  const auto ends = spell(progress.ends);
  const auto& form = ledger.record.form;
  is_commit_noted_ = true;
  const auto number = commits_ + 1;
  return sql_.put_progress.run(ledger.id, progress.first, progress.floor_id, progress.next,
                               decimal(form, progress.next_number), ulid(form, progress.next_number), progress.last_id,
                               ends, progress.is_loss_untold, unix_ms,
                               progress_sum(ledger, progress, ends, of_head, unix_ms, number), number);
}

Result<void> JournalFile::note_given(const replay::LogRecord& record, replay::Number next_number) {
  if (!record.form.tag.empty() || !record.is_sequence()) return {};
  auto highest = meta("highest");
  if (!highest) return tl::unexpected(highest.error());
  const auto given = static_cast<std::int64_t>(next_number) - 1;
  if (given > highest->value_or(0)) SSEQUEL_TRY(set_meta("highest", given));
  if (!record.has_start) return {};
  return sql_.put_given.run(Statement::blob(record.start_key()), given);
}

Result<std::size_t> JournalFile::drop_blocks(const std::deque<KeptBlock>& kept, replay::Place first) {
  std::size_t dropped = 0;
  for (const auto& block : kept) {
    // The block with the entry before the window stays: its id is the window's floor.
    if (block.end >= first || dropped == kMaxDroppedBlocks) break;
    SSEQUEL_TRY(sql_.delete_block.run(block.id));
    ++dropped;
  }
  return dropped;
}

Result<bool> JournalFile::tidy() {
  std::size_t dropped = 0;
  const auto drop = [&](const std::deque<KeptBlock>& kept, replay::Place first) -> Result<void> {
    auto done = drop_blocks(kept, first);
    if (!done) return tl::unexpected(done.error());
    dropped = *done;
    return {};
  };
  const auto take_dropped = [&](std::deque<KeptBlock>& kept) {
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(dropped));
    may_shrink_ = true;
  };
  if (!lagging_.empty()) {
    const auto ledger = *lagging_.begin();
    SSEQUEL_TRY(transact([&] { return drop(ledger->kept, ledger->progress.first); }));
    take_dropped(ledger->kept);
    if (!is_lagging(*ledger)) lagging_.erase(ledger);
    return true;
  }
  if (!forgotten_.empty()) {
    auto& log = forgotten_.back();
    const auto drop_some = [&]() -> Result<void> {
      SSEQUEL_TRY(drop(log.kept, replay::ReplayLog::kNoPlace));
      return dropped == log.kept.size() ? sql_.delete_log.run(log.id) : Result<void>();
    };
    SSEQUEL_TRY(transact(drop_some));
    take_dropped(log.kept);
    if (log.kept.empty()) forgotten_.pop_back();
    return true;
  }
  auto free = database_.ask("PRAGMA freelist_count");
  if (!free) return tl::unexpected(free.error());
  auto pages = database_.ask("PRAGMA page_count");
  if (!pages) return tl::unexpected(pages.error());
  // Free pages are used again; many of them are given back.
  if (free->value_or(0) < std::max<std::int64_t>(128, pages->value_or(0) / 4)) {
    may_shrink_ = false;
    return false;
  }
  SSEQUEL_TRY(database_.run(fmt::format("PRAGMA incremental_vacuum({})", kMaxVacuumPages)));
  return true;
}

Result<bool> JournalFile::finish_checkpoint() {
  int pages = 0, moved = 0;
  const int result = sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
  if (result != SQLITE_OK && result != SQLITE_BUSY) return tl::unexpected(database_.error("checkpoint"));
  if (result == SQLITE_OK && pages == moved) wal_pages_ = 0;
  return result == SQLITE_OK && pages == moved;
}

bool JournalFile::restage(Ledger& ledger) {
  Change whole;
  auto& progress = ledger.progress;
  replay::Place first = 0;
  if (ledger.is_inserted && !copy_window(ledger, whole)) return false;
  if (ledger.is_inserted) {
    first = whole.first;
    whole.next_number = progress.next_number;
    whole.last_id = progress.last_id;
    whole.ends = progress.ends;
  }
  whole.head = ledger.head;
  whole.retry_ms = ledger.retry_ms;
  whole.merge(std::exchange(ledger.staged, {}));
  ledger.staged = std::move(whole);
  progress = Progress();
  progress.next = first;
  ledger.is_inserted = false;
  ledger.kept.clear();
  return true;
}

}  // namespace ssequel::store
