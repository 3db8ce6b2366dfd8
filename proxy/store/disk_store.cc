#include "store/disk_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "base/assert.h"
#include "store/checkpointer.h"
#include "store/directory_lock.h"
#include "store/disk_door.h"

namespace ssequel::store {
namespace {

constexpr Millis kFirstRetry{50};
constexpr Millis kLongestRetry{1000};
// The write-ahead log may grow to so many times its bound while it is being moved; then commits wait for that.
constexpr std::uint64_t kMostWal = 2;
// It is not moved for fewer pages, however little it may have.
constexpr std::uint64_t kLeastPages = 8;

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id.empty() ? "unknown" : id;
}

bool has_bytes(const std::string& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 && facts.st_size > 0;
}

}  // namespace

class DiskStore::Core {
 public:
  Core(DiskOptions options, DirectoryLock lock, Logger& logger, const Clock& clock)
      : options_(std::move(options)), lock_(std::move(lock)), logger_(logger), clock_(clock) {}
  ~Core() { close(Millis(0)); }

  Result<void> open();
  Result<Kept> load(const JournalFile::BoundsOf& bounds_of);
  void run() {
    is_running_ = true;
    for (auto& [id, ledger] : std::exchange(loaded_, {})) forget(std::move(ledger));
    thread_ = std::thread([this] { work(); });
  }
  std::unique_ptr<replay::Store> door(LoopTasks tasks);
  DiskStatus status() {
    const std::lock_guard guard(mutex_);
    return status_;
  }
  void close(Millis longest);

 private:
  using Clocked = std::chrono::steady_clock;

  FileOptions file_options() const {
    return {.directory = options_.directory,
            .sync_always = options_.sync_always,
            .vfs = options_.vfs,
            .boot_id = options_.boot_id,
            .wal_bytes = options_.wal_bytes};
  }
  [[nodiscard]] std::int64_t unix_ms() const { return clock_.unix_micros() / 1000; }

  // --- The store's thread, or before it runs
  void work();
  Result<void> open_file();
  Result<void> begin();
  Result<void> set_aside(const Error& why);
  void stage(std::vector<Arrived>&& arrived);
  void forget(std::shared_ptr<Ledger> ledger) {
    ledger->staged.forget = true;
    ledger->is_staged = true;
    staged_.push_back({std::move(ledger), nullptr, {}});
  }
  Result<void> commit();
  Result<void> tidy();
  Result<void> replace_damaged(const Error& why);
  void tell_committed();
  void stall(const Error& why);
  void recover();
  void checkpoint();
  void finish();

  const DiskOptions options_;
  DirectoryLock lock_;
  Logger& logger_;
  const Clock& clock_;
  Inbox inbox_;
  std::thread thread_;
  bool is_running_ = false;
  std::atomic<Clocked::rep> give_up_at_{Clocked::duration::max().count()};

  std::unique_ptr<JournalFile> file_;
  std::unique_ptr<Checkpointer> checkpointer_;
  bool has_begun_ = false;
  bool is_fresh_ = false;                                              // Another file was set aside for this one.
  std::unordered_map<std::uint64_t, std::shared_ptr<Ledger>> loaded_;  // Not adopted yet.
  std::unordered_set<std::shared_ptr<Ledger>> live_;                   // In the file.
  std::vector<Arrived> staged_;                                        // One of each log; changes are in the ledgers.
  Millis retry_ = kFirstRetry;
  Millis tidy_pause_{0};
  bool is_stalled_ = false;
  std::uint64_t checkpoint_pages_ = 0;  // Asked for when the log has this many.

  mutable std::mutex mutex_;  // Guards what follows.
  DiskStatus status_;
};

// ---------------------------------------------------------------------------------------------------------- start

Result<std::unique_ptr<DiskStore>> DiskStore::open(DiskOptions options, Logger& logger, const Clock& clock) {
  if (options.boot_id.empty()) options.boot_id = read_boot_id();
  auto lock = DirectoryLock::take(options.directory);
  if (!lock) return tl::unexpected(lock.error());
  auto core = std::make_unique<Core>(std::move(options), std::move(*lock), logger, clock);
  if (auto opened = core->open(); !opened) return tl::unexpected(opened.error());
  return std::unique_ptr<DiskStore>(new DiskStore(std::move(core)));
}

