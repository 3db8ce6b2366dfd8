#include "store/sqlite.h"

#include <fmt/format.h>

#include <cstring>

namespace ssequel::store {
namespace {

constexpr int kBusyMillis = 2000;  // Somebody looks into the file with sqlite3.

Error error_of(sqlite3* database, std::string_view what) {
  const int result = sqlite3_extended_errcode(database);
  std::string text = fmt::format("{}: {}", what, sqlite3_errmsg(database));
  if (const int number = sqlite3_system_errno(database); number != 0 && (result & 0xff) != SQLITE_CORRUPT) {
    text += fmt::format(" ({})", std::strerror(number));
  }
  return {code_of(result), std::move(text)};
}

}  // namespace

ErrorCode code_of(int sqlite_result) noexcept {
  switch (sqlite_result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    // Our statements never change: where one makes no sense, or meets a row that cannot be there, the file is not as we
    // left it. Trying again would never end.
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return ErrorCode::Malformed;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorCode::Denied;
    default:  // Codes of SQLite's, not an enumeration of ours.
      return ErrorCode::RetryLater;
  }
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  auto error = error_of(sqlite3_db_handle(handle_.get()), "SQLite");
  sqlite3_reset(handle_.get());
  return tl::unexpected(std::move(error));
}

std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return data ? std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size)) : std::string_view();
}

Result<Database> Database::open(const std::string& path, const char* vfs, bool gathers) {
  Database database;
  if (gathers) {
    auto& gatherer = database.handle_.get_deleter().gatherer;
    gatherer = std::make_unique<WalGatherer>(vfs);
    vfs = gatherer->name();
  }
  sqlite3* handle = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &handle, kFlags, vfs);
  database.handle_.reset(handle);
  if (result != SQLITE_OK) return tl::unexpected(error_of(handle, path));
  sqlite3_busy_timeout(handle, kBusyMillis);
  return database;
}

Result<void> Database::sync_file() {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
      !file->pMethods) {
    return {};  // Nothing was ever read or written.
  }
  if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK) return {};
  return fail(ErrorCode::RetryLater, "the journal's file cannot be synced");
}

Error Database::error(std::string_view what) const { return error_of(handle_.get(), what); }

Result<void> Database::run(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return tl::unexpected(error("SQLite"));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return tl::unexpected(error("SQLite"));
  return Statement(statement);
}

Result<std::optional<std::int64_t>> Database::ask(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return tl::unexpected(row.error());
  if (!*row || statement->is_null(0)) return std::optional<std::int64_t>();
  return std::optional<std::int64_t>(statement->integer(0));
}

}  // namespace ssequel::store
