// The file itself: who may open it, its versions, what it knows of logs that are gone. Lives, faults and loss are told
// in disk_*_test.cc.
#include "store/journal_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/directory_lock.h"
#include "store/disk_store.h"
#include "store/journal_rows.h"
#include "store/layout.h"
#include "support/temporary_folder.h"

using namespace ssequel;
using namespace ssequel::store;
using namespace ssequel::test;

namespace {

constexpr std::int64_t kNow = 1'800'000'000'000'000;

std::unique_ptr<JournalFile> open_file(const TemporaryFolder& folder, std::string boot_id = "b") {
  auto file = JournalFile::open(
      {.directory = folder.path(), .sync_always = false, .vfs = nullptr, .boot_id = std::move(boot_id)});
  REQUIRE_MESSAGE(file, file.error().context);
  return std::move(*file);
}

std::string error_of(const TemporaryFolder& folder) {
  auto file = JournalFile::open({.directory = folder.path(), .sync_always = false, .vfs = nullptr, .boot_id = "b"});
  return file ? std::string() : file.error().context;
}

std::shared_ptr<Ledger> ledger_of(std::string key, std::string tag = {}) {
  auto ledger = std::make_shared<Ledger>();
  ledger->record.key = std::move(key);
  ledger->record.route = "feed";
  ledger->record.form.tag = std::move(tag);
  ledger->record.has_start = ledger->record.form.tag.empty();
  ledger->staged.head = "head";
  return ledger;
}

// Appends `count` entries; their frames are `bytes` long, about.
void stage(Ledger& ledger, std::uint64_t count, std::size_t bytes = 20) {
  auto next = ledger.progress.next;
  Change change;
  for (std::uint64_t i = 0; i < count; ++i, ++next) {
    const auto number = static_cast<std::uint64_t>(ledger.record.first_number) + next;
    const auto frame = "id: " + std::to_string(number) + "\ndata: " + std::string(bytes, 'x') + "\n\n";
    if (change.blocks.empty() || change.blocks.back().size() >= JournalFile::kMaxBlock) {
      change.blocks.push_back({.first = next, .count = 0, .frames = {}, .origins = {}});
    }
    change.blocks.back().append(
        {.place = next, .number = number, .origin = std::nullopt, .last_id = {}, .frame = frame});
    change.next_number = number + 1;
  }
  ledger.staged.merge(std::move(change));
}

std::int64_t ask(const TemporaryFolder& folder, std::string_view sql) {
  auto database = Database::open(JournalFile::path_in(folder.path()), nullptr);
  REQUIRE(database);
  auto answer = database->ask(sql);
  REQUIRE_MESSAGE(answer, answer.error().context);
  return answer->value_or(-1);
}

JournalFile::Loaded load(JournalFile& file) {
  auto loaded = file.load([](const auto&) { return replay::Bounds{}; }, kNow / 1000, Millis(1000));
  REQUIRE_MESSAGE(loaded, loaded.error().context);
  return std::move(*loaded);
}

}  // namespace

TEST_CASE("a directory has one holder, whose process id the other one is told") {
  TemporaryFolder folder;
  const auto path = folder.path("journal");
  {
    auto lock = DirectoryLock::take(path);
    REQUIRE(lock);
    auto second = DirectoryLock::take(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::Misconfigured);
    CHECK(second.error().context.find(path + " is held by another ssequel, process " + std::to_string(::getpid())) !=
          std::string::npos);
  }
  CHECK(DirectoryLock::take(path));
}

TEST_CASE("a directory that cannot be made or written is named, with the way out") {
  TemporaryFolder folder;
  folder.write("file", "");
  const auto nested = DirectoryLock::take(folder.path("missing/deep"));
  REQUIRE_FALSE(nested);
  CHECK(nested.error().context.find("missing/deep (No such file or directory); make it") != std::string::npos);
  const auto file = DirectoryLock::take(folder.path("file"));
  REQUIRE_FALSE(file);
  CHECK(file.error().context.find("Not a directory") != std::string::npos);
}

