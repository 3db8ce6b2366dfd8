#include "store/journal_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/seeded_bug.h"
#include "store/journal_rows.h"
#include "store/layout.h"

namespace ssequel::store {
namespace {

constexpr std::size_t kTailDigits = 20;

std::string tail_path(const std::string& directory) { return directory + "/ssequel.tail"; }

}  // namespace

std::uint64_t jump_after(std::int64_t last_known_ms, std::int64_t now_ms) noexcept {
  constexpr std::int64_t kLeast = 1'000'000;
  constexpr std::int64_t kMost = INT64_MAX / 4;
  const std::int64_t passed = std::clamp<std::int64_t>(now_ms - last_known_ms, 0, kMost / 1000);
  return static_cast<std::uint64_t>(std::max(kLeast, passed * 1000));
}

replay::Number number_after_loss(const replay::LogRecord& record, replay::Number next, std::int64_t last_known_ms,
                                 std::int64_t now_ms) noexcept {
  const replay::Number jump = jump_after(last_known_ms, now_ms);
  replay::Number above = next;
  // Of time: they have gone on with it, and with a clock that was set back at least a second's worth. What another
  // server gives has not been lost with this one.
  if (record.is_sequence()) {
    above += jump;
  } else if (record.strategy == "snowflake") {
    above += jump / 1000 << 22;
  } else if (record.strategy == "ulid") {
    above += jump / 1000 << 80;
  }
  return std::min(above, replay::max_number(record.form.spelling));
}

// ---------------------------------------------------------------------------------------------------------- open

Result<std::unique_ptr<JournalFile>> JournalFile::open(const FileOptions& options) {
  auto file = std::unique_ptr<JournalFile>(new JournalFile(options));
  const auto path = path_in(options.directory);
  // Before SQLite makes the files beside it, which get the same mode.
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return fail(errno == EACCES || errno == EROFS || errno == EPERM || errno == EISDIR ? ErrorCode::Misconfigured
                                                                                       : ErrorCode::RetryLater,
                fmt::format("store.path: {} cannot be opened for writing ({})", path, std::strerror(errno)));
  }
  ::close(descriptor);  // No lock of SQLite's is on it yet.
  auto database = Database::open(path, options.vfs, true);
  if (!database) return tl::unexpected(database.error());
  file->database_ = std::move(*database);
  if (auto prepared = file->prepare(); !prepared) return tl::unexpected(prepared.error());
  file->tail_ = ::open(tail_path(options.directory).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file->tail_ < 0) {
    return fail(ErrorCode::RetryLater, fmt::format("store.path: {} cannot be opened for writing ({})",
                                                   tail_path(options.directory), std::strerror(errno)));
  }
  return file;
}

JournalFile::~JournalFile() {
  if (tail_ >= 0) ::close(tail_);
}

