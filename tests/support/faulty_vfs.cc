#include "support/faulty_vfs.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <random>
#include <system_error>

#include "base/assert.h"

namespace ssequel::test {
namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

FileKind kind_of(int flags) {
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return FileKind::Database;
  if ((flags & SQLITE_OPEN_WAL) != 0) return FileKind::Wal;
  return FileKind::Other;
}

FileKind kind_of(std::string_view path) { return path.ends_with("-wal") ? FileKind::Wal : FileKind::Other; }

}  // namespace

std::string_view name_of(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::Database:
      return "database";
    case FileKind::Wal:
      return "WAL";
    case FileKind::Other:
      return "other file";
  }
  return {};
}

std::string_view name_of(VfsCall call) noexcept {
  switch (call) {
    case VfsCall::Open:
      return "open";
    case VfsCall::Read:
      return "read";
    case VfsCall::Write:
      return "write";
    case VfsCall::Truncate:
      return "truncate";
    case VfsCall::Sync:
      return "sync";
    case VfsCall::Delete:
      return "delete";
    case VfsCall::ShmMap:
      return "map of shared memory";
  }
  return {};
}

struct FaultyVfs::Disk {
  bool exists = false;
  std::string now;                       // What the file holds.
  std::optional<std::string> safe;       // What a sync has left of it; nullopt: it was not there.
  std::set<std::size_t> unsafe_sectors;  // Written since.
  std::size_t connections = 0;

  void write(std::size_t offset, std::string_view bytes) {
    if (now.size() < offset + bytes.size()) now.resize(offset + bytes.size());
    bytes.copy(now.data() + offset, bytes.size());
    if (bytes.empty()) return;
    for (auto sector = offset / kSectorBytes; sector <= (offset + bytes.size() - 1) / kSectorBytes; ++sector) {
      unsafe_sectors.insert(sector);
    }
  }
  void keep_sector(std::string& image, std::size_t sector) const {
    const auto begin = sector * kSectorBytes;
    if (begin >= now.size() || begin >= image.size()) return;
    now.copy(image.data() + begin, std::min({kSectorBytes, now.size() - begin, image.size() - begin}), begin);
  }
  void sync() {
    std::string image = safe.value_or(std::string());
    image.resize(now.size());
    for (const auto sector : unsafe_sectors) keep_sector(image, sector);
    safe = std::move(image);
    unsafe_sectors.clear();
  }
  void set(std::string content) {
    exists = true;
    now = std::move(content);
    safe = now;
    unsafe_sectors.clear();
  }
  // What is found after power was lost.
  [[nodiscard]] std::optional<std::string> mixture(std::mt19937_64& random) const {
    const auto coin = [&random] { return (random() & 1) != 0; };
    if (!exists) return safe && coin() ? safe : std::nullopt;  // Its deletion was not synced.
    if (!safe && coin()) return std::nullopt;
    std::string image = safe.value_or(std::string());
    if (coin()) image.resize(now.size());
    for (const auto sector : unsafe_sectors) {
      if (coin()) keep_sector(image, sector);
    }
    return image;
  }
};

// Lies in memory that SQLite gives, in front of the default VFS's own file.
struct FaultyVfs::Connection {
  sqlite3_file head;
  FaultyVfs* owner;
  FileKind kind;
  std::shared_ptr<Disk> disk;

  static Connection& of(sqlite3_file* file) { return *reinterpret_cast<Connection*>(file); }
  [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(this) + kSize); }
  static const int kSize;
};
const int FaultyVfs::Connection::kSize = (sizeof(FaultyVfs::Connection) + 15) / 16 * 16;

