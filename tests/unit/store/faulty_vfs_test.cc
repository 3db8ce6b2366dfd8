// The disk that fails on demand, against plain SQLite: each fault must be seen by it as intended, or every test that
// stands on it proves nothing.
#include "support/faulty_vfs.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "support/temporary_folder.h"

namespace ssequel::test {
namespace {

using Survives = FaultyVfs::Survives;

class Database {
 public:
  explicit Database(const std::string& path) {
    open_code = sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    sqlite3_extended_result_codes(handle_, 1);
  }
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  int run(const std::string& sql) { return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr); }
  // The first column of the first row; empty on an error.
  std::string ask(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    std::string answer;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
      if (const auto* text = sqlite3_column_text(statement, 0)) answer = reinterpret_cast<const char*>(text);
    }
    sqlite3_finalize(statement);
    return answer;
  }
  int begin(const char* synchronous = "FULL") {
    run(std::string("PRAGMA journal_mode = WAL; PRAGMA synchronous = ") + synchronous);
    return run("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, x BLOB)");
  }
  int insert(int n) {
    return run("INSERT INTO t VALUES (" + std::to_string(n) + ", zeroblob(" + std::to_string(100 * n % 3000) + "))");
  }
  std::string numbers() { return ask("SELECT group_concat(n) FROM (SELECT n FROM t ORDER BY n)"); }
  std::string integrity() { return ask("PRAGMA integrity_check"); }

  int open_code;

 private:
  sqlite3* handle_ = nullptr;
};

struct Setup {
  TemporaryFolder folder;
  std::string path = folder.path("a.db");
  FaultyVfs vfs;
};

TEST_CASE("without a fault everything goes through, and is counted for each kind of file") {
  Setup setup;
  {
    Database database(setup.path);
    REQUIRE(database.begin() == SQLITE_OK);
    REQUIRE(database.insert(1) == SQLITE_OK);
    CHECK(database.numbers() == "1");
    CHECK(setup.vfs.open_files() == 2);
    CHECK(setup.vfs.count(VfsCall::Open, FileKind::Database) == 1);
    CHECK(setup.vfs.count(VfsCall::Open, FileKind::Wal) == 1);
    CHECK(setup.vfs.count(VfsCall::Write, FileKind::Wal) > 0);
    CHECK(setup.vfs.count(VfsCall::Sync, FileKind::Wal) > 0);
    CHECK(setup.vfs.count(VfsCall::ShmMap) > 0);
    CHECK(setup.vfs.count(VfsCall::Truncate, FileKind::Wal) == 0);
    REQUIRE(database.run("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
    CHECK(setup.vfs.count(VfsCall::Write, FileKind::Database) > 0);
    CHECK(setup.vfs.count(VfsCall::Sync, FileKind::Database) > 0);
    CHECK(setup.vfs.count(VfsCall::Truncate, FileKind::Wal) == 1);
    CHECK(setup.vfs.count(VfsCall::Delete, FileKind::Wal) == 0);
  }
  CHECK(setup.vfs.count(VfsCall::Delete, FileKind::Wal) == 1);
  CHECK(setup.vfs.count(VfsCall::Read) == setup.vfs.count(VfsCall::Read, FileKind::Database) +
                                              setup.vfs.count(VfsCall::Read, FileKind::Wal) +
                                              setup.vfs.count(VfsCall::Read, FileKind::Other));
  CHECK(setup.vfs.open_files() == 0);
  CHECK(setup.vfs.hits() == 0);
}

TEST_CASE("a failed write is the code that was asked for, and the next one succeeds") {
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_FULL, SQLITE_READONLY, SQLITE_NOMEM}) {
    CAPTURE(code);
    Setup setup;
    Database database(setup.path);
    REQUIRE(database.begin() == SQLITE_OK);
    setup.vfs.inject({.call = VfsCall::Write, .kind = FileKind::Wal, .code = code});
    CHECK(database.insert(1) == code);
    CHECK(setup.vfs.hits() == 1);
    CHECK(database.insert(2) == SQLITE_OK);
    CHECK(database.numbers() == "2");
  }
}

TEST_CASE("a fault hits the n-th call, for as many calls as it says, or until it is cleared") {
  Setup setup;
  Database database(setup.path);
  REQUIRE(database.begin() == SQLITE_OK);
  const auto before = setup.vfs.count(VfsCall::Sync, FileKind::Wal);
  setup.vfs.inject({.call = VfsCall::Sync, .kind = FileKind::Wal, .at = 3, .times = 2, .code = SQLITE_IOERR_FSYNC});
  REQUIRE(database.insert(1) == SQLITE_OK);
  REQUIRE(database.insert(2) == SQLITE_OK);
  REQUIRE(setup.vfs.count(VfsCall::Sync, FileKind::Wal) == before + 2);
  CHECK(database.insert(3) == SQLITE_IOERR_FSYNC);
  CHECK(database.insert(4) == SQLITE_IOERR_FSYNC);
  CHECK(database.insert(5) == SQLITE_OK);
  setup.vfs.inject({.call = VfsCall::Write, .times = Fault::kForever, .code = SQLITE_FULL});
  for (int i = 0; i < 5; ++i) CHECK(database.insert(6) == SQLITE_FULL);
  setup.vfs.clear();
  CHECK(database.insert(6) == SQLITE_OK);
  CHECK(database.numbers() == "1,2,5,6");
}

