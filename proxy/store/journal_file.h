// The journal of all logs as one SQLite file. What it holds, and how it is read by hand: config/STORE.md.
//
// A commit is one transaction: all that arrived for all logs. Beside the file lies `ssequel.tail`, the number of the
// last commit, written behind each: a file that knows fewer commits has lost some, whatever became of them.
//
// One thread at a time. Errors: RetryLater may pass, and nothing has changed; Malformed: the file is damaged.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "replay/journal.h"
#include "store/block.h"
#include "store/sqlite.h"

namespace ssequel::store {

// What changes with every commit of a log.
struct Progress {
  replay::Place first = 0;         // Of the window.
  std::string floor_id;            // Of the entry before it, where that is not held.
  replay::Place next = 0;          // Of the entry to come.
  replay::Number next_number = 0;  // The least that it may have.
  std::string last_id;             // The upstream's last event ID string.
  std::vector<replay::End> ends;   // Not before the window.
  bool is_loss_untold = false;     // Entries may have been lost behind the newest one.
};

// What has arrived for a log since the last commit.
struct Change {
  std::vector<Block> blocks;
  std::optional<replay::Number> next_number;
  std::optional<std::string> last_id;
  std::optional<std::string> head;
  std::optional<std::uint64_t> retry_ms;
  std::vector<replay::End> ends;
  replay::Place first = 0;
  std::string floor_id;  // Of the entry before `first`, where that is in no block.
  bool forget = false;

  void merge(Change&& later);
};

// A row of `blocks`.
struct KeptBlock {
  std::uint64_t id = 0;
  replay::Place end = 0;
};

// A log, as the thread of the file knows it.
struct Ledger {
  std::uint64_t id = 0;
  replay::LogRecord record;
  std::shared_ptr<const replay::ReplayLog> log;  // What it is the ledger of.
  std::string head;
  std::optional<std::uint64_t> retry_ms;
  Progress progress;
  std::uint64_t head_sum = 0;   // Of what rarely changes: part of progress' sum.
  std::int64_t updated_at = 0;  // Unix milliseconds.
  bool is_inserted = false;
  std::deque<KeptBlock> kept;  // In the file, the oldest first.
  Change staged;
  bool is_staged = false;
};

// Numbers that were given by logs which are no more.
struct GivenNumbers {
  std::uint64_t highest = 0;
  std::vector<std::pair<std::string, std::uint64_t>> by_key;  // Of keys with a start.
  std::uint64_t forgotten_at = 0;                             // Unix microseconds; 0: nothing was ever lost.
};

struct FileOptions {
  std::string directory;
  bool sync_always = false;
  const char* vfs = nullptr;
  std::string boot_id;
  std::uint64_t wal_bytes = 4 * 1024 * 1024;  // The write-ahead log shrinks to twice this when it begins anew.
};

class JournalFile {
 public:
  static constexpr int kSchema = 5;
  // A block of more bytes is not added to.
  static constexpr std::size_t kMaxBlock = 32 * 1024;

  // Opens or makes the file, migrates an older one. Misconfigured: it is another program's, or a newer version's.
  [[nodiscard]] static Result<std::unique_ptr<JournalFile>> open(const FileOptions& options);
  // Renames a damaged file and what belongs to it. Their new name.
  [[nodiscard]] static Result<std::string> set_aside(const std::string& directory, std::int64_t unix_micros);

  // The bounds of a log's window; nullopt: nobody can do anything with it, it may go.
  using BoundsOf = std::function<std::optional<replay::Bounds>(const replay::LogRecord&)>;
  // Everything that is held. unix_ms and now are one moment.
  struct Loaded {
    std::vector<std::pair<std::shared_ptr<Ledger>, std::shared_ptr<replay::ReplayLog>>> logs;  // The latest first.
    std::vector<std::shared_ptr<Ledger>> unwanted;  // bounds_of() had nothing for them.
    GivenNumbers given;                             // By all logs, those that are held too.
  };
  [[nodiscard]] Result<Loaded> load(const BoundsOf& bounds_of, std::int64_t unix_ms, Millis now);

  // Everything that is in memory of this log becomes its staged change, as if nothing had been committed: for a new
  // file. Waits until the log's loop has published what was committed; false if it does not.
  [[nodiscard]] static bool restage(Ledger& ledger);

  // The first commit of a run; on disk when it returns. True: the last run may have lost its latest commits. Then all
  // numbers go on above what could have been given, and load() tells it, even if this failed because it could not be
  // written. is_fresh: a damaged file was set aside.
  [[nodiscard]] Result<bool> begin_run(std::int64_t unix_micros, bool is_fresh);
  // The mark of a clean stop; on disk when it returns.
  [[nodiscard]] Result<void> end_run();

