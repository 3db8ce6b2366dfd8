// A file layer of SQLite's (https://sqlite.org/vfs.html) above another one: what a transaction adds to the write-ahead
// log goes to the system in one write. SQLite itself makes two of each page, 24 bytes and the page, which costs four
// times as much as the same bytes at once.
//
//     SQLite ──► WalGatherer ──► another VFS ──► files
//                   └── the write-ahead log only; every other file is the other VFS's own
//
// The log's format (https://sqlite.org/fileformat2.html#walformat): a header of 32 bytes, then frames: 24 bytes, then a
// page. Bytes 4 to 7 of the last frame of a transaction, and of no other, are not 0. With its page everything is
// written, so that SQLite hears of a failure before it takes the transaction for committed, and before it tells the
// index in shared memory, from which other connections know of it. What was not gathered in order is written as it
// comes. A process that ends meanwhile leaves the log without the last frame: the transaction was none.
#pragma once

#include <sqlite3.h>

#include <string>

namespace ssequel::store {

// One connection at a time; its thread only. Outlives it.
class WalGatherer {
 public:
  // Gathered at most; a transaction may have more.
  static constexpr std::size_t kMostBytes = 112 * 1024;

  // base: the name of the VFS below; null for SQLite's own. Registers itself.
  explicit WalGatherer(const char* base);
  ~WalGatherer();
  WalGatherer(const WalGatherer&) = delete;
  WalGatherer& operator=(const WalGatherer&) = delete;
  // For sqlite3_open_v2(), which knows no such VFS where the one below does not exist.
  [[nodiscard]] const char* name() const { return name_.c_str(); }

 private:
  struct Vfs : sqlite3_vfs {
    sqlite3_vfs* base;
  };
  struct File;
  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags);

  sqlite3_vfs* const base_;
  const std::string name_;
  Vfs vfs_{};
};

}  // namespace ssequel::store