TEST_CASE("opening, reading, deleting and shared memory fail, too") {
  SUBCASE("open of the database") {
    Setup setup;
    setup.vfs.inject({.call = VfsCall::Open, .kind = FileKind::Database, .code = SQLITE_CANTOPEN});
    CHECK(Database(setup.path).open_code == SQLITE_CANTOPEN);
    CHECK(Database(setup.path).open_code == SQLITE_OK);
  }
  SUBCASE("open of the WAL") {
    Setup setup;
    setup.vfs.inject({.call = VfsCall::Open, .kind = FileKind::Wal, .code = SQLITE_CANTOPEN});
    Database database(setup.path);
    CHECK(database.begin() == SQLITE_CANTOPEN);
    CHECK(database.begin() == SQLITE_OK);
  }
  SUBCASE("read of the database") {
    Setup setup;
    {
      Database database(setup.path);
      REQUIRE(database.begin() == SQLITE_OK);
      REQUIRE(database.insert(1) == SQLITE_OK);
    }
    Database database(setup.path);
    setup.vfs.inject({.call = VfsCall::Read, .times = Fault::kForever, .code = SQLITE_IOERR_READ});
    CHECK(database.run("SELECT * FROM t") == SQLITE_IOERR_READ);
    setup.vfs.clear();
    CHECK(database.numbers() == "1");
    setup.vfs.inject({.call = VfsCall::Read, .times = Fault::kForever, .code = SQLITE_IOERR_SHORT_READ});
    CHECK(Database(setup.path).run("SELECT * FROM t") == SQLITE_NOTADB);  // It seems to hold nothing but zeros.
  }
  SUBCASE("deletion of the WAL") {
    Setup setup;
    {
      Database database(setup.path);
      REQUIRE(database.begin() == SQLITE_OK);
      setup.vfs.inject({.call = VfsCall::Delete, .code = SQLITE_IOERR_DELETE});
    }
    CHECK(setup.vfs.hits() == 1);
    CHECK(std::filesystem::exists(setup.path + "-wal"));
  }
  SUBCASE("shared memory") {
    Setup setup;
    setup.vfs.inject({.call = VfsCall::ShmMap, .code = SQLITE_IOERR_SHMMAP});
    Database database(setup.path);
    CHECK(database.begin() == SQLITE_IOERR_SHMMAP);
    CHECK(database.begin() == SQLITE_OK);
  }
}

