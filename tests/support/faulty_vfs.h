// A disk that fails when a test says so: a VFS of SQLite (https://sqlite.org/vfs.html) above the default one. Files are
// real; on the way to them calls are counted, refused, torn, slowed down, or the machine stops.
//
//     SQLite ──► FaultyVfs ──► the default VFS ──► files
//                   └── for each file: what it holds, and what of it a sync has made safe
//
// A failed sync is final: what it was to make safe is taken as lost, and a later sync that succeeds does not bring it
// back, as Linux does it (a page that could not be written is clean after fsync has told so once).
//
// Threads: all functions may be called from any thread. No connection may be open when it is destroyed.
#pragma once

#include <sqlite3.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ssequel::test {

enum class FileKind { Database, Wal, Other };
inline constexpr std::array kFileKinds = {FileKind::Database, FileKind::Wal, FileKind::Other};

enum class VfsCall { Open, Read, Write, Truncate, Sync, Delete, ShmMap };
inline constexpr std::array kVfsCalls = {VfsCall::Open, VfsCall::Read,   VfsCall::Write, VfsCall::Truncate,
                                         VfsCall::Sync, VfsCall::Delete, VfsCall::ShmMap};

[[nodiscard]] std::string_view name_of(FileKind kind) noexcept;
[[nodiscard]] std::string_view name_of(VfsCall call) noexcept;

// What happens to the `at`-th such call from inject() on, and to those after it.
struct Fault {
  static constexpr std::uint64_t kForever = std::numeric_limits<std::uint64_t>::max();

  VfsCall call = VfsCall::Write;
  std::optional<FileKind> kind;  // nullopt: of any.
  std::uint64_t at = 1;
  std::uint64_t times = 1;
  int code = SQLITE_IOERR;            // SQLITE_OK: it goes on, after the delay.
  bool tears = false;                 // Write: the first half reaches the file all the same.
  std::chrono::milliseconds delay{};  // Before it goes on or fails.
};

class FaultyVfs {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  // Registers itself under `name`; as_default: every connection opened from now on goes through it.
  explicit FaultyVfs(std::string name = "faulty", bool as_default = true);
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  void inject(const Fault& fault);
  // Calls go through again. Slow ones that wait end at once.
  void clear();

  // Calls so far, failed ones too.
  [[nodiscard]] std::uint64_t count(VfsCall call) const;
  [[nodiscard]] std::uint64_t count(VfsCall call, FileKind kind) const;
  // Calls that a fault changed.
  [[nodiscard]] std::uint64_t hits() const;
  // Connections to a file that are open.
  [[nodiscard]] std::size_t open_files() const;

  // The machine stops before the `at`-th such call from now on: it and every later call of any kind fails, and nothing
  // reaches a file any more. Only closing works.
  void stop_at(VfsCall call, std::optional<FileKind> kind, std::uint64_t at);
  void stop();
  [[nodiscard]] bool has_stopped() const;

  enum class Survives {
    Everything,  // The process was killed: the system still has all that was written.
    Synced,      // Power was lost: only what was synced is there.
    Mixture      // Power was lost: of what was not synced, some sectors are there, others not.
  };
  // The machine starts again: puts each file into the state in which it would be found. No file may be open. Files that
  // were never seen here stay as they are. Faults are cleared.
  void start_again(Survives survives, std::uint64_t seed = 0);

 private:
  struct Connection;
  struct Disk;  // What a file holds, and what is safe.
  struct Shim;  // The C side.
  struct Armed {
    Fault fault;
    std::uint64_t seen = 0;
  };
  struct Stop {
    VfsCall call;
    std::optional<FileKind> kind;
    std::uint64_t left;
  };
  struct Verdict {
    int code = SQLITE_OK;
    bool tears = false;
  };

  // Counts the call and says what is to happen to it. Waits if it is to be slow.
  Verdict judge(VfsCall call, FileKind kind);
  std::shared_ptr<Disk> disk_of(const std::string& path);
  void sync_deletions();

  const std::string name_;
  sqlite3_vfs* const base_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::unique_ptr<sqlite3_io_methods> methods_;

  mutable std::mutex mutex_;
  std::condition_variable cleared_;
  std::uint64_t clears_ = 0;
  std::map<std::pair<VfsCall, FileKind>, std::uint64_t> counts_;
  std::vector<Armed> faults_;
  std::uint64_t hits_ = 0;
  std::size_t open_files_ = 0;
  std::optional<Stop> stop_;
  bool has_stopped_ = false;
  std::map<std::string, std::shared_ptr<Disk>> disks_;
};

}  // namespace ssequel::test