  // All staged changes of these logs, in one transaction, at the promised level.
  [[nodiscard]] Result<void> commit(const std::vector<std::shared_ptr<Ledger>>& ledgers, std::int64_t unix_ms);
  // One bounded step of what is left to do: entries that left their windows, logs that were forgotten, free pages.
  // False: nothing is left.
  [[nodiscard]] Result<bool> tidy();
  [[nodiscard]] bool has_to_tidy() const { return !lagging_.empty() || !forgotten_.empty() || may_shrink_; }

  // Pages that were written to the write-ahead log since it last began.
  [[nodiscard]] std::uint64_t wal_pages() const { return wal_pages_; }
  [[nodiscard]] static std::uint64_t page_bytes() { return 8192; }
  // Moves what is left in the write-ahead log into the file, so that it can begin anew. True if it can.
  [[nodiscard]] Result<bool> finish_checkpoint();
  [[nodiscard]] static std::string path_in(const std::string& directory) { return directory + "/ssequel.db"; }
  [[nodiscard]] std::uint64_t commits() const { return commits_; }

  ~JournalFile();

 private:
  struct Statements {
    Statement begin, commit, rollback;
    Statement insert_log, update_head, forget_log, delete_log;
    Statement put_progress, delete_progress;
    Statement insert_block, delete_block;
    Statement get_meta, put_meta, count_logs;
    Statement put_given, get_given;
  };
  struct ForgottenLog {
    std::uint64_t id = 0;
    std::deque<KeptBlock> kept;
  };
  // What a commit makes of a ledger.
  struct Outcome {
    Progress progress;
    std::deque<KeptBlock> added;
    std::size_t dropped = 0;
  };
  explicit JournalFile(FileOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> migrate();
  [[nodiscard]] Result<void> write(Ledger& ledger, Outcome& outcome, std::int64_t unix_ms);
  [[nodiscard]] Result<void> write_blocks(const Ledger& ledger, Outcome& outcome, std::int64_t unix_ms);
  [[nodiscard]] Result<void> write_progress(const Ledger& ledger, const Progress& progress, std::uint64_t head_sum,
                                            std::int64_t unix_ms);
  [[nodiscard]] Result<void> note_given(const replay::LogRecord& record, replay::Number next_number);
  // Deletes some of the rows that lie wholly before the entry before `first`, the oldest first. How many.
  [[nodiscard]] Result<std::size_t> drop_blocks(const std::deque<KeptBlock>& kept, replay::Place first);
  [[nodiscard]] Result<std::optional<std::int64_t>> meta(const char* name);
  [[nodiscard]] Result<void> set_meta(const char* name, std::int64_t value);
  [[nodiscard]] Result<void> tell_loss(std::int64_t unix_micros);
  static void note_loss(Ledger& ledger, std::int64_t unix_ms);
  [[nodiscard]] Result<std::vector<std::shared_ptr<Ledger>>> load_ledgers();
  // Where the blocks are, and what is left of logs that were forgotten.
  [[nodiscard]] Result<void> load_places(const std::vector<std::shared_ptr<Ledger>>& ledgers);
  [[nodiscard]] Result<GivenNumbers> load_given(const std::vector<std::shared_ptr<Ledger>>& ledgers);
  [[nodiscard]] Result<std::shared_ptr<replay::ReplayLog>> load_log(Ledger& ledger, const replay::Bounds& bounds,
                                                                    std::int64_t unix_ms, Millis now);
  // Runs `work` between BEGIN and COMMIT; nothing of it stays if it fails.
  [[nodiscard]] Result<void> transact(const std::function<Result<void>()>& work);
  void write_tail();
  [[nodiscard]] std::optional<std::uint64_t> read_tail() const;

  const FileOptions options_;
  Database database_;
  Statements sql_;
  std::uint64_t last_id_ = 0;
  std::uint64_t commits_ = 0;
  bool is_commit_noted_ = false;    // A row of this transaction has its number.
  std::uint64_t last_block_ = 0;    // Its id.
  bool is_loss_unwritten_ = false;  // begin_run() found a loss, and could not write it: load() tells it all the same.
  std::int64_t logs_ = 0;
  std::int64_t staged_logs_ = 0;  // As it will be after the transaction.
  std::uint64_t wal_pages_ = 0;
  int tail_ = -1;
  std::unordered_set<std::shared_ptr<Ledger>> lagging_;  // With entries to drop.
  std::vector<ForgottenLog> forgotten_;                  // Logs whose entries are to be dropped.
  bool may_shrink_ = true;                               // Many of the file's pages may be free.
};

// Where numbers go on in a log that lost something.
[[nodiscard]] replay::Number number_after_loss(const replay::LogRecord& record, replay::Number next,
                                               std::int64_t last_known_ms, std::int64_t now_ms) noexcept;
// How far numbers jump where it is not known how many were given since: as if a million a second had been.
[[nodiscard]] std::uint64_t jump_after(std::int64_t last_known_ms, std::int64_t now_ms) noexcept;

}  // namespace ssequel::store