struct FaultyVfs::Shim {
  static FaultyVfs& owner(sqlite3_vfs* vfs) { return *static_cast<FaultyVfs*>(vfs->pAppData); }
  static sqlite3_vfs* base(sqlite3_vfs* vfs) { return owner(vfs).base_; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    FaultyVfs& self = owner(vfs);
    file->pMethods = nullptr;
    const auto kind = kind_of(flags);
    if (const auto verdict = self.judge(VfsCall::Open, kind); verdict.code != SQLITE_OK) return verdict.code;
    auto& connection = *new (file) Connection{{nullptr}, &self, kind, nullptr};
    const int code = self.base_->xOpen(self.base_, path, connection.real(), flags, out_flags);
    if (code != SQLITE_OK) {
      connection.~Connection();
      return code;
    }
    if (path != nullptr) {
      const std::lock_guard lock(self.mutex_);
      connection.disk = self.disk_of(path);
      ++connection.disk->connections;
      ++self.open_files_;
    }
    connection.head.pMethods = self.methods_.get();
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_folder) {
    FaultyVfs& self = owner(vfs);
    if (const auto verdict = self.judge(VfsCall::Delete, kind_of(path)); verdict.code != SQLITE_OK) return verdict.code;
    const int code = self.base_->xDelete(self.base_, path, sync_folder);
    const std::lock_guard lock(self.mutex_);
    if (const auto found = self.disks_.find(path); found != self.disks_.end() && code == SQLITE_OK) {
      Disk& disk = *found->second;
      disk.exists = false;
      disk.now.clear();
      disk.unsafe_sectors.clear();
      if (sync_folder != 0) disk.safe.reset();
    }
    return code;
  }
  static int access(sqlite3_vfs* vfs, const char* path, int flags, int* out) {
    if (owner(vfs).has_stopped()) return SQLITE_IOERR_ACCESS;
    return base(vfs)->xAccess(base(vfs), path, flags, out);
  }
  static int full_path(sqlite3_vfs* vfs, const char* path, int size, char* out) {
    return base(vfs)->xFullPathname(base(vfs), path, size, out);
  }
  static int randomness(sqlite3_vfs* vfs, int size, char* out) { return base(vfs)->xRandomness(base(vfs), size, out); }
  static int sleep(sqlite3_vfs* vfs, int micros) { return base(vfs)->xSleep(base(vfs), micros); }
  static int current_time(sqlite3_vfs* vfs, double* out) { return base(vfs)->xCurrentTime(base(vfs), out); }
  static int current_time_64(sqlite3_vfs* vfs, sqlite3_int64* out) {
    return base(vfs)->xCurrentTimeInt64(base(vfs), out);
  }
  static int last_error(sqlite3_vfs* vfs, int size, char* out) {
    return base(vfs)->xGetLastError(base(vfs), size, out);
  }

