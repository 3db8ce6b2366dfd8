// The tables of the journal. Written for people, too: config/STORE.md shows how to look into a window with sqlite3.
#pragma once

#include <array>
#include <cstdint>

namespace ssequel::store {

inline constexpr std::int64_t kApplicationId = 0x53534551;  // "SSEQ"
inline constexpr std::size_t kMaxEnds = 16;                 // Of one log; the first of them and the latest.

// A file of version N has seen the first N. A new version adds a step at the end, and changes none before it.
inline constexpr std::array<const char*, 5> kMigrations = {
    // 1
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;"
    "CREATE TABLE logs("
    "  id INTEGER PRIMARY KEY,"
    "  key BLOB NOT NULL,"        // Of its channel.
    "  route TEXT NOT NULL,"      //
    "  signature BLOB NOT NULL,"  // A route with another one has no use for the log.
    "  kind TEXT NOT NULL,"       // shared, session
    "  method TEXT NOT NULL,"     // Of the upstream request,
    "  target TEXT NOT NULL,"     // its path and query,
    "  host TEXT NOT NULL,"       // its Host.
    "  tag TEXT NOT NULL,"        // The T of ids T-N; empty: ids are numbers.
    "  carries_origin INTEGER NOT NULL,"
    "  first_number INTEGER NOT NULL,"
    "  has_start INTEGER NOT NULL,"  // ids.start was set.
    "  identity BLOB NOT NULL,"      // Session: who opened it (a digest), at which path, from which Origin.
    "  path TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  head TEXT NOT NULL,"          // Of the upstream's latest response.
    "  retry_ms INTEGER,"            // What the upstream's retry: said.
    "  forgotten INTEGER NOT NULL,"  // Closed for good; its blocks are being deleted.
    "  sum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE progress("
    "  log INTEGER PRIMARY KEY,"
    "  first INTEGER NOT NULL,"        // Place of the window's oldest entry.
    "  floor_id TEXT NOT NULL,"        // The id before it, where no block has it.
    "  next INTEGER NOT NULL,"         // Place of the entry to come.
    "  next_number INTEGER NOT NULL,"  // The least number it may have.
    "  last_id TEXT NOT NULL,"         // The upstream's own last id.
    "  ends TEXT NOT NULL,"            // "17 clean": a response ended behind the entry at place 16.
    "  loss_untold INTEGER NOT NULL,"  // A store-gap entry is due.
    "  updated_at INTEGER NOT NULL,"   // Unix milliseconds.
    "  sum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE blocks("
    "  id INTEGER PRIMARY KEY,"
    "  log INTEGER NOT NULL,"
    "  first INTEGER NOT NULL,"  // Place of its first entry.
    "  count INTEGER NOT NULL,"
    "  at INTEGER NOT NULL,"   // Unix milliseconds of the commit.
    "  frames BLOB NOT NULL,"  // The events, as clients get them.
    "  origins BLOB,"          // The upstream's own ids, a line an event.
    "  sum INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX blocks_by_place ON blocks(log, first);"
    "CREATE TABLE given(key BLOB PRIMARY KEY, highest INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    // 2
    "CREATE VIEW windows AS SELECT l.id AS log, l.route, l.kind, l.method, l.target, l.host, l.tag,"
    "  p.next - p.first AS events, p.next_number - 1 AS newest, p.last_id AS upstream_id, p.ends,"
    "  datetime(p.updated_at / 1000, 'unixepoch') AS updated"
    "  FROM logs l JOIN progress p ON p.log = l.id WHERE l.forgotten = 0;",
    // 3
    "ALTER TABLE logs ADD COLUMN strategy TEXT NOT NULL DEFAULT 'sequence';"  // ids.strategy
    "ALTER TABLE logs ADD COLUMN first_ulid TEXT NOT NULL DEFAULT '';"        // Instead of first_number.
    "ALTER TABLE progress ADD COLUMN next_ulid TEXT NOT NULL DEFAULT '';"     // Instead of next_number.
    "DROP VIEW windows;"
    "CREATE VIEW windows AS SELECT l.id AS log, l.route, l.kind, l.method, l.target, l.host, l.tag,"
    "  p.next - p.first AS events, CASE p.next_ulid WHEN '' THEN p.next_number - 1 ELSE 'below ' || p.next_ulid END"
    "  AS newest, p.last_id AS upstream_id, p.ends, datetime(p.updated_at / 1000, 'unixepoch') AS updated"
    "  FROM logs l JOIN progress p ON p.log = l.id WHERE l.forgotten = 0;",
    // 4: session, the digest of a request whose repetition joins the log; empty: none does.
    "ALTER TABLE logs ADD COLUMN reattach BLOB NOT NULL DEFAULT x'';",
    // 5: a commit changes as few pages as can be. Where a log's blocks are is known in memory: in the order of their
    // ids.
    "DROP INDEX blocks_by_place;"
    "ALTER TABLE progress ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 0;",  // Of the row; meta's may be behind.
};

}  // namespace ssequel::store
