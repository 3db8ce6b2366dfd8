// The heart: one upstream stream, its log and its readers' needs. It turns upstream bytes into entries, gives them ids,
// tells gaps, holds the upstream back when readers are behind, and decides when the upstream is opened, let go and
// tried again. It owns no socket and no timer: a ChannelPort does what it asks.
//
//            connect()                on_upstream_open()
//   Dormant ───────────► Connecting ────────────────────► Streaming
//      ▲                   │   ▲                            │
//      │ linger over       │   │ on_timer(Upstream)         │ end, reset, silence (shared)
//      │                   ▼   │                            ▼
//      └───────────────── Waiting ◄─────────────────────────┘
//
//   Session channels: Streaming ──end──► Ended (──another answer of the upstream──► Streaming).
//   Final: the upstream gave a final answer; what is in the log is still served for `retain`.
//   Following: the log is several nodes', and another one reads the upstream, or this one is about to. From Dormant by
//   connect(), to Connecting by on_leading(), and back from any state by on_following() (channel_nodes.cc).
//
// An event's way, each step at once unless something stands in it:
//
//   parser ──► arrival queue ──► log's appended end ──► published end ──► readers
//              (ids to come)     (commits to come)
//
// What is not at once holds back what is behind it: parsing pauses, then reading stops. A response's end keeps its
// place in this line.
//
// One loop's thread (the owner's) calls everything. Subscribers on other loops read log() and report by message.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/random.h"
#include "http/inflate.h"
#include "relay/arrival_queue.h"
#include "relay/counters.h"
#include "relay/route.h"
#include "relay/stream_head.h"
#include "replay/journal.h"
#include "replay/replay_log.h"
#include "replay/sequencer.h"
#include "sse/ndjson.h"
#include "sse/parser.h"