  static int close(sqlite3_file* file) {
    auto& connection = Connection::of(file);
    const int code =
        connection.real()->pMethods == nullptr ? SQLITE_OK : connection.real()->pMethods->xClose(connection.real());
    if (connection.disk != nullptr) {
      const std::lock_guard lock(connection.owner->mutex_);
      --connection.disk->connections;
      --connection.owner->open_files_;
    }
    connection.~Connection();
    return code;
  }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    auto& connection = Connection::of(file);
    const auto verdict = connection.owner->judge(VfsCall::Read, connection.kind);
    if (verdict.code == SQLITE_IOERR_SHORT_READ) std::memset(out, 0, static_cast<std::size_t>(size));
    if (verdict.code != SQLITE_OK) return verdict.code;
    return connection.real()->pMethods->xRead(connection.real(), out, size, offset);
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    auto& connection = Connection::of(file);
    const auto verdict = connection.owner->judge(VfsCall::Write, connection.kind);
    if (verdict.code != SQLITE_OK) {
      if (!verdict.tears) return verdict.code;
      size /= 2;
    }
    const int code = connection.real()->pMethods->xWrite(connection.real(), bytes, size, offset);
    if (code == SQLITE_OK && connection.disk != nullptr) {
      const std::lock_guard lock(connection.owner->mutex_);
      connection.disk->write(static_cast<std::size_t>(offset),
                             std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size)));
    }
    return verdict.code != SQLITE_OK ? verdict.code : code;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    auto& connection = Connection::of(file);
    const auto verdict = connection.owner->judge(VfsCall::Truncate, connection.kind);
    if (verdict.code != SQLITE_OK) return verdict.code;
    const int code = connection.real()->pMethods->xTruncate(connection.real(), size);
    if (code == SQLITE_OK && connection.disk != nullptr) {
      const std::lock_guard lock(connection.owner->mutex_);
      connection.disk->now.resize(static_cast<std::size_t>(size));
    }
    return code;
  }
  // Nothing waits for the real disk: what is safe is an account of our own.
  static int sync(sqlite3_file* file, int) {
    auto& connection = Connection::of(file);
    const auto verdict = connection.owner->judge(VfsCall::Sync, connection.kind);
    if (connection.disk == nullptr) return verdict.code;
    const std::lock_guard lock(connection.owner->mutex_);
    if (connection.owner->has_stopped_) return SQLITE_IOERR;
    if (verdict.code == SQLITE_OK) {
      // SQLite's unix VFS syncs the folder with the first sync of a new journal; a deletion before it is safe then.
      if (!connection.disk->safe && connection.kind != FileKind::Database) connection.owner->sync_deletions();
      connection.disk->sync();
    }
    connection.disk->unsafe_sectors.clear();
    return verdict.code;
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) {
    auto& connection = Connection::of(file);
    if (connection.owner->has_stopped()) return SQLITE_IOERR_FSTAT;
    return connection.real()->pMethods->xFileSize(connection.real(), out);
  }
  static int lock(sqlite3_file* file, int level) {
    auto& connection = Connection::of(file);
    if (connection.owner->has_stopped()) return SQLITE_IOERR_LOCK;
    return connection.real()->pMethods->xLock(connection.real(), level);
  }
  static int unlock(sqlite3_file* file, int level) {
    return Connection::of(file).real()->pMethods->xUnlock(Connection::of(file).real(), level);
  }
  static int check_reserved(sqlite3_file* file, int* out) {
    return Connection::of(file).real()->pMethods->xCheckReservedLock(Connection::of(file).real(), out);
  }
  static int control(sqlite3_file* file, int op, void* argument) {
    return Connection::of(file).real()->pMethods->xFileControl(Connection::of(file).real(), op, argument);
  }
  static int sector_size(sqlite3_file* file) {
    return Connection::of(file).real()->pMethods->xSectorSize(Connection::of(file).real());
  }
  static int characteristics(sqlite3_file* file) {
    return Connection::of(file).real()->pMethods->xDeviceCharacteristics(Connection::of(file).real());
  }
  static int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    auto& connection = Connection::of(file);
    const auto verdict = connection.owner->judge(VfsCall::ShmMap, connection.kind);
    if (verdict.code != SQLITE_OK) {
      *out = nullptr;
      return verdict.code;
    }
    return connection.real()->pMethods->xShmMap(connection.real(), region, size, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    auto& connection = Connection::of(file);
    if ((flags & SQLITE_SHM_LOCK) != 0 && connection.owner->has_stopped()) return SQLITE_IOERR_SHMLOCK;
    return connection.real()->pMethods->xShmLock(connection.real(), offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* file) {
    Connection::of(file).real()->pMethods->xShmBarrier(Connection::of(file).real());
  }
  static int shm_unmap(sqlite3_file* file, int deletes) {
    auto& connection = Connection::of(file);
    if (connection.owner->has_stopped()) deletes = 0;
    return connection.real()->pMethods->xShmUnmap(connection.real(), deletes);
  }
};

FaultyVfs::FaultyVfs(std::string name, bool as_default)
    : name_(std::move(name)),
      base_(sqlite3_vfs_find(nullptr)),
      vfs_(std::make_unique<sqlite3_vfs>()),
      methods_(std::make_unique<sqlite3_io_methods>()) {
  SSEQUEL_ASSERT(base_ != nullptr && sqlite3_vfs_find(name_.c_str()) == nullptr, "one VFS of a name");
  // Version 2: without memory-mapped files, which would go past us.
  *methods_ = {.iVersion = 2,
               .xClose = Shim::close,
               .xRead = Shim::read,
               .xWrite = Shim::write,
               .xTruncate = Shim::truncate,
               .xSync = Shim::sync,
               .xFileSize = Shim::size,
               .xLock = Shim::lock,
               .xUnlock = Shim::unlock,
               .xCheckReservedLock = Shim::check_reserved,
               .xFileControl = Shim::control,
               .xSectorSize = Shim::sector_size,
               .xDeviceCharacteristics = Shim::characteristics,
               .xShmMap = Shim::shm_map,
               .xShmLock = Shim::shm_lock,
               .xShmBarrier = Shim::shm_barrier,
               .xShmUnmap = Shim::shm_unmap,
               .xFetch = nullptr,
               .xUnfetch = nullptr};
  vfs_->iVersion = 2;
  vfs_->szOsFile = Connection::kSize + base_->szOsFile;
  vfs_->mxPathname = base_->mxPathname;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->xOpen = Shim::open;
  vfs_->xDelete = Shim::remove;
  vfs_->xAccess = Shim::access;
  vfs_->xFullPathname = Shim::full_path;
  vfs_->xRandomness = Shim::randomness;
  vfs_->xSleep = Shim::sleep;
  vfs_->xCurrentTime = Shim::current_time;
  vfs_->xGetLastError = Shim::last_error;
  vfs_->xCurrentTimeInt64 = Shim::current_time_64;
  sqlite3_vfs_register(vfs_.get(), as_default ? 1 : 0);
}

