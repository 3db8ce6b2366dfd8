// What a store must do behind whose logs stand several nodes: for each log it says which node reads the upstream, the
// leader, and brings the others what that one appends. Journal::nodes() is the way to it.
//
//                    watch(Reads)             on_leading()
//      Journal  ◄──────────────── channel ◄──────────────── Journal    the lease is this node's
//                                         ◄────────────────            on_following(): it is not, or no more
//                                         ◄────────────────            on_entries(), on_head(), ...: the leader's
//
// One loop's thread, as all of a journal; nothing is called back from inside a call.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "replay/replay_log.h"

namespace ssequel::replay {

// An entry that the store holds, whoever made it.
struct SharedEntry {
  Place place = 0;
  Number number = 0;
  std::optional<std::string_view> origin;
  std::string_view last_id;  // The upstream's last event ID string with it.
  std::string_view frame;    // Empty where the store gave the place: then `lines` are what it is encoded from.
  std::string_view lines;    // As sse::Event has them.
  Millis age{0};             // Since it was appended.
};

class NodesListener {
 public:
  virtual ~NodesListener() = default;
  // This node reads the upstream from now on, and its log holds what was committed before. has_lost: entries that
  // somebody was sent may be gone from the store; it has to be told.
  virtual void on_leading(bool has_lost) = 0;
  // It does not, or no more: what is appended and not committed will never be. last_id: of the newest committed entry.
  virtual void on_following(std::string_view last_id) = 0;
  // Committed elsewhere; each place is one more than the last.
  virtual void on_entries(std::span<const SharedEntry> entries) = 0;
  virtual void on_begin(Number first_number) = 0;  // As the leader said it (Journal::begin()).
  virtual void on_head(std::string_view serialized_head) = 0;
  virtual void on_retry_elsewhere(std::uint64_t milliseconds) = 0;
  virtual void on_end(bool is_clean) = 0;  // Session: the response ended behind the last entry.
  // The leader's upstream stream does not stand, or nobody leads for the moment.
  virtual void on_leader_away() = 0;
  // Every node's upstream gave a final answer.
  virtual void on_final() = 0;
  // The readers of other nodes are further than before, or there are some now.
  virtual void on_others_progress() = 0;
  // The lines of a store-gap, for an entry that the store gives its place.
  [[nodiscard]] virtual std::string store_gap_lines() = 0;
  // This node leads and only keeps; another one has readers, and would lead.
  virtual void on_wanted_elsewhere() = 0;
  // What the store holds is not what this log goes on with: the channel has to begin anew.
  virtual void on_diverged() = 0;
};

// What a node has to do with a log for now.
enum class Watch {
  None,   // Nothing: the leader need not read for it.
  Keeps,  // It goes on reading the upstream, if it does, for as long as no other node has readers.
  Reads   // It has readers, or somebody waits for them to be served.
};

class Nodes {
 public:
  virtual ~Nodes() = default;
  // Once, before everything else.
  virtual void set_nodes_listener(NodesListener& listener) = 0;
  virtual void watch(Watch watch) = 0;
  // Up to where the foremost reader of this node got.
  virtual void set_foremost(Place place) = 0;
  // The foremost reader of any other node; nullopt: nobody watches elsewhere.
  [[nodiscard]] virtual std::optional<Place> foremost() const = 0;
  // The leader's: the stream that the last head belongs to does not stand any more.
  virtual void set_away() = 0;
  // Gives the lease up once what was appended is committed; nothing may be appended until on_leading(). tired: this
  // node's upstream is of no use: others come first for a while.
  virtual void release(bool tired) = 0;
  // The upstream's answer to this node is final, and so the lease is given up. for_all: it would be the same to any
  // other. on_final(), or another node's on_head(), follows.
  virtual void refuse(bool for_all) = 0;

  // Brings the log up to what the store holds now. false: the store did not say so in time. Called in a later turn, or
  // when the journal goes.
  virtual void catch_up(std::function<void(bool)> done) = 0;

  // Every node reads its own upstream, and the store gives places and numbers (`producers: all`).
  [[nodiscard]] virtual bool gives_places() const = 0;
  // What arrived; it comes back by on_entries(). Views are valid for the call only.
  virtual void submit(std::string_view lines, std::optional<std::string_view> origin) = 0;
  [[nodiscard]] virtual std::uint64_t submitted_bytes() const = 0;  // Not committed yet.
};

}  // namespace ssequel::replay