TEST_CASE("an older file is migrated, a newer one and another program's are refused") {
  TemporaryFolder folder;
  SUBCASE("older") {
    auto ledger = ledger_of("key");
    {
      auto file = open_file(folder);
      REQUIRE(file->begin_run(kNow, false));
      stage(*ledger, 3);
      REQUIRE(file->commit({ledger}, kNow / 1000));
    }
    const auto sum = progress_sum(*ledger, ledger->progress, "", ledger->head_sum, kNow / 1000, 0);
    {  // As the first version left it.
      auto database = Database::open(JournalFile::path_in(folder.path()), nullptr);
      REQUIRE(database);
      REQUIRE(
          database->run("DROP VIEW windows; ALTER TABLE logs DROP COLUMN reattach; ALTER TABLE logs DROP COLUMN "
                        "strategy; ALTER TABLE logs DROP COLUMN first_ulid;"
                        "ALTER TABLE progress DROP COLUMN next_ulid; ALTER TABLE progress DROP COLUMN commit_number;"
                        "CREATE UNIQUE INDEX blocks_by_place ON blocks(log, first); "
                        "UPDATE meta SET value=2 WHERE name='commits'; UPDATE progress SET sum=" +
                        std::to_string(sum) + "; PRAGMA user_version=1"));
    }
    auto file = open_file(folder);
    CHECK(ask(folder, "PRAGMA user_version") == JournalFile::kSchema);
    CHECK(ask(folder, "SELECT events FROM windows") == 3);
    CHECK(load(*file).logs.size() == 1);
    CHECK(file->commits() == 2);
    REQUIRE(file->begin_run(kNow, false));
    stage(*ledger, 1);  // And goes on.
    REQUIRE(file->commit({ledger}, kNow / 1000));
    CHECK(file->commits() == 4);
    CHECK(ask(folder, "SELECT max(commit_number) FROM progress") == 4);
    CHECK(load(*file).logs.front().second->published() == 4);
  }
  SUBCASE("newer") {
    open_file(folder);
    {
      auto database = Database::open(JournalFile::path_in(folder.path()), nullptr);
      REQUIRE(database);
      REQUIRE(database->run("PRAGMA user_version=99"));
    }
    CHECK(error_of(folder).find("was written by a newer version (schema 99, known here: 5)") != std::string::npos);
  }
  SUBCASE("another program's") {
    {
      auto database = Database::open(JournalFile::path_in(folder.path()), nullptr);
      REQUIRE(database);
      REQUIRE(database->run("CREATE TABLE theirs(a)"));
    }
    CHECK(error_of(folder).find("is another program's database") != std::string::npos);
    CHECK(ask(folder, "SELECT count(*) FROM sqlite_master") == 1);
  }
}

TEST_CASE("a log of ULIDs is found again with all their bits, and after a loss goes on above its time") {
  for (const bool has_lost_power : {false, true}) {
    TemporaryFolder folder;
    const auto first = *replay::parse_number("01ARYZ6S41TSV4RRFFQ69G5FAV", replay::Spelling::Ulid);
    replay::Number number = first;
    {
      auto file = open_file(folder);
      REQUIRE(file->begin_run(kNow, false));
      auto ledger = ledger_of("key");
      ledger->record.strategy = "ulid";
      ledger->record.form.spelling = replay::Spelling::Ulid;
      ledger->record.first_number = first;
      Change change;
      change.blocks.push_back({});
      for (replay::Place place = 0; place < 20; ++place) {
        number += place % 2 == 0 ? 1 : replay::Number{1} << 81;
        std::string frame = "id: ";
        replay::append_number(frame, replay::Spelling::Ulid, number);
        frame += "\ndata: x\n\n";
        change.blocks.back().append(
            {.place = place, .number = number, .origin = std::nullopt, .last_id = {}, .frame = frame});
      }
      change.next_number = number + 1;
      ledger->staged.merge(std::move(change));
      REQUIRE(file->commit({ledger}, kNow / 1000));
      CHECK(ask(folder, "SELECT count(*) FROM windows WHERE newest LIKE 'below 01%' AND events = 20") == 1);
    }
    auto file = open_file(folder, has_lost_power ? "another boot" : "b");
    REQUIRE(file->begin_run(kNow, false));
    const auto loaded = load(*file);
    REQUIRE(loaded.logs.size() == 1);
    const auto& log = *loaded.logs[0].second;
    CHECK(log.appended() == 20);
    CHECK((log.base_number() == first - 1));
    CHECK((log.newest_number() == number));
    CHECK((log.next_number() > number) == true);
    CHECK((log.next_number() == number + 1) == !has_lost_power);
    if (has_lost_power) CHECK((log.next_number() - number >= replay::Number{1000} << 80));
    CHECK(loaded.given.highest == 0);
  }
}