FaultyVfs::~FaultyVfs() {
  SSEQUEL_ASSERT(open_files() == 0, "every connection is closed before its VFS goes");
  sqlite3_vfs_unregister(vfs_.get());
  sqlite3_vfs_register(base_, 1);
}

void FaultyVfs::inject(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({fault, 0});
}

void FaultyVfs::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
  stop_.reset();
  ++clears_;
  cleared_.notify_all();
}

std::uint64_t FaultyVfs::count(VfsCall call) const {
  std::uint64_t all = 0;
  for (const auto kind : kFileKinds) all += count(call, kind);
  return all;
}

std::uint64_t FaultyVfs::count(VfsCall call, FileKind kind) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find({call, kind});
  return found == counts_.end() ? 0 : found->second;
}

std::uint64_t FaultyVfs::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

std::size_t FaultyVfs::open_files() const {
  const std::lock_guard lock(mutex_);
  return open_files_;
}

void FaultyVfs::stop_at(VfsCall call, std::optional<FileKind> kind, std::uint64_t at) {
  SSEQUEL_ASSERT(at > 0, "calls are counted from 1");
  const std::lock_guard lock(mutex_);
  stop_ = {call, kind, at};
}

void FaultyVfs::stop() {
  const std::lock_guard lock(mutex_);
  has_stopped_ = true;
}

bool FaultyVfs::has_stopped() const {
  const std::lock_guard lock(mutex_);
  return has_stopped_;
}

void FaultyVfs::start_again(Survives survives, std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  SSEQUEL_ASSERT(open_files_ == 0, "a machine that starts again has no open file");
  std::mt19937_64 random(seed);
  for (auto& [path, disk] : disks_) {
    if (survives != Survives::Everything) {
      const auto found = survives == Survives::Synced ? disk->safe : disk->mixture(random);
      if (found) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << *found;
      } else {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
      }
    }
    std::error_code ignored;
    std::filesystem::remove(path + "-shm", ignored);
  }
  disks_.clear();
  faults_.clear();
  stop_.reset();
  has_stopped_ = false;
}

FaultyVfs::Verdict FaultyVfs::judge(VfsCall call, FileKind kind) {
  std::unique_lock lock(mutex_);
  ++counts_[{call, kind}];
  const auto concerns = [&](VfsCall its_call, std::optional<FileKind> its_kind) {
    return its_call == call && (!its_kind || *its_kind == kind);
  };
  if (stop_ && concerns(stop_->call, stop_->kind) && --stop_->left == 0) {
    has_stopped_ = true;
    stop_.reset();
  }
  if (has_stopped_) return {SQLITE_IOERR, false};
  Verdict verdict;
  std::chrono::milliseconds delay{};
  bool is_hit = false;
  for (auto& [fault, seen] : faults_) {
    if (!concerns(fault.call, fault.kind)) continue;
    ++seen;
    if (seen < fault.at || seen - fault.at >= fault.times) continue;
    is_hit = true;
    delay = std::max(delay, fault.delay);
    if (verdict.code == SQLITE_OK) verdict = {fault.code, fault.tears && fault.code != SQLITE_OK};
  }
  if (is_hit) ++hits_;
  if (delay.count() > 0) {
    const auto clears = clears_;
    cleared_.wait_for(lock, delay, [&] { return clears_ != clears; });
    if (has_stopped_) return {SQLITE_IOERR, false};
  }
  return verdict;
}

// Locked.
void FaultyVfs::sync_deletions() {
  for (auto& [path, disk] : disks_) {
    if (!disk->exists) disk->safe.reset();
  }
}

// Locked. A file that others may have changed while nobody had it open is taken as safe as it stands.
std::shared_ptr<FaultyVfs::Disk> FaultyVfs::disk_of(const std::string& path) {
  auto& disk = disks_[path];
  if (disk == nullptr) {
    disk = std::make_shared<Disk>();
    if (auto content = content_of(path); !content.empty()) disk->set(std::move(content));
  } else if (disk->connections == 0) {
    if (auto content = content_of(path); disk->now != content || (!disk->exists && !content.empty())) {
      disk->set(std::move(content));
    }
  }
  disk->exists = true;
  return disk;
}

}  // namespace ssequel::test
