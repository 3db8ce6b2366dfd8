// Moves the write-ahead log into the file on a thread and a connection of its own, while commits go on: what takes long
// about a checkpoint (two syncs, and writing the pages) holds nobody up. What came meanwhile is little, and the thread
// of the file moves it between two commits (JournalFile::finish_checkpoint()), so that the log can begin anew.
//
//   Idle ──request()──► Running ──► Done ──(the file's thread finishes)──► settle() ──► Idle
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/sqlite.h"

namespace ssequel::store {

class Checkpointer {
 public:
  enum class State { Idle, Running, Done };

  [[nodiscard]] static Result<std::unique_ptr<Checkpointer>> start(const std::string& path, const char* vfs);
  ~Checkpointer();  // Ends the thread, after what it is doing.

  // The thread of the file only.
  [[nodiscard]] State state();
  void request();
  // Back to Idle. sync: the pages that were moved since are put on disk, behind everybody's back.
  void settle(bool sync);
  // Waits until it is no longer Running, at most that long.
  void wait(std::chrono::milliseconds longest);

 private:
  explicit Checkpointer(Database database) : database_(std::move(database)) {}
  void run();

  Database database_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::Idle;
  bool wants_sync_ = false;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace ssequel::store