TEST_CASE("each migration is tried: a file has seen all of them") {
  CHECK(kMigrations.size() == static_cast<std::size_t>(JournalFile::kSchema));
}

TEST_CASE("what leaves a window leaves the file in small steps, but for the entry before it") {
  TemporaryFolder folder;
  auto file = open_file(folder);
  REQUIRE(file->begin_run(kNow, false));
  auto ledger = ledger_of("key");
  for (int i = 0; i < 200; ++i) {
    stage(*ledger, 1);
    REQUIRE(file->commit({ledger}, kNow / 1000));
  }
  CHECK(ask(folder, "SELECT count(*) FROM blocks") == 200);
  ledger->staged.first = 190;
  REQUIRE(file->commit({ledger}, kNow / 1000));
  const auto after_one = ask(folder, "SELECT count(*) FROM blocks");
  CHECK(after_one > 100);
  CHECK(file->has_to_tidy());
  int steps = 0;
  while (file->has_to_tidy() && steps < 100) {
    REQUIRE(file->tidy());
    ++steps;
  }
  CHECK(steps > 3);
  CHECK(steps < 20);
  CHECK(ask(folder, "SELECT min(first) FROM blocks") == 189);
  auto loaded = load(*file);
  REQUIRE(loaded.logs.size() == 1);
  const auto& log = *loaded.logs.front().second;
  CHECK(log.first() == 190);
  CHECK(log.published() == 200);
  CHECK(log.id_before(190) == "190");
  CHECK(log.find(190, "190").kind == replay::Found::Kind::Floor);
  CHECK(log.find(189, "189").kind == replay::Found::Kind::Evicted);
}

TEST_CASE("a log that is forgotten leaves nothing behind but the numbers that it gave") {
  TemporaryFolder folder;
  {
    auto file = open_file(folder);
    REQUIRE(file->begin_run(kNow, false));
    auto ledger = ledger_of("key");
    auto tagged = ledger_of("tagged", "TAG");
    stage(*ledger, 300, 1000);
    REQUIRE(file->commit({ledger, tagged}, kNow / 1000));
    ledger->staged.forget = tagged->staged.forget = true;
    REQUIRE(file->commit({ledger, tagged}, kNow / 1000));
    CHECK(load(*file).logs.empty());
    SUBCASE("at once") {
      while (file->has_to_tidy()) REQUIRE(file->tidy());
    }
    SUBCASE("in a later life") {}
  }
  auto file = open_file(folder);
  const auto loaded = load(*file);
  CHECK(loaded.logs.empty());
  while (file->has_to_tidy()) REQUIRE(file->tidy());
  CHECK(ask(folder, "SELECT (SELECT count(*) FROM blocks) + (SELECT count(*) FROM logs)") == 0);
  CHECK(loaded.given.highest == 300);
  REQUIRE(loaded.given.by_key.size() == 1);
  CHECK(loaded.given.by_key.front() == std::pair<std::string, std::uint64_t>("key", 300));
}

TEST_CASE("many free pages are given back to the disk") {
  TemporaryFolder folder;
  auto file = open_file(folder);
  REQUIRE(file->begin_run(kNow, false));
  auto ledger = ledger_of("key");
  stage(*ledger, 5000, 1000);
  REQUIRE(file->commit({ledger}, kNow / 1000));
  ledger->staged.forget = true;
  REQUIRE(file->commit({ledger}, kNow / 1000));
  REQUIRE(ask(folder, "PRAGMA page_count") > 500);
  while (file->has_to_tidy()) REQUIRE(file->tidy());
  CHECK(ask(folder, "PRAGMA page_count") < 200);
}

TEST_CASE("numbers jump by a million a second since the last one known, and at least by a million") {
  CHECK(jump_after(1000, 1000) == 1'000'000);
  CHECK(jump_after(5000, 1000) == 1'000'000);  // The clock was set back.
  CHECK(jump_after(0, 60'000) == 60'000'000);
  CHECK(jump_after(0, INT64_MAX) < replay::kMaxNumber / 2);
}
