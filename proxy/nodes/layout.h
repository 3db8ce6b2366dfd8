// How a log lies in Redis, so that an operator can look into a window with redis-cli. All keys of a log share one of 16
// hash slots, {00} to {15}: a cluster spreads them, and one XREAD still follows all logs of a slot.
//
//   PREFIX:{07}:ROUTE:DIGEST:log     stream   XRANGE shows the window
//   PREFIX:{07}:ROUTE:DIGEST:meta    hash     who leads, until when, what comes next, what the log is
//   PREFIX:{07}:ROUTE:DIGEST:nodes   hash     who watches: NODE -> "UNTIL WATCH FOREMOST"
//   PREFIX:{07}:given                hash     of `ids.start`: the highest number ever given, by DIGEST
//   PREFIX:{07}:wake:NODE            stream   has its node look again at what it follows
//   PREFIX:wanted                    hash     producers: all: what some node has readers of: "UNTIL
//   ROUTE\nTARGET\nHOST"
//
// DIGEST stands for the channel's key, which holds what clients sent. Entry id in the stream: that of the entry at
// place P is P+1-0. What is said between two entries is an entry, too, P+1-1, P+1-2, ... behind the one at place P:
//
//   P+1-0  inc I  fence F  number N  [origin O]  [last ID]  at MS  frame "id: ...\n...\n\n"      producers: one
//   P+1-0  number N  inc I  node NODE  [origin O]  at MS  lines "data: ...\n"                    producers: all
//   P+1-K  control head|begin|retry|away|end|free|final  value V
//
// inc: the incarnation of the log in this Redis; another one begins when something was lost, or may have been. fence:
// how often the lease changed hands in it. last: the upstream's last event ID string, where it is another than before.
// at: milliseconds since 1970, by the clock of the node that appended it.
//
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/reply.h"
#include "replay/journal.h"

namespace ssequel::nodes {

inline constexpr unsigned kSlots = 16;

struct LogNames {
  unsigned slot = 0;
  std::string log, meta, nodes, given;
  std::string given_field;  // Empty: its numbers need not outlive it.
};
[[nodiscard]] LogNames names_of(std::string_view prefix, const replay::LogRecord& record);
// Of a session, by its tag.
[[nodiscard]] LogNames names_of_session(std::string_view prefix, std::string_view route, std::string_view tag);
[[nodiscard]] std::string wake_key(std::string_view prefix, unsigned slot, std::string_view node);

// Fields of meta that say what the log is.
using Fields = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] Fields fields_of(const replay::LogRecord& record);

// A hash as HGETALL gives it: names and values by turns, from `from` on.
using Hash = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] Hash hash_of(const redis::Reply& reply, std::size_t from);
[[nodiscard]] std::string_view get(const Hash& hash, std::string_view field);
// The record, where the fields are ours. The key is not among them.
[[nodiscard]] std::optional<replay::LogRecord> record_of(const Hash& meta);

// What a script answers begins with a word; empty if it does not.
[[nodiscard]] inline std::string_view word_of(const redis::Reply& reply) {
  return reply.elements.empty() ? std::string_view() : std::string_view(reply.elements[0].text);
}

// Position in the stream: "3-1".
struct StreamId {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};
[[nodiscard]] std::optional<StreamId> parse_stream_id(std::string_view text);
[[nodiscard]] std::string to_string(const StreamId& id);

// One element of a stream, taken apart. Views into the reply.
struct Item {
  StreamId id;
  std::string_view control;  // Empty: it is an entry.
  std::string_view value;    // Of a control.
  std::string_view incarnation;
  replay::Number number = 0;
  std::optional<std::string_view> origin;
  std::optional<std::string_view> last_id;  // nullopt: as before.
  std::string_view frame;
  std::string_view lines;
  std::int64_t at_ms = 0;
  [[nodiscard]] bool is_entry() const { return control.empty(); }
  [[nodiscard]] replay::Place place() const { return id.first - 1; }  // Of an entry.
};
// nullopt: somebody else wrote it.
[[nodiscard]] std::optional<Item> item_of(const redis::Reply& element, replay::Spelling spelling);

// What goes into a log in one step is a list of items: KIND COUNT and so many words, which of entries are names and
// values. Has all entries be of this incarnation and token, which some do not name.
void set_writer(std::vector<std::string>& items, std::string_view incarnation, std::string_view fence);

// What the pulse says of one log.
struct Pulse {
  enum class Word { Lead, Follow, Free, Final, Gone } word = Word::Follow;
  std::string fence, incarnation;
  replay::Place from = 0;  // Where the incarnation began.
  replay::Place next = 0;
  Millis remaining{0};                    // Of the leader's lease.
  bool is_wanted = false;                 // By another node, which would lead.
  std::optional<replay::Place> foremost;  // Of the other nodes' readers.
  bool has_lost = false;
  bool is_same_run = true;
};
[[nodiscard]] std::optional<std::vector<Pulse>> pulses_of(const redis::Reply& reply, std::size_t count);

}  // namespace ssequel::nodes