DiskStore::DiskStore(std::unique_ptr<Core> core) : core_(std::move(core)) {}
DiskStore::~DiskStore() = default;
Result<DiskStore::Kept> DiskStore::load(const JournalFile::BoundsOf& bounds_of) { return core_->load(bounds_of); }
void DiskStore::run() { core_->run(); }
std::unique_ptr<replay::Store> DiskStore::door(LoopTasks tasks) { return core_->door(std::move(tasks)); }
DiskStatus DiskStore::status() const { return core_->status(); }
void DiskStore::close(Millis longest) { core_->close(longest); }

Result<void> DiskStore::Core::open() {
  const bool is_empty = !has_bytes(JournalFile::path_in(options_.directory));
  auto opened = open_file();
  if (!opened && opened.error().code == ErrorCode::Malformed) {
    opened = set_aside(opened.error());
    if (opened) opened = open_file();
  }
  if (!opened && opened.error().code == ErrorCode::RetryLater && is_empty) {
    stall(opened.error());  // Nothing is lost by it: there was nothing.
    return {};
  }
  return opened;
}

Result<void> DiskStore::Core::open_file() {
  checkpointer_.reset();
  file_.reset();
  auto file = JournalFile::open(file_options());
  if (!file) return tl::unexpected(file.error());
  auto checkpointer = Checkpointer::start(JournalFile::path_in(options_.directory), options_.vfs);
  if (!checkpointer) return tl::unexpected(checkpointer.error());
  file_ = std::move(*file);
  checkpointer_ = std::move(*checkpointer);
  checkpoint_pages_ = std::max<std::uint64_t>(kLeastPages, options_.wal_bytes / JournalFile::page_bytes());
  has_begun_ = false;
  return {};
}

Result<void> DiskStore::Core::set_aside(const Error& why) {
  checkpointer_.reset();
  file_.reset();
  auto name = JournalFile::set_aside(options_.directory, clock_.unix_micros());
  if (!name) return tl::unexpected(name.error());
  is_fresh_ = true;
  logger_.error(
      "the journal on disk is damaged: it was set aside and a new one begun. Windows from before are lost where they "
      "are not in memory, clients are told so, ids go on above all earlier ones",
      {{"error", why.context}, {"file", *name}});
  const std::lock_guard guard(mutex_);
  ++status_.gaps;
  return {};
}

Result<void> DiskStore::Core::begin() {
  auto lost = file_->begin_run(clock_.unix_micros(), is_fresh_);
  if (!lost) return tl::unexpected(lost.error());
  has_begun_ = true;
  if (*lost && !is_fresh_) {
    logger_.warn(
        "the journal may have lost its latest entries (a power failure, or a file of an earlier time): ids jump, and "
        "clients are told by a store-gap event",
        {{"path", options_.directory}});
    const std::lock_guard guard(mutex_);
    ++status_.gaps;
  }
  is_fresh_ = false;
  return {};
}

Result<DiskStore::Kept> DiskStore::Core::load(const JournalFile::BoundsOf& bounds_of) {
  Kept kept;
  if (!file_) return kept;
  const Millis now = clock_.now();
  auto began = begin();
  Result<JournalFile::Loaded> loaded = tl::unexpected(Error{});
  if (began || began.error().code == ErrorCode::RetryLater) loaded = file_->load(bounds_of, unix_ms(), now);
  const Error& error = !began && began.error().code != ErrorCode::RetryLater ? began.error()
                       : !loaded                                             ? loaded.error()
                                                                             : Error{};
  if (!loaded && error.code == ErrorCode::Malformed) {
    auto opened = set_aside(error);
    if (opened) opened = open_file();
    if (!opened) return tl::unexpected(opened.error());
    began = begin();
    loaded = file_->load(bounds_of, unix_ms(), now);
  }
  if (!loaded) return tl::unexpected(error);
  if (!began) stall(began.error());
  kept.given = std::move(loaded->given);
  for (auto& [ledger, log] : loaded->logs) {
    replay::SavedLog saved;
    saved.record = ledger->record;
    saved.log = std::move(log);
    saved.head = ledger->head;
    saved.last_id = ledger->progress.last_id;
    saved.retry_ms = ledger->retry_ms;
    saved.has_lost = ledger->progress.is_loss_untold;
    saved.handle = ledger->id;
    kept.logs.push_back(std::move(saved));
    live_.insert(ledger);
    loaded_.emplace(ledger->id, std::move(ledger));
  }
  for (auto& ledger : loaded->unwanted) forget(std::move(ledger));
  return kept;
}