TEST_CASE("a torn write leaves its first half in the file") {
  Setup setup;
  Database database(setup.path);
  REQUIRE(database.begin() == SQLITE_OK);
  REQUIRE(database.run("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
  setup.vfs.inject({.call = VfsCall::Write, .kind = FileKind::Wal, .at = 3, .code = SQLITE_IOERR_WRITE, .tears = true});
  CHECK(database.insert(1) == SQLITE_IOERR_WRITE);
  // https://sqlite.org/fileformat2.html#walformat: the header, a frame's header, half of its page.
  CHECK(std::filesystem::file_size(setup.path + "-wal") == 32 + 24 + 2048);
  CHECK(database.insert(2) == SQLITE_OK);
  CHECK(database.numbers() == "2");
  CHECK(database.integrity() == "ok");
}

TEST_CASE("a slow call takes its time, and no longer than until the fault is cleared") {
  Setup setup;
  Database database(setup.path);
  REQUIRE(database.begin() == SQLITE_OK);
  const auto seconds = [](auto begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  auto begin = std::chrono::steady_clock::now();
  setup.vfs.inject({.call = VfsCall::Sync, .code = SQLITE_OK, .delay = std::chrono::milliseconds(50)});
  CHECK(database.insert(1) == SQLITE_OK);
  CHECK(seconds(begin) >= 0.05);
  setup.vfs.inject({.call = VfsCall::Sync, .code = SQLITE_OK, .delay = std::chrono::hours(1)});
  begin = std::chrono::steady_clock::now();
  std::thread other([&] { CHECK(database.insert(2) == SQLITE_OK); });
  while (setup.vfs.hits() < 2) std::this_thread::yield();
  setup.vfs.clear();
  other.join();
  CHECK(seconds(begin) < 60);
  CHECK(database.numbers() == "1,2");
}

TEST_CASE("a machine that stopped writes nothing more, and a killed process leaves all that was written") {
  Setup setup;
  {
    Database database(setup.path);
    REQUIRE(database.begin("NORMAL") == SQLITE_OK);
    REQUIRE(database.insert(1) == SQLITE_OK);
    setup.vfs.stop_at(VfsCall::Write, FileKind::Wal, 1);
    CHECK(database.insert(2) != SQLITE_OK);
    CHECK(setup.vfs.has_stopped());
    CHECK(database.insert(3) != SQLITE_OK);
    CHECK(database.run("PRAGMA wal_checkpoint(TRUNCATE)") != SQLITE_OK);
  }
  CHECK(std::filesystem::exists(setup.path + "-wal"));
  setup.vfs.start_again(Survives::Everything);
  Database database(setup.path);
  CHECK(database.numbers() == "1");
  CHECK(database.insert(2) == SQLITE_OK);
}

TEST_CASE("lost power takes what was not synced: with NORMAL the commits since the last checkpoint, with FULL none") {
  for (const bool full : {false, true}) {
    CAPTURE(full);
    Setup setup;
    {
      Database database(setup.path);
      REQUIRE(database.begin(full ? "FULL" : "NORMAL") == SQLITE_OK);
      REQUIRE(database.insert(1) == SQLITE_OK);
      REQUIRE(database.run("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
      REQUIRE(database.insert(2) == SQLITE_OK);
      REQUIRE(database.insert(3) == SQLITE_OK);
      setup.vfs.stop();
    }
    setup.vfs.start_again(Survives::Synced);
    Database database(setup.path);
    CHECK(database.numbers() == (full ? "1,2,3" : "1"));
    CHECK(database.integrity() == "ok");
  }
}

TEST_CASE("of what was not synced any mixture of sectors may survive, and SQLite keeps a consistent beginning") {
  std::size_t all = 0, some = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Setup setup;
    {
      Database database(setup.path);
      REQUIRE(database.begin("NORMAL") == SQLITE_OK);
      REQUIRE(database.run("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
      for (int n = 1; n <= 4; ++n) REQUIRE(database.insert(n) == SQLITE_OK);
      setup.vfs.stop();
    }
    setup.vfs.start_again(Survives::Mixture, seed);
    Database database(setup.path);
    const auto left = database.numbers();
    CHECK(std::string("1,2,3,4").starts_with(left));
    CHECK(database.integrity() == "ok");
    ++(left == "1,2,3,4" ? all : some);
  }
  CHECK(some > 30);
  CHECK(all < 10);
}

TEST_CASE("what a failed sync was to make safe is lost although a later sync succeeds") {
  Setup setup;
  const auto open = [&](int flags) {
    sqlite3_vfs* vfs = sqlite3_vfs_find("faulty");
    auto* file = static_cast<sqlite3_file*>(sqlite3_malloc(vfs->szOsFile));
    REQUIRE(vfs->xOpen(vfs, setup.path.c_str(), file, flags, nullptr) == SQLITE_OK);
    return file;
  };
  constexpr int kFlags = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const std::string before(1024, 'a'), after(1024, 'b');
  sqlite3_file* file = open(kFlags);
  REQUIRE(file->pMethods->xWrite(file, before.data(), 1024, 0) == SQLITE_OK);
  REQUIRE(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK);
  REQUIRE(file->pMethods->xWrite(file, after.data(), 512, 0) == SQLITE_OK);
  setup.vfs.inject({.call = VfsCall::Sync, .code = SQLITE_IOERR_FSYNC});
  CHECK(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_IOERR_FSYNC);
  REQUIRE(file->pMethods->xWrite(file, after.data(), 512, 512) == SQLITE_OK);
  REQUIRE(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK);
  REQUIRE(file->pMethods->xClose(file) == SQLITE_OK);
  sqlite3_free(file);
  setup.vfs.stop();
  setup.vfs.start_again(Survives::Synced);
  std::string found(1024, '?');
  std::ifstream(setup.path, std::ios::binary).read(found.data(), 1024);
  CHECK(found == before.substr(0, 512) + after.substr(0, 512));
}

TEST_CASE("a file that others put in its place is taken as it stands") {
  Setup setup;
  {
    Database database(setup.path);
    REQUIRE(database.begin() == SQLITE_OK);
    REQUIRE(database.insert(1) == SQLITE_OK);
  }
  std::filesystem::rename(setup.path, setup.path + ".aside");
  {
    Database database(setup.path);
    REQUIRE(database.begin() == SQLITE_OK);
    REQUIRE(database.insert(7) == SQLITE_OK);
    setup.vfs.stop();
  }
  setup.vfs.start_again(Survives::Synced);
  CHECK(Database(setup.path).numbers() == "7");
  CHECK(Database(setup.path + ".aside").numbers() == "1");
}

TEST_CASE("two threads with connections of their own may use it at once") {
  Setup setup;
  {
    Database database(setup.path);
    REQUIRE(database.begin("NORMAL") == SQLITE_OK);
  }
  const auto work = [&](int from) {
    Database database(setup.path);
    database.run("PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL");
    for (int n = from; n < from + 50; ++n) CHECK(database.insert(n) == SQLITE_OK);
  };
  std::thread other(work, 1000);
  work(1);
  other.join();
  CHECK(Database(setup.path).ask("SELECT count(*) FROM t") == "100");
}

}  // namespace
}  // namespace ssequel::test
