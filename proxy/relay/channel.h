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
//
// One loop's thread (the owner's) calls everything. Subscribers on other loops read log() and report by message.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "http/inflate.h"
#include "relay/backoff.h"
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
  // The channel's time is over: destroy it, but not before the current call has returned.
  virtual void retire(Channel& channel) = 0;
};

class Channel final : private sse::ParserListener {
 public:
  enum class State { Dormant, Connecting, Streaming, Waiting, Ended, Final };

  struct Setup {
    std::shared_ptr<const Route> route;
    replay::IdForm id_form;
    std::uint64_t first_number = 1;
    std::string key;     // Shared: channel_key(). Session: the tag.
    std::string target;  // Of the upstream request.
    std::string host;
    std::string method = "GET";  // Session: what opened it.
    bool is_eager = false;
  };
  // All references must outlive the channel.
  Channel(Setup setup, ChannelPort& port, Random& random, const Clock& clock, RouteCounters& counters);
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] const Route& route() const { return *setup_.route; }
  [[nodiscard]] const std::shared_ptr<const Route>& shared_route() const { return setup_.route; }
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
  // Received, but not in the log yet: what one read brought, and of compressed content some mebibyte made of it.
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.capacity() + compressed_.capacity(); }
  // Lets the upstream go now (drain, limits); inside one of the port's calls, right after it. Session: counts as broken
  // off.
  void let_go();

  // --- Readers
  void on_reader_joined();
  void on_reader_left();
  [[nodiscard]] std::size_t readers() const { return readers_; }
  // A reader has been sent everything below `place`.
  void on_foremost(replay::Place place);
  // The oldest entries have to go, whoever reads them (memory).
  void shed(std::uint64_t bytes) { log_->evict_bytes(bytes); }
  // Lets aged entries go. Where room was made, the upstream is read on.
  void expire();
  [[nodiscard]] Millis last_watched() const { return last_watched_; }

  // --- Credentials (shared)
  // Makes `credential` the one in use from the next connect on, and one to try after a final answer.
  void admit(const std::shared_ptr<Credential>& credential);
  void forget(const std::shared_ptr<Credential>& credential);
  [[nodiscard]] const std::shared_ptr<Credential>& credential() const { return credential_; }
  // The credential that the standing upstream connection was opened with.
  [[nodiscard]] const std::shared_ptr<Credential>& opened_with() const { return opened_with_; }
  [[nodiscard]] std::shared_ptr<Credential> find_credential(std::string_view identity) const;
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
  void wait_and_retry(Millis least);
  void tell_gap();
  void append(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky,
              std::uint64_t number);
  // dedupe: an entry with this origin id is still in the window.
  [[nodiscard]] bool is_known(std::optional<std::string_view> origin);
  void append_sync(sse::SyncReason reason, std::optional<std::string_view> origin);
  Flow arrive(std::string_view lines, std::optional<std::string_view> origin, std::string_view sticky, bool oversized);
  void publish();
  void take_in();  // Feeds what waits, publishes, wakes; until it is used up or readers are behind.
  [[nodiscard]] std::size_t feed(std::string_view content);
  void inflate_slice();
  void settle();         // What was put off while the parser was at work.
  void reset_parsers();  // Never from inside one.
  [[nodiscard]] bool must_pause();
  [[nodiscard]] replay::Place keep_from() const;
  void finish_end();
  void rest();  // No readers: linger, then retain.
  // Neither linger nor retain runs out on who reads, nor on who waits for the upstream's answer.
  void stop_resting();

  const Setup setup_;
  ChannelPort& port_;
  Random& random_;
  const Clock& clock_;
  RouteCounters& counters_;
  std::shared_ptr<replay::ReplayLog> log_;
  replay::CountingSequencer sequencer_;
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

  std::string compressed_;           // Received, not yet inflated.
  std::string pending_;              // Received, not yet parsed: readers are behind.
  std::optional<bool> pending_end_;  // The response ended (cleanly?) behind what is pending.
  bool is_paused_ = false;           // True exactly while the port was told to stop reading.
  bool is_taking_in_ = false;        // True exactly while a parser may be on the stack, or the loop around it.
  bool has_paused_ = false;          // The parser was told to pause since it was last fed.
  bool is_rest_due_ = false;         // The last reader left while is_taking_in_.
  bool is_let_go_due_ = false;       // let_go() came while is_taking_in_.
  bool gap_pending_ = false;         // Told before the next event.
  bool opened_by_reader_ = false;
  bool is_lingering_ = false;  // The Rest timer is the linger, not the retain.
  std::string scratch_;
  std::string id_scratch_;
};

}  // namespace ssequel::relay