namespace ssequel::relay {

class Channel;

// Whose fields an upstream request of a shared channel carries. One object for each distinct identity among the
// connected subscribers; the fields are those of its latest request.
struct Credential {
  std::string identity;  // As identity_of() or the authoriser gave it.
  http::Fields fields;
  std::string peer_address;
  std::size_t users = 0;  // Subscribers that have it.
};

enum class ChannelTimer { Upstream, Rest };  // Upstream: back-off, silence. Rest: linger, retain.

class ChannelPort {
 public:
  virtual ~ChannelPort() = default;
  virtual void connect(Channel& channel) = 0;     // Opens the upstream request; answers come as on_upstream_*().
  virtual void disconnect(Channel& channel) = 0;  // Drops it; nothing more is heard of it.
  virtual void set_reading(Channel& channel, bool on) = 0;
  virtual void set_timer(Channel& channel, ChannelTimer timer, Millis after) = 0;
  virtual void cancel_timer(Channel& channel, ChannelTimer timer) = 0;
  // Something can be read, or an end was reached: serve the readers now. Calls on_foremost() before it returns for
  // those on this loop.
  virtual void wake(Channel& channel) = 0;
  // A line for the readers that are at the very end; never logged.
  virtual void broadcast(Channel& channel, std::string_view line) = 0;
  // The responses of all readers end (the channel is Final).
  virtual void end_readers(Channel& channel) = 0;
  // The greatest cursor of the connected readers.
  [[nodiscard]] virtual replay::Place foremost(Channel& channel) = 0;
  // No id for the log's base, or no word from another node, within kBasePatience: who waits for the upstream's answer
  // is told of trouble, and a channel that holds nothing yet may be destroyed as by retire().
  virtual void give_up(Channel& channel) = 0;
  // Another node's upstream answered with an event stream, whose head this channel has now.
  virtual void opened_elsewhere(Channel&) {}
  // The channel is Final by what other nodes' upstreams said.
  virtual void closed_elsewhere(Channel&) {}
  // The log grew by what other nodes appended.
  virtual void grown_elsewhere(Channel&) {}
  // What seek_lease() came to.
  virtual void lease_sought(Channel&) {}
  // The channel's time is over: destroy it, but not before the current call has returned.
  virtual void retire(Channel& channel) = 0;
  // As retire(): its log is no longer the one that the nodes share. What this node's upstream says until it is read for
  // the key again is lost.
  virtual void begin_anew(Channel& channel) { retire(channel); }
};

class Channel final : private sse::ParserListener,
                      private replay::SequencerListener,
                      private replay::JournalListener,
                      private replay::NodesListener {
 public:
  enum class State { Dormant, Following, Connecting, Streaming, Waiting, Ended, Final };

  struct Setup {
    std::shared_ptr<const Route> route;
    replay::IdForm id_form;
    replay::Number first_number = 1;
    std::string key;     // Shared: channel_key(). Session: the tag.
    std::string target;  // Of the upstream request.
    std::string host;
    std::string method = "GET";  // Session: what opened it.
    bool is_eager = false;
    bool has_connected = false;                    // This node's upstream has streamed into the log before.
    std::unique_ptr<replay::Sequencer> sequencer;  // Null: each number one more than the last.
    std::unique_ptr<replay::Journal> journal;      // Null: what is appended is published at once.
    std::shared_ptr<replay::ReplayLog> log;        // The journal's; null: one is made.
    // What a store kept of the channel besides its log.
    struct Kept {
      std::shared_ptr<const StreamHead> head;
      std::string last_id;
      std::optional<std::uint64_t> retry_ms;
      bool has_lost = false;  // Behind the log's newest entry.
      bool is_led = false;    // Another node's upstream stream stands.
    };
    std::optional<Kept> kept;
  };
  // Bytes appended and not yet committed: when this is reached, parsing pauses and the upstream is read no more until
  // the journal has committed some. At least one event is always on its way.
  static constexpr std::uint64_t kMaxUncommittedBytes = 1024 * 1024;

  // How long somebody waits for a log to begin: well below what intermediaries wait for a response's head.
  static constexpr Millis kBasePatience{3000};

  // All references must outlive the channel.
  Channel(Setup setup, ChannelPort& port, Random& random, const Clock& clock, RouteCounters& counters);
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] const Route& route() const { return *setup_.route; }
  [[nodiscard]] const std::shared_ptr<const Route>& shared_route() const { return setup_.route; }
  // Without sequencer, journal and log, which the channel has taken.
  [[nodiscard]] const Setup& setup() const { return setup_; }
  [[nodiscard]] bool is_shared() const { return route().mode == Mode::Shared; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::shared_ptr<replay::ReplayLog>& log() const { return log_; }
  // Null before the first upstream answer. Renewed at each connect.
  [[nodiscard]] const std::shared_ptr<const StreamHead>& head() const { return head_; }
  // The reconnection time for responses: the route's, or what the upstream last said. 0: none.
  [[nodiscard]] std::uint64_t retry_ms() const;
  // The origin id that the upstream is asked to go on from.
  // Empty if there is none, or none that can stand in a field (RFC 9110 §5.5) of at most kMaxUpstreamId bytes.
  [[nodiscard]] std::string_view last_origin_id() const;
  static constexpr std::size_t kMaxUpstreamId = 4 * 1024;

  // Once, of a channel that a store kept: it has no upstream, and rests.
  void revive();

  // --- Upstream
  void connect();  // A subscriber's coming opens the upstream: from any state without one.
  // Session, Ended: another answer of the upstream's goes on with this log; on_upstream_open() follows at once.
  void prepare_to_continue();
  // The upstream's answer is an event stream.
  void on_upstream_open(StreamHead head, http::ContentCoding coding);
  void on_upstream_bytes(std::string_view content);
  // All that one read brought was passed on: readers are served now, once.
  void on_upstream_read_over() { take_in(); }
  void on_upstream_end(bool is_clean);
  // No stream now; try again. retry_after: what the upstream asked for.
  void on_upstream_trouble(Millis retry_after);
  // A final answer (204, 401, 403, 404, 410) to the credential in use.
  void on_upstream_final();
  void on_timer(ChannelTimer timer);
  [[nodiscard]] bool is_upstream_paused() const { return is_paused_; }
  // False while one who has no resume point would begin before an entry that is told at this connect: its id or its
  // commit is still to come. A store that is away is not waited for.
  [[nodiscard]] bool is_begun() const { return log_->published() >= begins_at_ || is_stalled_; }
  // Received, but not in the log yet: what one read brought, of compressed content some mebibyte made of it, and what
  // waits for its id.
  [[nodiscard]] std::size_t pending_bytes() const {
    return pending_.capacity() + compressed_.capacity() + queue_.memory();
  }
  // Other nodes may read the upstream in this one's stead.
  [[nodiscard]] bool has_nodes() const { return nodes_ != nullptr; }
  // This node holds the log's lease.
  [[nodiscard]] bool is_leading() const { return nodes_ != nullptr && is_leading_; }
  // Nodes::catch_up(); at once where there are none.
  void catch_up(std::function<void(bool)> done);
  // Session, Ended: lease_sought() follows, and then is_leading() tells whether another answer may go on with this log.
  void seek_lease();
  // The node is about to end: another one is to read the upstream.
  void stand_down();
  // Lets the upstream go now (drain, limits); inside one of the port's calls, right after it. Session: counts as broken
  // off. Events that have arrived still get their ids and commits; bytes that are no event yet are dropped.
  void let_go();
  // The channel closes for good: what a store holds of it may go.
  void forget() {
    if (journal_) journal_->forget();
  }

  // --- Readers
  void on_reader_joined();
  void on_reader_left();
  // Its upstream is kept though nobody reads. A channel that is so no more rests when the next reader, or
  // on_guest_left(), leaves it alone.
  void set_eager(bool is_eager);
  [[nodiscard]] bool is_eager() const { return is_eager_; }
  // `producers: all`: nodes elsewhere have readers, for whom this node's upstream is read. Connects if need be.
  void set_guest(bool is_guest);
  [[nodiscard]] bool is_guest() const { return is_guest_; }
  [[nodiscard]] bool is_kept() const { return is_eager_ || is_guest_; }
  // Somebody who was about to join is gone: if nobody reads, the upstream is let go as after a last reader.
  void on_guest_left();
  [[nodiscard]] std::size_t readers() const { return readers_; }
  // A reader has been sent everything below `place`.
  void on_foremost(replay::Place place);
  // The oldest entries have to go, whoever reads them (memory).
  void shed(std::uint64_t bytes);
  // Lets aged entries go. Where room was made, the upstream is read on.
  void expire();
  [[nodiscard]] Millis last_watched() const { return last_watched_; }
  // This node's upstream has streamed into the log.
  [[nodiscard]] bool has_connected() const { return has_connected_; }

  // --- Credentials (shared)
  // Makes `credential` the one in use from the next connect on, and one to try after a final answer.
  void admit(const std::shared_ptr<Credential>& credential);
  void forget(const std::shared_ptr<Credential>& credential);
  [[nodiscard]] const std::shared_ptr<Credential>& credential() const { return credential_; }
  // The credential that the standing upstream connection was opened with.
  [[nodiscard]] const std::shared_ptr<Credential>& opened_with() const { return opened_with_; }
  [[nodiscard]] std::shared_ptr<Credential> find_credential(std::string_view identity) const;
  // The upstream's stream stands, opened with this identity's fields. By another node: then the identity is a part of
  // the key, or of no account.
  [[nodiscard]] bool stands_for(std::string_view identity) const;
  // The subscriber's own Last-Event-ID for the very first connect; taken once.
  // Of at most kMaxUpstreamId bytes, else it is not kept.
  void set_first_last_event_id(std::string id) {
    if (id.size() <= kMaxUpstreamId) first_last_event_id_ = std::move(id);
  }
  [[nodiscard]] std::optional<std::string> take_upstream_last_event_id();

 private:
  Flow on_event(const sse::Event& event) override;
  Flow on_oversized(const sse::OversizedEvent& event) override;
  void on_last_event_id(std::string_view) override { ++counters_.dropped_no_data; }
  void on_comment(std::string_view text) override;
  void on_retry(std::uint64_t reconnection_time_ms) override;

  void enter(State state);
  void begin_connect();
  void expect_gap();
  void close();  // Final.
  void wait_and_retry(Millis least);
  // --- From arrival to the log (channel_arrivals.cc)
  void on_ids_ready() override;
  void on_committed(replay::Place end) override;
  void on_stalled(const Error& why) override;
  void on_recovered() override;
  void tell_gap();
  void tell_store_gap();
  // Allocates the log's base, if it has none yet. False: on_ids_ready() is to come.
  [[nodiscard]] bool begin_log();
  // Into the log if its id is there, else into the queue.
  void arrive(const Arrival& arrival);
  [[nodiscard]] Flow flow();  // Behind an event.
  [[nodiscard]] std::optional<replay::Number> next_number();
  // Moves the queue on as far as ids and readers allow. True if there are new entries.
  bool move_queue();
  // True if the queue may be moved on for all that its allocator said.
  [[nodiscard]] bool can_move() const { return !queue_.empty() && !is_awaiting_ids_; }
  void append(const Arrival& arrival, replay::Number number);
  void append(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky,
              replay::Number number);
  // dedupe: an entry with this origin id is still in the window.
  [[nodiscard]] bool is_known(std::optional<std::string_view> origin);
  // The entry's lines; valid until the next call, or as long as the arrival's.
  [[nodiscard]] std::string_view lines_of(const Arrival& arrival);
  void publish();
  void add_end(bool is_clean);
  void evict(Millis now);
  void tell_evicted();
  // The journal takes no more now.
  [[nodiscard]] bool is_held() const;
  // Nothing more may be appended: readers are behind, or is_held().
  [[nodiscard]] bool must_hold() { return is_held() || are_readers_behind(); }
  // Nothing more may be parsed.
  [[nodiscard]] bool must_pause() { return queue_.is_full() || must_hold(); }
  // The response is over once its bytes are parsed, and concluded once what was in them is in the log.
  void come_to_end();
  void conclude();

  void take_in();  // Feeds what waits, publishes, wakes; until it is used up or readers are behind.
  [[nodiscard]] std::size_t feed(std::string_view content);
  void inflate_slice();
  void settle();         // What was put off while the parser was at work.
  void reset_parsers();  // Never from inside one.
  [[nodiscard]] bool are_readers_behind();
  [[nodiscard]] replay::Place keep_from() const;
  // The upstream's response has ended, though not all of it is in the log.
  [[nodiscard]] bool is_over() const { return pending_end_ || arrived_end_; }
  void rest();  // No readers: linger, then retain.

  // --- Nodes (channel_nodes.cc)
  void on_leading(bool has_lost) override;
  void on_following(std::string_view last_id) override;
  void on_entries(std::span<const replay::SharedEntry> entries) override;
  void on_begin(replay::Number first_number) override;
  void on_head(std::string_view serialized_head) override;
  void on_retry_elsewhere(std::uint64_t milliseconds) override;
  void on_end(bool is_clean) override;
  void on_leader_away() override { is_led_ = false; }
  void on_final() override;
  void on_others_progress() override;
  void on_wanted_elsewhere() override;
  [[nodiscard]] std::string store_gap_lines() override;
  void on_diverged() override { port_.begin_anew(*this); }
  // The upstream is this node's to read.
  [[nodiscard]] bool may_connect() const { return nodes_ == nullptr || is_leading_ || nodes_->gives_places(); }
  [[nodiscard]] bool gives_places_away() const { return nodes_ != nullptr && nodes_->gives_places(); }
  void follow();
  // Nothing is read from the upstream, and nothing of what was is pending.
  void drop_intake();
  void end_seeking();
  void tell_watch();
  // The lease goes as soon as what has arrived is in the log.
  void release_when_told(bool tired);
  void release_if_due();
  void submit(const Arrival& arrival);
  [[nodiscard]] replay::Number number_after_loss() const;
  // Neither linger nor retain runs out on who reads, nor on who waits for the upstream's answer.
  void stop_resting();

  const std::unique_ptr<replay::Sequencer> sequencer_;
  const std::unique_ptr<replay::Journal> journal_;
  const Setup setup_;
  ChannelPort& port_;
  Random& random_;
  const Clock& clock_;
  RouteCounters& counters_;
  std::shared_ptr<replay::ReplayLog> log_;
  ArrivalQueue queue_;
  sse::Parser parser_;
  std::unique_ptr<sse::NdjsonParser> ndjson_;
  std::unique_ptr<http::Inflater> inflater_;
  Backoff backoff_;
  State state_ = State::Dormant;
  std::shared_ptr<const StreamHead> head_;
  std::shared_ptr<Credential> credential_;
  std::shared_ptr<Credential> asked_with_;  // What the latest request was sent with, whoever was admitted since.
  std::shared_ptr<Credential> opened_with_;
  std::vector<std::shared_ptr<Credential>> credentials_;  // Of connected subscribers, the latest last.
  std::vector<std::shared_ptr<Credential>> refused_;      // By a final answer since the last success.
  std::string first_last_event_id_;
  std::optional<std::uint64_t> upstream_retry_ms_;
  std::optional<Millis> opened_at_;  // Of the standing stream.

  std::size_t readers_ = 0;
  replay::Place foremost_ = 0;           // Greatest place that a reader has reached; for shared, of those connected.
  std::uint64_t foremost_position_ = 0;  // Its byte position in the log.
  bool is_foremost_stale_ = false;       // A reader left: ask the port when it matters.
  Millis last_watched_{0};
  bool has_connected_;  // This node's upstream has streamed before.
  bool is_eager_;

  std::string compressed_;           // Received, not yet inflated.
  std::string pending_;              // Received, not yet parsed: readers are behind.
  std::optional<bool> pending_end_;  // The response ended (cleanly?) behind what is pending.
  std::optional<bool> arrived_end_;  // It ended (cleanly?) behind what is queued or not committed.
  bool is_end_logged_ = false;       // True exactly while arrived_end_ is in the log, entries before it not committed.
  bool is_readers_end_due_ = false;  // Final, and readers have not got all of the log yet.
  bool is_awaiting_ids_ = false;     // True exactly while on_ids_ready() is to come.
  bool is_connect_due_ = false;      // Connecting, but for the log's base, which is still to come.
  bool is_stalled_ = false;          // True exactly while the journal said that it takes nothing.
  std::uint64_t committed_position_ = 0;  // Of the published end, with a journal.
  replay::Place evicted_ = 0;             // Below this the journal knows.
  replay::Place begins_at_ = 0;           // Where one without a resume point may begin at the earliest.
  bool is_paused_ = false;                // True exactly while the port was told to stop reading.
  bool is_taking_in_ = false;             // True exactly while a parser may be on the stack, or the loop around it.
  bool has_paused_ = false;               // The parser was told to pause since it was last fed.
  bool is_rest_due_ = false;              // The last reader left while is_taking_in_.
  bool is_let_go_due_ = false;            // let_go() came while is_taking_in_.
  bool gap_pending_ = false;              // Told before the next event.
  bool store_gap_pending_ = false;        // Told before the next entry.
  bool opened_by_reader_ = false;
  bool is_lingering_ = false;         // The Rest timer is the linger, not the retain.
  bool is_join_time_ = false;         // The linger is what an opener gets to join in.
  replay::Nodes* const nodes_;        // The journal's; null: the log is this process's alone.
  bool is_leading_;                   // True without nodes; else exactly while the lease is this node's.
  bool is_led_ = false;               // Another node's upstream stream stands, as far as is known.
  bool is_tired_ = false;             // See Nodes::release().
  bool is_guest_ = false;             // See set_guest().
  bool is_seeking_ = false;           // True exactly while lease_sought() is to come.
  bool is_release_due_ = false;       // True exactly while the lease is to go once what has arrived is in the log.
  std::optional<Millis> away_since_;  // The upstream has not streamed since.
  std::string scratch_;
  std::string id_scratch_;
  std::string sync_lines_;
};

}  // namespace ssequel::relay
