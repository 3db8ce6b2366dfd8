// What a transaction adds to the write-ahead log, gathered: one write, there before SQLite says that it is committed.
#include "store/wal_gatherer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <random>
#include <string>

#include "store/sqlite.h"
#include "support/faulty_vfs.h"
#include "support/temporary_folder.h"

using namespace ssequel;
using namespace ssequel::store;
using namespace ssequel::test;

namespace {

Database open(const std::string& path, const char* vfs, bool gathers, int cached_pages = 500) {
  auto database = Database::open(path, vfs, gathers);
  REQUIRE_MESSAGE(database, database.error().context);
  REQUIRE(database->run("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"));
  REQUIRE(database->run(fmt::format("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size={}", cached_pages)));
  REQUIRE(database->run("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, x BLOB)"));
  return std::move(*database);
}

// Of all that the database holds.
std::int64_t digest(Database& database) {
  REQUIRE(database.ask("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'").value() == 1);
  return *database.ask("SELECT count(*) + total(n * (length(x) + unicode(hex(x)))) FROM t").value();
}

// What somebody finds who comes when the process has been killed: the files as they are, without its memory.
std::int64_t digest_after_a_kill(const TemporaryFolder& folder, const std::string& path) {
  const auto copy = folder.path("copy.db");
  for (const std::string suffix : {"", "-wal"}) {
    std::filesystem::copy_file(path + suffix, copy + suffix, std::filesystem::copy_options::overwrite_existing);
  }
  std::filesystem::remove(copy + "-shm");
  auto database = Database::open(copy, nullptr);
  REQUIRE(database);
  return digest(*database);
}

}  // namespace

TEST_CASE("a transaction is written at once, however many pages it has, and others see it") {
  TemporaryFolder folder;
  FaultyVfs vfs("below", false);
  for (const int bytes : {10, 5000, 100'000, 131'072, 300'000, 1'048'576}) {
    CAPTURE(bytes);
    auto writer = open(folder.path("a.db"), "below", true);
    auto reader = open(folder.path("a.db"), "below", false);
    const auto before = vfs.count(VfsCall::Write, FileKind::Wal);
    REQUIRE(writer.run(fmt::format("INSERT INTO t VALUES({}, zeroblob({}))", bytes, bytes)));
    const auto writes = vfs.count(VfsCall::Write, FileKind::Wal) - before;
    CHECK(writes >= 1);
    CHECK(writes <= static_cast<std::uint64_t>(1 + bytes / 100'000));
    CHECK(reader.ask(fmt::format("SELECT length(x) FROM t WHERE n={}", bytes)).value() == bytes);
  }
}

TEST_CASE("whatever a transaction does, the files hold it when it is committed, and nothing of it before") {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    TemporaryFolder folder;
    const auto path = folder.path("a.db");
    // With few pages cached: pages go to the log before their transaction ends, and are changed there again.
    auto subject = open(path, nullptr, true, seed % 2 == 0 ? 500 : 5);
    auto model = open(folder.path("model.db"), nullptr, false);
    const auto run = [&](const std::string& sql) {
      REQUIRE(subject.run(sql));
      REQUIRE(model.run(sql));
    };
    for (int transaction = 0; transaction < 60; ++transaction) {
      const auto held = digest(subject);
      run("BEGIN");
      for (unsigned i = 0, count = 1 + below(30); i < count; ++i) {
        const auto n = below(60);
        switch (below(6)) {
          case 0:
            run(fmt::format("DELETE FROM t WHERE n BETWEEN {} AND {}", n, n + 5));
            break;
          case 1:
            run(fmt::format("SAVEPOINT s; UPDATE t SET x=zeroblob({}); ROLLBACK TO s; RELEASE s", n * 20));
            break;
          case 2:
            run(fmt::format("UPDATE t SET x=x'0{}' WHERE n={}", n % 10, n));
            break;
          default:
            run(fmt::format("REPLACE INTO t VALUES({}, zeroblob({}))", n, below(8000)));
        }
      }
      if (below(4) == 0) CHECK(digest_after_a_kill(folder, path) == held);
      run(below(5) == 0 ? "ROLLBACK" : "COMMIT");
      const auto now = digest(model);
      CHECK(digest(subject) == now);
      CHECK(digest_after_a_kill(folder, path) == now);
      if (below(8) == 0) run("PRAGMA wal_checkpoint(PASSIVE)");  // The log begins anew with the next one.
    }
  }
}

TEST_CASE("a transaction that cannot be written fails as a whole, and can be tried again") {
  TemporaryFolder folder;
  FaultyVfs vfs("below", false);
  auto writer = open(folder.path("a.db"), "below", true);
  REQUIRE(writer.run("INSERT INTO t VALUES(1, zeroblob(3000))"));
  const auto held = digest(writer);
  for (const bool tears : {false, true}) {
    vfs.inject({.call = VfsCall::Write, .kind = FileKind::Wal, .code = SQLITE_FULL, .tears = tears});
    CHECK_FALSE(writer.run("INSERT INTO t VALUES(2, zeroblob(30000))"));
    CHECK(vfs.hits() == (tears ? 2 : 1));
    vfs.clear();
    CHECK(digest(writer) == held);
    CHECK(digest_after_a_kill(folder, folder.path("a.db")) == held);
  }
  CHECK(writer.run("INSERT INTO t VALUES(2, zeroblob(30000))"));
  CHECK(digest_after_a_kill(folder, folder.path("a.db")) == digest(writer));
}

TEST_CASE("a VFS that does not exist is an error") {
  TemporaryFolder folder;
  CHECK_FALSE(Database::open(folder.path("a.db"), "no such", true));
}