Result<void> JournalFile::prepare() {
  auto& database = database_;
  auto application = database.ask("PRAGMA application_id");
  if (!application) return tl::unexpected(application.error());
  auto objects = database.ask("SELECT count(*) FROM sqlite_master");
  if (!objects) return tl::unexpected(objects.error());
  if (application->value_or(0) != kApplicationId && objects->value_or(0) != 0) {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: {} is another program's database; give the journal a directory of its own",
                            path_in(options_.directory)));
  }
  // Only a new file takes the page size and the vacuum mode. Set again, the latter would be a write: a start on a full
  // disk would fail.
  if (objects->value_or(0) == 0) {
    SSEQUEL_TRY(database.run(fmt::format("PRAGMA page_size={}; PRAGMA auto_vacuum=INCREMENTAL;", page_bytes())));
  }
  auto mode = database.prepare("PRAGMA journal_mode=WAL");
  if (!mode) return tl::unexpected(mode.error());
  auto row = mode->step();
  if (!row) return tl::unexpected(row.error());
  if (mode->bytes(0) != "wal") {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: {} is on a file system without shared memory maps, which SQLite's write-ahead "
                            "log needs; use a local volume",
                            options_.directory));
  }
  mode->reset();
  SSEQUEL_TRY(
      database.run(fmt::format("PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit={}; PRAGMA temp_store=MEMORY; "
                               "PRAGMA cache_size=-4096; PRAGMA secure_delete=OFF; PRAGMA synchronous=FULL;",
                               2 * options_.wal_bytes)));
  sqlite3_wal_hook(
      database.handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<JournalFile*>(self)->wal_pages_ = static_cast<std::uint64_t>(pages);
        return SQLITE_OK;
      },
      this);
  SSEQUEL_TRY(migrate());
  const std::pair<Statement*, const char*> wanted[] = {
      {&sql_.begin, "BEGIN IMMEDIATE"},
      {&sql_.commit, "COMMIT"},
      {&sql_.rollback, "ROLLBACK"},
      {&sql_.insert_log,
       "INSERT INTO logs(id, key, route, signature, kind, method, target, host, tag, carries_origin, first_number, "
       "first_ulid, has_start, strategy, identity, path, origin, head, retry_ms, forgotten, sum, reattach) "
       "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0,?,?)"},
      {&sql_.update_head, "UPDATE logs SET head=?, retry_ms=?, sum=? WHERE id=?"},
      {&sql_.forget_log, "UPDATE logs SET forgotten=1 WHERE id=?"},
      {&sql_.delete_log, "DELETE FROM logs WHERE id=?"},
      {&sql_.put_progress,
       "INSERT INTO progress(log, first, floor_id, next, next_number, next_ulid, last_id, ends, loss_untold, "
       "updated_at, sum, commit_number) "
       "VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(log) DO UPDATE SET first=excluded.first, "
       "floor_id=excluded.floor_id, "
       "next=excluded.next, next_number=excluded.next_number, next_ulid=excluded.next_ulid, last_id=excluded.last_id, "
       "ends=excluded.ends, "
       "loss_untold=excluded.loss_untold, updated_at=excluded.updated_at, sum=excluded.sum, "
       "commit_number=excluded.commit_number"},
      {&sql_.delete_progress, "DELETE FROM progress WHERE log=?"},
      {&sql_.insert_block,
       "INSERT INTO blocks(id, log, first, count, at, frames, origins, sum) VALUES(?,?,?,?,?,?,?,?)"},
      {&sql_.delete_block, "DELETE FROM blocks WHERE id=?"},
      {&sql_.get_meta, "SELECT value FROM meta WHERE name=?"},
      {&sql_.put_meta,
       "INSERT INTO meta(name, value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET value=excluded.value"},
      {&sql_.count_logs, "SELECT count(*) FROM logs WHERE forgotten=0"},
      {&sql_.put_given,
       "INSERT INTO given(key, highest) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET highest=max(highest, "
       "excluded.highest)"},
      {&sql_.get_given, "SELECT key, highest FROM given"},
  };
  for (const auto& [statement, text] : wanted) {
    auto prepared = database.prepare(text);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  auto last = database.ask("SELECT max(id) FROM logs");
  if (!last) return tl::unexpected(last.error());
  last_id_ = static_cast<std::uint64_t>(last->value_or(0));
  auto block = database.ask("SELECT max(id) FROM blocks");
  if (!block) return tl::unexpected(block.error());
  last_block_ = static_cast<std::uint64_t>(block->value_or(0));
  auto noted = meta("commits");
  if (!noted) return tl::unexpected(noted.error());
  auto latest = database.ask("SELECT max(commit_number) FROM progress");
  if (!latest) return tl::unexpected(latest.error());
  commits_ = static_cast<std::uint64_t>(std::max(noted->value_or(0), latest->value_or(0)));
  auto logs = meta("logs");
  if (!logs) return tl::unexpected(logs.error());
  logs_ = staged_logs_ = logs->value_or(0);
  return {};
}

Result<void> JournalFile::migrate() {
  auto version = database_.ask("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  const auto found = version->value_or(0);
  if (found > kSchema) {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: {} was written by a newer version (schema {}, known here: {}); use that "
                            "version, or move the file away",
                            path_in(options_.directory), found, kSchema));
  }
  for (auto at = found; at < kSchema; ++at) {
    auto done = database_.run("BEGIN IMMEDIATE");
    if (done) done = database_.run(kMigrations[static_cast<std::size_t>(at)]);
    if (done) {
      done = database_.run(
          fmt::format("PRAGMA application_id={}; PRAGMA user_version={}; COMMIT", kApplicationId, at + 1));
    }
    if (!done) {
      if (database_.is_in_transaction()) static_cast<void>(database_.run("ROLLBACK"));
      return done;
    }
  }
  return {};
}

Result<std::string> JournalFile::set_aside(const std::string& directory, std::int64_t unix_micros) {
  const auto path = path_in(directory);
  auto name = fmt::format("{}.damaged-{}", path, unix_micros / 1'000'000);
  for (int i = 1; ::access(name.c_str(), F_OK) == 0; ++i) {
    name = fmt::format("{}.damaged-{}-{}", path, unix_micros / 1'000'000, i);
  }
  // What belongs to it keeps to it, so that sqlite3 can still open it. The index in shared memory is made anew.
  if (::rename((path + "-wal").c_str(), (name + "-wal").c_str()) != 0 && errno != ENOENT) {
    return fail(ErrorCode::RetryLater, fmt::format("{}-wal cannot be renamed ({})", path, std::strerror(errno)));
  }
  if (::rename(path.c_str(), name.c_str()) != 0) {
    return fail(ErrorCode::RetryLater, fmt::format("{} cannot be renamed ({})", path, std::strerror(errno)));
  }
  ::unlink((path + "-shm").c_str());
  return name;
}

// -------------------------------------------------------------------------------------------------- transactions

