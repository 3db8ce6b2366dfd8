// The journal file: what is read, at start.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/seeded_bug.h"
#include "store/journal_rows.h"

namespace ssequel::store {

// ---------------------------------------------------------------------------------------------------------- load

Result<std::vector<std::shared_ptr<Ledger>>> JournalFile::load_ledgers() {
  auto rows = database_.prepare(
      "SELECT l.id, l.key, l.route, l.signature, l.kind, l.method, l.target, l.host, l.tag, l.carries_origin, "
      "l.first_number, l.has_start, l.identity, l.path, l.origin, l.head, l.retry_ms, p.first, p.next, p.next_number, "
      "p.last_id, p.ends, p.loss_untold, p.updated_at, p.sum, p.floor_id, l.first_ulid, l.strategy, p.next_ulid, "
      "l.reattach, p.commit_number "
      "FROM logs l LEFT JOIN progress p ON p.log=l.id WHERE l.forgotten=0 ORDER BY p.updated_at DESC, l.id DESC");
  if (!rows) return tl::unexpected(rows.error());
  std::vector<std::shared_ptr<Ledger>> ledgers;
  auto row = rows->step();
  for (; row && *row; row = rows->step()) {
    auto ledger = std::make_shared<Ledger>();
    ledger->id = rows->number(0);
    auto& record = ledger->record;
    record.key = rows->bytes(1);
    record.route = rows->bytes(2);
    record.signature = rows->bytes(3);
    record.is_session = rows->bytes(4) == "session";
    record.method = rows->bytes(5);
    record.target = rows->bytes(6);
    record.host = rows->bytes(7);
    record.form.tag = rows->bytes(8);
    record.form.carries_origin = rows->integer(9) != 0;
    const auto number = [&](std::string_view ulid, int column) -> replay::Number {
      if (ulid.empty()) return rows->number(column);
      return replay::parse_number(ulid, replay::Spelling::Ulid).value_or(0);
    };
    if (!rows->bytes(26).empty()) record.form.spelling = replay::Spelling::Ulid;
    record.first_number = number(rows->bytes(26), 10);
    record.strategy = rows->bytes(27);
    record.has_start = rows->integer(11) != 0;
    record.identity = rows->bytes(12);
    record.path = rows->bytes(13);
    record.origin = rows->bytes(14);
    record.reattach = rows->bytes(29);
    ledger->head = rows->bytes(15);
    if (!rows->is_null(16)) ledger->retry_ms = rows->number(16);
    auto& progress = ledger->progress;
    progress.first = rows->number(17);
    progress.next = rows->number(18);
    progress.next_number = number(rows->bytes(28), 19);
    progress.last_id = rows->bytes(20);
    progress.floor_id = rows->bytes(25);
    auto ends = parse_ends(rows->bytes(21));
    progress.is_loss_untold = rows->integer(22) != 0;
    ledger->updated_at = rows->integer(23);
    ledger->is_inserted = true;
    ledger->head_sum = head_sum(*ledger);
    if (ends) progress.ends = std::move(*ends);
    if (rows->is_null(24) || progress_sum(*ledger, progress, rows->bytes(21), ledger->head_sum, ledger->updated_at,
                                          rows->number(30)) != rows->integer(24)) {
      return tl::unexpected(damaged(fmt::format("the checksum of log {} is wrong", ledger->id)));
    }
    if (seeded_bug("end-not-restored")) progress.ends.clear();
    if (seeded_bug("last-id-not-restored")) progress.last_id.clear();
    ledgers.push_back(std::move(ledger));
  }
  if (!row) return tl::unexpected(row.error());
  if (static_cast<std::int64_t>(ledgers.size()) != logs_) {
    return tl::unexpected(damaged(fmt::format("{} logs instead of {}", ledgers.size(), logs_)));
  }
  return ledgers;
}

Result<GivenNumbers> JournalFile::load_given(const std::vector<std::shared_ptr<Ledger>>& ledgers) {
  GivenNumbers given;
  auto highest = meta("highest");
  if (!highest) return tl::unexpected(highest.error());
  auto forgotten_at = meta("forgotten_at");
  if (!forgotten_at) return tl::unexpected(forgotten_at.error());
  given.highest = static_cast<std::uint64_t>(highest->value_or(0));
  given.forgotten_at = static_cast<std::uint64_t>(forgotten_at->value_or(0));
  auto row = sql_.get_given.query();
  for (; row && *row; row = sql_.get_given.step()) {
    given.by_key.emplace_back(sql_.get_given.bytes(0), sql_.get_given.number(1));
  }
  sql_.get_given.reset();
  if (!row) return tl::unexpected(row.error());
  for (const auto& ledger : ledgers) {
    if (!ledger->record.form.tag.empty() || !ledger->record.is_sequence()) continue;
    const auto last = static_cast<std::uint64_t>(ledger->progress.next_number) - 1;
    given.highest = std::max(given.highest, last);
    if (ledger->record.has_start) given.by_key.emplace_back(ledger->record.start_key(), last);
  }
  return given;
}

Result<JournalFile::Loaded> JournalFile::load(const BoundsOf& bounds_of, std::int64_t unix_ms, Millis now) {
  auto ledgers = load_ledgers();
  if (!ledgers) return tl::unexpected(ledgers.error());
  Loaded loaded;
  auto given = load_given(*ledgers);
  if (!given) return tl::unexpected(given.error());
  loaded.given = std::move(*given);
  if (is_loss_unwritten_) {
    loaded.given.forgotten_at = static_cast<std::uint64_t>(unix_ms) * 1000;
    for (auto& ledger : *ledgers) note_loss(*ledger, unix_ms);
  }
  auto found = load_places(*ledgers);
  if (!found) return tl::unexpected(found.error());
  for (auto& ledger : *ledgers) {
    const auto bounds = bounds_of(ledger->record);
    if (!bounds) {
      loaded.unwanted.push_back(std::move(ledger));
      continue;
    }
    auto log = load_log(*ledger, *bounds, unix_ms, now);
    if (!log) return tl::unexpected(log.error());
    ledger->log = *log;
    loaded.logs.emplace_back(std::move(ledger), std::move(*log));
  }
  return loaded;
}

Result<void> JournalFile::load_places(const std::vector<std::shared_ptr<Ledger>>& ledgers) {
  auto logs = database_.prepare("SELECT id FROM logs WHERE forgotten=1");
  if (!logs) return tl::unexpected(logs.error());
  forgotten_.clear();
  auto row = logs->step();
  for (; row && *row; row = logs->step()) forgotten_.push_back({.id = logs->number(0), .kept = {}});
  if (!row) return tl::unexpected(row.error());
  std::unordered_map<std::uint64_t, std::deque<KeptBlock>*> of_log;
  for (const auto& ledger : ledgers) {
    ledger->kept.clear();
    of_log.emplace(ledger->id, &ledger->kept);
  }
  for (auto& log : forgotten_) of_log.emplace(log.id, &log.kept);
  auto blocks = database_.prepare("SELECT id, log, first + count FROM blocks ORDER BY id");
  if (!blocks) return tl::unexpected(blocks.error());
  row = blocks->step();
  for (; row && *row; row = blocks->step()) {
    const auto at = of_log.find(blocks->number(1));
    if (at == of_log.end()) return tl::unexpected(damaged("entries of no log"));
    at->second->push_back({.id = blocks->number(0), .end = blocks->number(2)});
  }
  if (!row) return tl::unexpected(row.error());
  return {};
}

Result<std::shared_ptr<replay::ReplayLog>> JournalFile::load_log(Ledger& ledger, const replay::Bounds& bounds,
                                                                 std::int64_t unix_ms, Millis now) {
  const auto& progress = ledger.progress;
  const auto wrong = [&](std::string_view what) {
    return tl::unexpected(damaged(fmt::format("{} in the entries of log {}", what, ledger.id)));
  };
  const auto& record = ledger.record;
  if (record.first_number == 0 || progress.first > progress.next) return wrong("impossible bounds");
  auto rows = database_.prepare("SELECT first, count, at, frames, origins, sum FROM blocks WHERE id=? AND log=?");
  if (!rows) return tl::unexpected(rows.error());
  std::shared_ptr<replay::ReplayLog> log;
  replay::Past past{.first = progress.first, .floor_id = {}, .floor_number = 0};
  const auto begin = [&] { log = std::make_shared<replay::ReplayLog>(record.form, record.first_number, bounds, past); };
  if (!progress.floor_id.empty()) {
    const auto parsed = replay::parse_id(progress.floor_id);
    if (!parsed.fits(record.form) || parsed.number + 1 < record.first_number) {
      return wrong("a foreign id");
    }
    past.floor_id = progress.floor_id;
    past.floor_number = parsed.number;
  }
  if (seeded_bug("number-not-restored")) {
    replay::append_id(past.floor_id, record.form, record.first_number - 1, {});
    past.first = progress.next;
    past.floor_number = record.first_number - 1;
    begin();
    return log;
  }
  if (progress.first == 0 || !progress.floor_id.empty()) begin();
  auto end = progress.ends.begin();
  const auto add_ends = [&](replay::Place place) {
    for (; end != progress.ends.end() && end->at <= place; ++end) {
      if (end->at == place && log) log->add_end(end->is_clean);
    }
  };
  std::optional<replay::Place> expected;
  for (const auto& block : ledger.kept) {
    auto row = rows->query(block.id, ledger.id);
    if (!row) return tl::unexpected(row.error());
    if (!*row) return wrong("a missing row");
    const auto first = rows->number(0), count = rows->number(1);
    const auto frames = rows->bytes(3), origins = rows->bytes(4);
    if (block_sum(ledger.id, first, count, rows->integer(2), frames, origins) != rows->integer(5)) {
      return wrong("a wrong checksum");
    }
    if (expected ? *expected != first : first > progress.first) return wrong("a hole");
    const Millis at = now - std::max(Millis(0), Millis(unix_ms - rows->integer(2)));
    BlockReader reader(frames, origins);
    replay::Place place = first;
    for (auto entry = reader.next(); entry; entry = reader.next(), ++place) {
      if (place + 1 < progress.first) continue;
      const auto id = replay::id_of_frame(entry->frame);
      const auto parsed = replay::parse_id(id);
      if (!parsed.fits(record.form)) return wrong("a foreign id");
      if (!log) {
        if (place + 1 != progress.first) return wrong("no entry before the window");
        past.floor_id = id;
        past.floor_number = parsed.number;
        if (past.floor_number + 1 < record.first_number) return wrong("an id below the first");
        begin();
        continue;
      }
      add_ends(place);
      if (parsed.number < log->next_number() || parsed.number > replay::max_number(record.form.spelling))
        return wrong("an id out of order");
      if (seeded_bug("other-bytes-restored")) {
        log->append("id: " + std::string(id) + "\ndata: x\n\n", parsed.number, entry->origin, at);
        continue;
      }
      log->append(entry->frame, parsed.number, entry->origin, at);
    }
    if (!reader.is_at_end() || place != first + count) return wrong("half a frame");
    expected = place;
  }
  if (!log || expected.value_or(0) != progress.next || log->next_number() > progress.next_number) {
    return wrong("entries missing");
  }
  add_ends(progress.next);
  log->publish(log->appended());
  log->set_saved();
  log->skip_to(progress.next_number);
  log->evict(now, replay::ReplayLog::kNoPlace);
  return log;
}

}  // namespace ssequel::store
