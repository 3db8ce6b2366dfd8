// A thin cover of SQLite's C interface: handles that close themselves, errors as values. One connection is used by one
// thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/wal_gatherer.h"

namespace ssequel::store {

// Malformed: the file is damaged, or no database of ours. Denied: it may not be written. RetryLater: all else (full,
// busy, I/O error), which may pass.
[[nodiscard]] ErrorCode code_of(int sqlite_result) noexcept;

class Statement {
 public:
  // A value that is stored as bytes.
  struct Blob {
    std::string_view bytes;
  };
  [[nodiscard]] static Blob blob(std::string_view bytes) { return {bytes}; }

  Statement() = default;
  // Binds the values in order, runs it to its first row. False: there is none (any more).
  template <class... Values>
  [[nodiscard]] Result<bool> query(const Values&... values) {
    sqlite3_reset(handle_.get());
    int at = 0;
    (bind(++at, values), ...);
    return step();
  }
  // For statements that give no row. Afterwards it is reset: nothing stays open.
  template <class... Values>
  [[nodiscard]] Result<void> run(const Values&... values) {
    auto done = query(values...);
    reset();
    if (!done) return tl::unexpected(done.error());
    return {};
  }
  [[nodiscard]] Result<bool> step();
  void reset() { sqlite3_reset(handle_.get()); }

  // Of the current row; views until the next step() or reset().
  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  [[nodiscard]] std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  [[nodiscard]] std::string_view bytes(int column) const;
  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL; }

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}

  void bind(int at, std::int64_t value) { sqlite3_bind_int64(handle_.get(), at, value); }
  void bind(int at, std::uint64_t value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, int value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, bool value) { bind(at, static_cast<std::int64_t>(value)); }
  // Text that the caller keeps until the statement is reset. sqlite3 shows it as text, whatever bytes it has.
  void bind(int at, std::string_view text) {
    sqlite3_bind_text64(handle_.get(), at, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void bind(int at, const std::string& text) { bind(at, std::string_view(text)); }
  void bind(int at, const char* text) { bind(at, std::string_view(text)); }
  void bind(int at, const Blob& blob) {
    sqlite3_bind_blob64(handle_.get(), at, blob.bytes.data() ? blob.bytes.data() : "", blob.bytes.size(),
                        SQLITE_STATIC);
  }
  template <class T>
  void bind(int at, const std::optional<T>& value) {
    if (value) {
      bind(at, *value);
    } else {
      sqlite3_bind_null(handle_.get(), at);
    }
  }

  std::unique_ptr<sqlite3_stmt, Finalizer> handle_;
};

class Database {
 public:
  // Opens the file, makes it if need be. vfs: null for SQLite's own. gathers: for who writes much.
  [[nodiscard]] static Result<Database> open(const std::string& path, const char* vfs, bool gathers = false);

  [[nodiscard]] Result<void> run(const std::string& sql);  // One or more statements; their rows are dropped.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  // The first column of the first row; nullopt if there is none.
  [[nodiscard]] Result<std::optional<std::int64_t>> ask(std::string_view sql);
  [[nodiscard]] bool is_in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  [[nodiscard]] sqlite3* handle() { return handle_.get(); }
  // What was moved into the file is on disk. Not by a descriptor of our own: closing it would take SQLite's POSIX locks
  // away (fcntl(2)).
  [[nodiscard]] Result<void> sync_file();
  [[nodiscard]] Error error(std::string_view what) const;

 private:
  struct Closer {
    std::unique_ptr<WalGatherer> gatherer;  // Outlives the handle.
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Closer> handle_;
};

}  // namespace ssequel::store
