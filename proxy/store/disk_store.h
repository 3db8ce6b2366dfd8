// The disk store: a journal of all logs in one SQLite file, written by one thread. Loops hand it what has arrived in a
// turn and go on; it commits all there is in one transaction, tells each loop what is committed, and takes what has
// arrived meanwhile. No loop ever waits for the disk.
//
//    loop ── DiskDoor ──┐                               ┌─► loop: on_committed()
//    loop ── DiskDoor ──┴─► inbox ─► commit, one thread ┴─► loop: on_committed()
//                                       └── Checkpointer, another one
//
// A disk that fails or is full: the same transaction is tried again until it succeeds, and the loops are told at both
// ends. A damaged file is set aside, at start or later; what is in memory by then is written anew.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "replay/journal.h"
#include "store/journal_file.h"

namespace ssequel::store {

struct DiskOptions {
  std::string directory;
  bool sync_always = false;  // Each commit is on disk before it is told; else it survives the process only.
  // The write-ahead log begins anew when it has this many; it may have some more while it is being moved.
  std::uint64_t wal_bytes = 16 * 1024 * 1024;
  const char* vfs = nullptr;  // SQLite's file layer; null: its own.
  std::string boot_id;        // Empty: the running kernel's.
};

// How to reach a loop.
struct LoopTasks {
  std::function<void(std::function<void()>)> post;   // From any thread: the task runs on the loop's.
  std::function<void(std::function<void()>)> defer;  // On the loop's thread: at the end of this turn.
};

inline constexpr std::array<double, 12> kCommitBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                         0.01,   0.025,   0.05,   0.1,   0.5,    2.5};

struct DiskStatus {
  bool is_well = true;
  std::string why;                                                // One line for the operator; empty if all is well.
  std::uint64_t errors = 0;                                       // Transactions that failed.
  std::uint64_t gaps = 0;                                         // Times that something was lost, or may have been.
  std::array<std::uint64_t, kCommitBounds.size() + 1> commits{};  // By seconds, up to each bound and above.
  double commit_seconds = 0;                                      // All of them together.
};

class DiskStore {
 public:
  // Takes the directory and opens its file; a damaged one is set aside. Misconfigured: the operator has to change
  // something. A full disk is no error where there is nothing to read yet. All references must outlive the store.
  [[nodiscard]] static Result<std::unique_ptr<DiskStore>> open(DiskOptions options, Logger& logger, const Clock& clock);
  ~DiskStore();  // As close(), if that was not called.
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  struct Kept {
    std::vector<replay::SavedLog> logs;  // The latest written to first.
    GivenNumbers given;
  };
  // What is held, once, before run(). bounds_of: of a log's window; nullopt: the log is forgotten.
  [[nodiscard]] Result<Kept> load(const JournalFile::BoundsOf& bounds_of);
  // Commits begin. Logs that were loaded and adopted by nobody are forgotten.
  void run();

  // A loop's way in; that loop's thread only, once it is made. Its journals must be gone before it.
  [[nodiscard]] std::unique_ptr<replay::Store> door(LoopTasks tasks);

  [[nodiscard]] DiskStatus status() const;  // Any thread.

  // Commits what was handed in, trying for at most `longest` where the disk fails, and marks a clean stop.
  void close(Millis longest);

 private:
  class Core;
  explicit DiskStore(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace ssequel::store
