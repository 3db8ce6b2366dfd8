#include "store/wal_gatherer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <new>

namespace ssequel::store {
namespace {

constexpr int kFrameHeader = 24;
constexpr std::size_t kMostAtOnce = 120 * 1024;  // SQLite's own VFS writes less than 128 KiB at once.

bool ends_transaction(const char* header) {
  return std::any_of(header + 4, header + 8, [](char c) { return c != 0; });
}

}  // namespace

// Lies in memory of SQLite's; the file of the VFS below lies behind it.
struct WalGatherer::File : sqlite3_file {
  std::string gathered;
  sqlite3_int64 at = 0;   // Where it belongs.
  sqlite3_int64 end = 0;  // Behind the last byte ever gathered since the log began anew.
  bool is_last = false;   // The page to come is the transaction's last.

  static File& of(sqlite3_file* file) { return *static_cast<File*>(file); }
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }

  int flush() {
    if (gathered.empty()) return SQLITE_OK;
    int code = SQLITE_OK;
    for (std::size_t done = 0; done < gathered.size() && code == SQLITE_OK; done += kMostAtOnce) {
      const auto size = static_cast<int>(std::min(kMostAtOnce, gathered.size() - done));
      code = real()->pMethods->xWrite(real(), gathered.data() + done, size, at + static_cast<sqlite3_int64>(done));
    }
    // A transaction that failed is written anew, all of it.
    gathered.clear();
    is_last = false;
    return code;
  }

  int add(const char* bytes, int size, sqlite3_int64 offset) {
    if (offset == 0) end = 0;
    // A page that a transaction changed again after it had been written, and then its frames' sums: no new frame.
    if (offset < end) {
      const int code = flush();
      return code == SQLITE_OK ? real()->pMethods->xWrite(real(), bytes, size, offset) : code;
    }
    if (offset != at + static_cast<sqlite3_int64>(gathered.size())) {
      if (const int code = flush(); code != SQLITE_OK) return code;
    }
    if (gathered.empty()) at = offset;
    gathered.append(bytes, static_cast<std::size_t>(size));
    end = offset + size;
    if (size == kFrameHeader) {
      is_last = ends_transaction(bytes);
      return SQLITE_OK;
    }
    return is_last || gathered.size() >= kMostBytes ? flush() : SQLITE_OK;
  }

  // Called through C: nothing is thrown across it.
  static int close(sqlite3_file* file) {
    auto* const self = &of(file);
    auto* const real = self->real();
    const int code = real->pMethods->xClose(real);  // What was gathered belongs to no transaction that succeeded.
    self->~File();
    return code;
  }
  static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    if (const int code = of(file).flush(); code != SQLITE_OK) return code;
    return of(file).real()->pMethods->xRead(of(file).real(), to, size, offset);
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    return of(file).add(static_cast<const char*>(bytes), size, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (const int code = of(file).flush(); code != SQLITE_OK) return code;
    return of(file).real()->pMethods->xTruncate(of(file).real(), size);
  }
  static int sync(sqlite3_file* file, int flags) {
    if (const int code = of(file).flush(); code != SQLITE_OK) return code;
    return of(file).real()->pMethods->xSync(of(file).real(), flags);
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) {
    if (const int code = of(file).flush(); code != SQLITE_OK) return code;
    return of(file).real()->pMethods->xFileSize(of(file).real(), out);
  }
  static int lock(sqlite3_file* file, int level) { return of(file).real()->pMethods->xLock(of(file).real(), level); }
  static int unlock(sqlite3_file* file, int level) {
    return of(file).real()->pMethods->xUnlock(of(file).real(), level);
  }
  static int check_reserved(sqlite3_file* file, int* out) {
    return of(file).real()->pMethods->xCheckReservedLock(of(file).real(), out);
  }
  static int control(sqlite3_file* file, int operation, void* argument) {
    return of(file).real()->pMethods->xFileControl(of(file).real(), operation, argument);
  }
  static int sector_size(sqlite3_file* file) { return of(file).real()->pMethods->xSectorSize(of(file).real()); }
  static int characteristics(sqlite3_file* file) {
    return of(file).real()->pMethods->xDeviceCharacteristics(of(file).real());
  }
  // Version 1: neither shared memory nor maps, which are the database file's.
  static constexpr sqlite3_io_methods kMethods = {.iVersion = 1,
                                                  .xClose = close,
                                                  .xRead = read,
                                                  .xWrite = write,
                                                  .xTruncate = truncate,
                                                  .xSync = sync,
                                                  .xFileSize = size,
                                                  .xLock = lock,
                                                  .xUnlock = unlock,
                                                  .xCheckReservedLock = check_reserved,
                                                  .xFileControl = control,
                                                  .xSectorSize = sector_size,
                                                  .xDeviceCharacteristics = characteristics,
                                                  .xShmMap = nullptr,
                                                  .xShmLock = nullptr,
                                                  .xShmBarrier = nullptr,
                                                  .xShmUnmap = nullptr,
                                                  .xFetch = nullptr,
                                                  .xUnfetch = nullptr};
};

WalGatherer::WalGatherer(const char* base)
    : base_(sqlite3_vfs_find(base)), name_(fmt::format("ssequel-{}", static_cast<const void*>(this))) {
  if (!base_) return;
  static_cast<sqlite3_vfs&>(vfs_) = *base_;
  vfs_.base = base_;
  vfs_.pNext = nullptr;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.xOpen = open;
  sqlite3_vfs_register(&vfs_, 0);
}

WalGatherer::~WalGatherer() {
  if (base_) sqlite3_vfs_unregister(&vfs_);
}

int WalGatherer::open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto* const base = static_cast<Vfs*>(vfs)->base;
  if ((flags & SQLITE_OPEN_WAL) == 0) return base->xOpen(base, path, file, flags, out_flags);
  file->pMethods = nullptr;
  static_assert(alignof(File) <= 8 && sizeof(File) % 8 == 0, "as SQLite aligns it");
  auto* const self = new (file) File{};
  const int code = base->xOpen(base, path, self->real(), flags, out_flags);
  if (code == SQLITE_OK) {
    self->pMethods = &File::kMethods;
    return code;
  }
  if (self->real()->pMethods) self->real()->pMethods->xClose(self->real());
  self->~File();
  file->pMethods = nullptr;
  return code;
}

}  // namespace ssequel::store