std::unique_ptr<replay::Store> DiskStore::Core::door(LoopTasks tasks) {
  std::optional<Error> stalled;
  if (const auto now = status(); !now.is_well) stalled = Error{ErrorCode::RetryLater, now.why};
  return std::make_unique<DiskDoor>(
      inbox_,
      [this](std::uint64_t handle) {
        SSEQUEL_ASSERT(!is_running_, "logs are adopted before commits begin");
        const auto at = loaded_.find(handle);
        SSEQUEL_ASSERT(at != loaded_.end(), "a log is adopted once");
        auto ledger = std::move(at->second);
        loaded_.erase(at);
        return ledger;
      },
      std::move(tasks), std::move(stalled));
}

void DiskStore::Core::close(Millis longest) {
  const auto until = Clocked::now() + longest;
  give_up_at_.store(until.time_since_epoch().count());
  inbox_.close();
  if (thread_.joinable()) {
    thread_.join();
    finish();
  }
  checkpointer_.reset();
  file_.reset();
}

// --------------------------------------------------------------------------------------------------------- thread

void DiskStore::Core::work() {
  std::vector<Arrived> arrived;
  for (;;) {
    Millis longest = Millis::max();
    if (is_stalled_) {
      // What arrives meanwhile does not make the retries come faster.
      std::this_thread::sleep_for(inbox_.is_closed() ? Millis(10) : retry_);
      longest = Millis(0);
    } else if (!staged_.empty() || checkpointer_->state() == Checkpointer::State::Done) {
      longest = Millis(0);
    } else if (file_->has_to_tidy()) {
      longest = tidy_pause_;
    }
    inbox_.take(arrived, longest);
    stage(std::exchange(arrived, {}));
    const bool is_closing = inbox_.is_closed();
    if (is_closing && staged_.empty() && !is_stalled_) return;
    if (is_closing && Clocked::now().time_since_epoch().count() >= give_up_at_.load()) return;
    Result<void> done;
    if (!staged_.empty() || is_stalled_) {
      done = commit();
    } else if (file_->has_to_tidy()) {
      done = tidy();
    }
    if (!done) {
      if (done.error().code == ErrorCode::Malformed) done = replace_damaged(done.error());
      if (!done) {
        stall(done.error());
        continue;
      }
    }
    if (is_stalled_) recover();
    checkpoint();
  }
}

Result<void> DiskStore::Core::tidy() {
  const auto done = file_->tidy();
  tidy_pause_ = done ? Millis(0) : kLongestRetry;
  if (done) return {};
  if (done.error().code == ErrorCode::Malformed) return tl::unexpected(done.error());
  // Nobody waits for it. Where the disk fails, the next commit says so.
  const std::lock_guard guard(mutex_);
  ++status_.errors;
  return {};
}

void DiskStore::Core::stage(std::vector<Arrived>&& arrived) {
  for (auto& one : arrived) {
    auto& ledger = *one.ledger;
    ledger.staged.merge(std::move(one.change));
    if (std::exchange(ledger.is_staged, true)) continue;
    staged_.push_back({std::move(one.ledger), std::move(one.door), {}});
  }
}

