#include "store/checkpointer.h"

#include <sys/resource.h>

namespace ssequel::store {
namespace {

constexpr int kNice = 10;

}  // namespace

Result<std::unique_ptr<Checkpointer>> Checkpointer::start(const std::string& path, const char* vfs) {
  auto database = Database::open(path, vfs);
  if (!database) return tl::unexpected(database.error());
  // Read the head of the file, so that the first checkpoint finds the connection in WAL mode.
  if (auto asked = database->ask("SELECT count(*) FROM sqlite_master"); !asked) return tl::unexpected(asked.error());
  if (auto set = database->run("PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-64"); !set) {
    return tl::unexpected(set.error());
  }
  auto checkpointer = std::unique_ptr<Checkpointer>(new Checkpointer(std::move(*database)));
  checkpointer->thread_ = std::thread([self = checkpointer.get()] { self->run(); });
  return checkpointer;
}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Checkpointer::State Checkpointer::state() {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Checkpointer::request() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::Idle) return;
    state_ = State::Running;
  }
  changed_.notify_all();
}

void Checkpointer::settle(bool sync) {
  {
    const std::lock_guard lock(mutex_);
    state_ = State::Idle;
    wants_sync_ = wants_sync_ || sync;
  }
  changed_.notify_all();
}

void Checkpointer::wait(std::chrono::milliseconds longest) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, longest, [this] { return state_ != State::Running; });
}

void Checkpointer::run() {
  // Where there is one core for all, commits and deliveries go first: copying pages is in no hurry, and without this a
  // waking thread waits for its turn to end (some milliseconds). Of this thread alone (setpriority(2), Linux).
  setpriority(PRIO_PROCESS, 0, kNice);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_over_ || wants_sync_ || state_ == State::Running; });
    if (is_over_) return;
    const bool sync = std::exchange(wants_sync_, false);
    const bool move = state_ == State::Running;
    lock.unlock();
    if (sync) static_cast<void>(database_.sync_file());
    // Errors are the file's thread's to tell: it meets them when it finishes the checkpoint, or at its next commit.
    if (move) sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    lock.lock();
    if (move && state_ == State::Running) state_ = State::Done;
    changed_.notify_all();
  }
}

}  // namespace ssequel::store
