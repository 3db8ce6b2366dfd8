// What a store behind the log must do. An entry is journalled, then published: no byte of it reaches a subscriber
// before the store holds its id and bytes at the promised level. `memory` has no journal: entries are published at
// once.
//
// The journal knows frames without chunk framing; it is never read while the log lives, only when a log is loaded.
//
//     Store (one a loop)  ──open(record)──►  Journal (one a log)  ──on_committed(end)──►  JournalListener (the channel)
//                         ──adopt(saved)──►
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "replay/nodes.h"
#include "replay/replay_log.h"

namespace ssequel::replay {

struct JournalEntry {
  Place place = 0;
  Number number = 0;
  std::optional<std::string_view> origin;
  std::string_view last_id;  // The upstream's last event ID string with this entry: what it is asked to go on from.
  std::string_view frame;
};

class JournalListener {
 public:
  virtual ~JournalListener() = default;
  // The log itself and everything below `end` are held at the promised level. `end` never falls; the first time it may
  // be 0.
  virtual void on_committed(Place end) = 0;
  // The store is away (or full) or back: intake stops or goes on; nothing is lost meanwhile.
  virtual void on_stalled(const Error& why) = 0;
  virtual void on_recovered() = 0;
};

// Of one channel; its loop's thread only. Never blocks; answers come through the listener in a later turn, never from
// inside a call. What it is given is kept in the order of the calls. Destroyed with its channel: the listener hears
// nothing more then.
class Journal {
 public:
  virtual ~Journal() = default;
  // Once, before everything else.
  virtual void set_listener(JournalListener& listener) = 0;
  // Once, of a log that was opened without its first number, before its first entry.
  virtual void begin(Number first_number) = 0;
  // Views are valid for the call only. Taken while it is stalled, too: the channel stops soon, not at once.
  virtual void append(const JournalEntry& entry) = 0;
  virtual void set_head(std::string_view serialized_head) = 0;
  // The reconnection time that the upstream asked for.
  virtual void set_retry(std::uint64_t milliseconds) = 0;
  // The upstream's response ended behind the last appended entry. Readers learn of it as soon as everything before it
  // is committed.
  virtual void set_end(const End& end) = 0;
  // Everything below `first` has left the window; committed, all of it.
  virtual void evicted(Place first) = 0;
  // The channel is closed for good: its entries may go.
  virtual void forget() = 0;
  // Where several nodes share the log; null: it is this process's alone.
  [[nodiscard]] virtual Nodes* nodes() { return nullptr; }
};

// Who a log is: with its entries, all that is needed to go on with it after a restart.
struct LogRecord {
  std::string key;        // Of its channel.
  std::string route;      // The route's name.
  std::string signature;  // A route that has another one by now can do nothing with the log.
  IdForm form;
  Number first_number = 1;  // 0: not known yet; Journal::begin() says it.
  bool has_start = false;   // Its numbers begin where the configuration says: they must outlive the log.
  // By what they are remembered then: the key without the signature behind it, if it has one, since a log with another
  // signature must not give them again.
  [[nodiscard]] std::string_view start_key() const {
    std::string_view start = key;
    if (start.ends_with(signature)) start.remove_suffix(signature.size());
    return start;
  }
  std::string strategy = "sequence";  // As ids.strategy says it.
  // Numbers of other strategies say nothing of where a sequence may begin.
  [[nodiscard]] bool is_sequence() const { return strategy == "sequence"; }
  bool is_session = false;
  std::string method, target, host;  // Of the upstream request.
  // Session: what its tag is bound to. identity is a digest, never a credential.
  std::string identity, path, origin;
  std::string reattach;  // Session: the digest of a request whose repetition joins the log; empty: none does.
  friend bool operator==(const LogRecord&, const LogRecord&) = default;
};

// A log as a store found it at start.
struct SavedLog {
  LogRecord record;
  std::shared_ptr<ReplayLog> log;  // Whole, published, with its ends.
  std::string head;                // As set_head() had it; empty if there was none.
  std::string last_id;             // Of its newest entry.
  std::optional<std::uint64_t> retry_ms;
  // Entries may have been lost behind the newest one. Numbers go on above anything that could have been given, and the
  // first entry has to tell it.
  bool has_lost = false;
  bool is_led = false;       // Joined: another node's upstream stream stands.
  std::uint64_t handle = 0;  // For Store::adopt().
};

// A log that some node has readers of and that every node's upstream is to be read for: what it is asked with.
struct WantedLog {
  std::string route;
  std::string target;
  std::string host;
};

// One loop's way to its logs' journals; that loop's thread only. Outlives them.
class Store {
 public:
  virtual ~Store() = default;
  // The log is new and empty; the store may read it as long as the journal lives.
  [[nodiscard]] virtual std::unique_ptr<Journal> open(const LogRecord& record,
                                                      std::shared_ptr<const ReplayLog> log) = 0;
  // Goes on with a log that was found at start, or joined. Once for each.
  [[nodiscard]] virtual std::unique_ptr<Journal> adopt(const SavedLog& saved) = 0;

  // Several nodes share its logs: one that does not have to be new is joined, not opened.
  [[nodiscard]] virtual bool is_shared() const { return false; }
  using OnJoined = std::function<void(Result<SavedLog>)>;
  // An entry's frame, of a log whose places and numbers the store gives (Nodes::gives_places()).
  using Encode = std::function<void(std::string& out, Number number, std::string_view lines,
                                    std::optional<std::string_view> origin)>;
  // The log of this key as it is by now, on any node; if there is none, it is made as `proposal` says. Answers in a
  // later turn, once; RetryLater: not within the time that somebody waits for it. Called off with the store. encode:
  // empty unless the store is to give places.
  virtual void join(const LogRecord& /*proposal*/, const Bounds& /*bounds*/, Encode /*encode*/, OnJoined /*done*/) {}
  // The same of a session that must be there: NotFound.
  virtual void find(const std::string& /*route*/, const std::string& /*tag*/, const Bounds& /*bounds*/,
                    OnJoined /*done*/) {}
  // What was joined and is of no use after all: instead of adopt().
  virtual void abandon(const SavedLog& /*saved*/) {}
  // Told again and again, of all logs whose places the store gives and whose record names a target, while any node has
  // readers of them.
  using OnWanted = std::function<void(const std::vector<WantedLog>&)>;
  virtual void set_on_wanted(OnWanted /*on_wanted*/) {}
  // This node is about to end: it takes no lease any more, and gives up what it has.
  virtual void stand_down() {}
};

}  // namespace ssequel::replay