Result<void> DiskStore::Core::commit() {
  if (!file_) {
    if (auto opened = open_file(); !opened) return opened;
  }
  if (!has_begun_) {
    if (auto began = begin(); !began) return began;
  }
  if (staged_.empty()) return {};
  std::vector<std::shared_ptr<Ledger>> ledgers;
  ledgers.reserve(staged_.size());
  for (const auto& one : staged_) ledgers.push_back(one.ledger);
  const auto began = Clocked::now();
  if (auto done = file_->commit(ledgers, unix_ms()); !done) return done;
  const auto seconds = std::chrono::duration<double>(Clocked::now() - began).count();
  const auto bound = std::lower_bound(kCommitBounds.begin(), kCommitBounds.end(), seconds);
  {
    const std::lock_guard guard(mutex_);
    ++status_.commits[static_cast<std::size_t>(bound - kCommitBounds.begin())];
    status_.commit_seconds += seconds;
  }
  tell_committed();
  return {};
}

void DiskStore::Core::tell_committed() {
  std::unordered_map<std::shared_ptr<DoorLink>, std::vector<std::pair<std::shared_ptr<Ledger>, replay::Place>>> ends;
  for (auto& one : staged_) {
    one.ledger->is_staged = false;
    if (one.ledger->is_inserted) {
      live_.insert(one.ledger);
    } else {
      live_.erase(one.ledger);
    }
    if (one.door) ends[one.door].emplace_back(one.ledger, one.ledger->progress.next);
  }
  staged_.clear();
  for (auto& [link, committed] : ends) {
    link->post([done = std::move(committed)](DiskDoor& door) { door.on_committed(done); }, link);
  }
}

Result<void> DiskStore::Core::replace_damaged(const Error& why) {
  if (auto done = set_aside(why); !done) return done;
  for (const auto& ledger : live_) {
    if (!JournalFile::restage(*ledger)) ledger->staged.forget = true;  // Its loop is gone, and nobody saw the rest.
    if (!std::exchange(ledger->is_staged, true)) staged_.push_back({ledger, nullptr, {}});
  }
  live_.clear();
  return commit();
}

void DiskStore::Core::stall(const Error& why) {
  {
    const std::lock_guard guard(mutex_);
    ++status_.errors;
    status_.is_well = false;
    status_.why = why.context;
  }
  if (is_stalled_) {
    retry_ = std::min(retry_ * 2, kLongestRetry);
    return;
  }
  is_stalled_ = true;
  retry_ = kFirstRetry;
  logger_.error("the journal cannot be written: streams stand still, and go on by themselves when it can",
                {{"error", why.context}, {"path", options_.directory}});
  for (const auto& link : inbox_.doors()) {
    link->post([why](DiskDoor& door) { door.on_stalled(why); }, link);
  }
}

void DiskStore::Core::recover() {
  is_stalled_ = false;
  {
    const std::lock_guard guard(mutex_);
    status_.is_well = true;
    status_.why.clear();
  }
  logger_.info("the journal can be written again", {{"path", options_.directory}});
  for (const auto& link : inbox_.doors()) {
    link->post([](DiskDoor& door) { door.on_recovered(); }, link);
  }
}

void DiskStore::Core::checkpoint() {
  const auto least = std::max<std::uint64_t>(kLeastPages, options_.wal_bytes / JournalFile::page_bytes());
  if (checkpointer_->state() == Checkpointer::State::Running && file_->wal_pages() >= kMostWal * least) {
    checkpointer_->wait(std::chrono::seconds(1));
  }
  switch (checkpointer_->state()) {
    case Checkpointer::State::Idle:
      if (file_->wal_pages() >= checkpoint_pages_) checkpointer_->request();
      return;
    case Checkpointer::State::Running:
      return;
    case Checkpointer::State::Done: {
      const auto done = file_->finish_checkpoint();
      // Where somebody reads the file, the log cannot begin anew: not asked again for each commit.
      const bool is_anew = done && *done;
      checkpoint_pages_ = is_anew ? least : file_->wal_pages() + least;
      checkpointer_->settle(is_anew && !options_.sync_always);
      return;
    }
  }
}

void DiskStore::Core::finish() {
  if (!file_ || !has_begun_ || is_stalled_ || !staged_.empty()) {
    logger_.error("the journal was not closed cleanly: what could not be written is lost",
                  {{"path", options_.directory}});
    return;
  }
  checkpointer_.reset();
  if (auto ended = file_->end_run(); !ended) {
    logger_.error("the journal was not closed cleanly", {{"error", ended.error().context}});
  }
}

}  // namespace ssequel::store