Result<void> JournalFile::transact(const std::function<Result<void>()>& work) {
  SSEQUEL_TRY(sql_.begin.run());
  staged_logs_ = logs_;
  is_commit_noted_ = false;
  auto done = work();
  if (done && !is_commit_noted_) done = set_meta("commits", static_cast<std::int64_t>(commits_ + 1));
  if (done && staged_logs_ != logs_) done = set_meta("logs", staged_logs_);
  if (done) done = sql_.commit.run();
  if (!done) {
    // Some errors have ended the transaction already.
    if (database_.is_in_transaction()) static_cast<void>(sql_.rollback.run());
    return done;
  }
  ++commits_;
  logs_ = staged_logs_;
  write_tail();
  return {};
}

// Best effort: a tail that is behind proves nothing, and one ahead cannot be.
void JournalFile::write_tail() {
  const auto text = fmt::format("{:0{}}\n", commits_, kTailDigits);
  [[maybe_unused]] const auto written = ::pwrite(tail_, text.data(), text.size(), 0);
}

std::optional<std::uint64_t> JournalFile::read_tail() const {
  std::array<char, kTailDigits + 1> text{};
  const auto count = ::pread(tail_, text.data(), text.size(), 0);
  if (count != static_cast<ssize_t>(text.size()) || text.back() != '\n') return std::nullopt;
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + kTailDigits, value);
  if (error != std::errc() || stop != text.data() + kTailDigits) return std::nullopt;
  return value;
}

Result<std::optional<std::int64_t>> JournalFile::meta(const char* name) {
  auto row = sql_.get_meta.query(name);
  if (!row) return tl::unexpected(row.error());
  std::optional<std::int64_t> value;
  if (*row) value = sql_.get_meta.integer(0);
  sql_.get_meta.reset();
  return value;
}

Result<void> JournalFile::set_meta(const char* name, std::int64_t value) { return sql_.put_meta.run(name, value); }

Result<bool> JournalFile::begin_run(std::int64_t unix_micros, bool is_fresh) {
  std::string last_boot;
  auto row = sql_.get_meta.query("boot_id");
  if (!row) return tl::unexpected(row.error());
  if (*row) last_boot = sql_.get_meta.bytes(0);
  sql_.get_meta.reset();
  auto clean = meta("clean_stop");
  if (!clean) return tl::unexpected(clean.error());
  auto synced = meta("sync_always");
  if (!synced) return tl::unexpected(synced.error());
  const auto tail = read_tail();
  const bool is_new = last_boot.empty();
  // Another boot without the mark of a clean stop: what the kernel had not yet written is gone.
  const bool lost_power =
      !is_new && last_boot != options_.boot_id && clean->value_or(0) == 0 && synced->value_or(0) == 0;
  // Without a tail: the first commit's is not written yet, where the process ended right behind it.
  const bool lost_commits = is_new ? tail.value_or(0) != 0 : tail ? *tail > commits_ : commits_ > 1;
  const bool has_lost = (lost_power || lost_commits || is_fresh) && !seeded_bug("loss-not-noticed");
  is_loss_unwritten_ = has_lost;
  SSEQUEL_TRY(database_.run("PRAGMA synchronous=FULL"));
  const auto note_run = [&]() -> Result<void> {
    if (has_lost) SSEQUEL_TRY(tell_loss(unix_micros));
    SSEQUEL_TRY(sql_.put_meta.run("boot_id", options_.boot_id));
    SSEQUEL_TRY(set_meta("clean_stop", 0));
    return set_meta("sync_always", options_.sync_always ? 1 : 0);
  };
  SSEQUEL_TRY(transact(note_run));
  is_loss_unwritten_ = false;
  // WAL mode commits without a sync then; only power loss can tell (sqlite.org/pragma.html#pragma_synchronous), and the
  // boot id tells that.
  if (!options_.sync_always) SSEQUEL_TRY(database_.run("PRAGMA synchronous=OFF"));
  return has_lost;
}

Result<void> JournalFile::tell_loss(std::int64_t unix_micros) {
  SSEQUEL_TRY(set_meta("forgotten_at", unix_micros));
  auto ledgers = load_ledgers();
  if (!ledgers) return tl::unexpected(ledgers.error());
  for (auto& ledger : *ledgers) {
    note_loss(*ledger, unix_micros / 1000);
    SSEQUEL_TRY(write_progress(*ledger, ledger->progress, ledger->head_sum, ledger->updated_at));
  }
  return {};
}

void JournalFile::note_loss(Ledger& ledger, std::int64_t unix_ms) {
  auto& progress = ledger.progress;
  progress.next_number = number_after_loss(ledger.record, progress.next_number, ledger.updated_at, unix_ms);
  progress.is_loss_untold = !seeded_bug("store-gap-untold");
}

Result<void> JournalFile::end_run() {
  // All that was committed, then the mark: on disk, in this order.
  SSEQUEL_TRY(database_.run("PRAGMA synchronous=FULL"));
  int pages = 0, moved = 0;
  if (sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &pages, &moved) != SQLITE_OK) {
    return tl::unexpected(database_.error("checkpoint"));
  }
  // Where an earlier checkpoint, without a sync, left nothing to move, this one has synced nothing.
  SSEQUEL_TRY(database_.sync_file());
  return transact([&]() -> Result<void> { return set_meta("clean_stop", 1); });
}

}  // namespace ssequel::store
