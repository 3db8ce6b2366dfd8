// One log's way to Redis: the lease, what is committed under it, and what the other nodes append. Private to nodes.
//
//               pulse: lead                     catches up            on_leading()
//   Follower ───────────────► (granted) ──────────────────► Leader ────────────────► appends, one batch at a time
//      ▲   tail                                                │
//      └──────────── fenced, released, not renewed in time ◄───┘
//
// What is handed in while a batch is under way goes into the next one. Whether a batch was executed whose answer did
// not come is told by its number, which Redis remembers.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/deadline.h"
#include "nodes/door.h"
#include "nodes/layout.h"
#include "nodes/tail.h"
#include "replay/journal.h"

namespace ssequel::nodes {

// What is known of a log that was joined and has no channel yet.
struct Joined {
  LogNames names;
  replay::LogRecord record;
  std::shared_ptr<replay::ReplayLog> log;
  std::string incarnation;
  StreamId position;
  std::string last_id;
  std::string head;
  bool is_led = false;  // Another node's upstream stream stands.
  bool gives_places = false;
};

class NodeJournal final : public replay::Journal,
                          public replay::Nodes,
                          private TailListener,
                          private net::Deadline::Listener {
 public:
  // is_new: a session, whose log this node makes and leads.
  NodeJournal(Door& door, Joined joined, bool is_new);
  ~NodeJournal() override;

  // --- Journal
  void set_listener(replay::JournalListener& listener) override { listener_ = &listener; }
  void begin(replay::Number first_number) override;
  void append(const replay::JournalEntry& entry) override;
  void set_head(std::string_view serialized_head) override;
  void set_retry(std::uint64_t milliseconds) override;
  void set_end(const replay::End& end) override;
  void evicted(replay::Place first) override;
  void forget() override {}
  [[nodiscard]] replay::Nodes* nodes() override { return this; }

  // --- Nodes
  void set_nodes_listener(replay::NodesListener& listener) override;
  void watch(replay::Watch watch) override;
  void set_foremost(replay::Place place) override;
  [[nodiscard]] std::optional<replay::Place> foremost() const override { return foremost_elsewhere_; }
  void set_away() override;
  void catch_up(std::function<void(bool)> done) override;
  void release(bool tired) override;
  void refuse(bool for_all) override;
  [[nodiscard]] bool gives_places() const override { return joined_.gives_places; }
  void submit(std::string_view lines, std::optional<std::string_view> origin) override;
  [[nodiscard]] std::uint64_t submitted_bytes() const override { return batch_.bytes + flying_.bytes; }

  // --- For the door
  [[nodiscard]] const LogNames& names() const { return joined_.names; }
  [[nodiscard]] const replay::LogRecord& record() const { return joined_.record; }
  // Every node is to read its upstream for it.
  [[nodiscard]] bool is_wanted() const {
    return gives_places() && watch_ == replay::Watch::Reads && !joined_.record.target.empty();
  }
  void flush();
  // False while the answer to one is to come: then the next follows it.
  [[nodiscard]] bool wants_pulse();
  [[nodiscard]] const std::shared_ptr<bool>& alive() const { return alive_; }
  // Its part of a pulse: WATCH FOREMOST FENCE PLACE INCARNATION KEEP.
  void add_pulse(std::vector<std::string>& words);
  [[nodiscard]] bool is_pulse_due(Millis now) const;
  void on_pulse(const Pulse& pulse, Millis asked_at);
  void on_pulse_failed();
  void check_lease(Millis now);  // One that could not be renewed is not used for ever.
  void on_down(const Error& why);
  void on_up();
  void stand_down();

 private:
  // What goes to Redis in one step.
  struct Batch {
    std::vector<std::string> words;  // KIND COUNT ARGUMENT...
    std::uint64_t bytes = 0;
    std::optional<replay::Place> end;  // Behind its last entry.
    std::string number;                // Of that.
    std::string last_id;               // Behind it.
    std::string trim;
    [[nodiscard]] bool empty() const { return words.empty() && trim.empty(); }
  };

  // TailListener
  void on_elements(const redis::Reply& elements) override;
  [[nodiscard]] StreamId position() const override { return joined_.position; }

  void on_deadline(net::Deadline& deadline) override;
  void make();  // A session's keys; or a shared log's again, which have gone.
  void on_made(const redis::Answer& answer);
  void put(char kind, std::vector<std::string> words);
  void control(std::string_view name, std::string_view value);
  void set_field(std::string_view name, std::string_view value);
  void send();
  void on_sent(const redis::Answer& answer);
  void on_committed(const redis::Reply& reply);
  void fail(const redis::Failure& failure);  // It is tried again.
  // The one response that a session is made of is this node's: whatever Redis loses of it, it goes on.
  [[nodiscard]] bool writes_alone() const { return joined_.record.is_session && (is_new_ || is_leading_); }
  void go_on_alone(const std::string& incarnation);
  void restate();
  void lose_lease();
  void on_granted(const Pulse& pulse);
  void fetch();  // What is missing before the lease can be used.
  void on_fetched(const redis::Answer& answer);
  void on_looked(const redis::Answer& answer);
  void review_wishes();
  void end_wishes(bool is_good);
  [[nodiscard]] std::string now_ms() const;
  void renew();
  void on_renewed(const redis::Answer& answer);
  // What Redis says of the log now. It goes on from there in another incarnation once this node has all before it.
  void check_incarnation(const std::string& incarnation, replay::Place from);
  void change_incarnation(const std::string& incarnation);
  void diverge(const char* why);
  void take(const redis::Reply& elements);
  void take_control(const Item& item);
  void hand_over_taken(std::vector<replay::SharedEntry>& entries);
  void tell_loss();
  void release_if_told();
  void send_release(bool leaves, const char* refused);
  void set_stalled(const std::optional<Error>& why);
  void set_leading(bool is_leading);
  [[nodiscard]] replay::Place place() const;  // Up to here the log is committed.
  [[nodiscard]] char watch_digit() const;
  [[nodiscard]] bool follows() const { return gives_places() || !is_leading_; }
  void review_tail();
  [[nodiscard]] std::string keep() const;
  redis::Client::OnAnswer guarded(void (NodeJournal::*then)(const redis::Answer&));

  static constexpr Millis kRetry{250};  // Between two attempts at what Redis refused.

  Door& door_;
  Joined joined_;
  replay::JournalListener* listener_ = nullptr;
  replay::NodesListener* nodes_listener_ = nullptr;
  net::Deadline retry_;
  net::Deadline remake_;
  net::Deadline wish_;
  replay::Watch watch_ = replay::Watch::None;
  replay::Place foremost_ = 0, told_foremost_ = 0;
  std::optional<replay::Place> foremost_elsewhere_;
  bool is_new_;  // Its keys are not made yet.
  bool is_making_ = false;
  bool is_leading_ = false;  // The lease is this node's, and the channel knows.
  bool is_granted_ = false;  // The lease is this node's, and the log is catching up.
  bool has_lost_ = false;    // As granted: told with the first entry.
  bool is_loss_untold_ = false;
  bool is_open_ = false;     // As it was said last: the upstream stands.
  bool is_pulsing_ = false;  // True exactly while an answer is to come.
  bool is_pulse_wanted_ = false;
  bool is_flying_ = false;
  bool is_fetching_ = false;
  bool is_renewing_ = false;
  bool is_release_due_ = false;
  const char* refusal_ = "0";
  bool is_following_tail_ = false;
  bool is_stopped_ = false;  // In front of an entry of another incarnation: a pulse is to say which one the log has.
  bool is_diverged_ = false;
  struct {
    std::string incarnation;  // Empty: none.
    replay::Place from = 0;
  } ahead_;  // The log's incarnation, and this node has not come to it.
  std::string fence_ = "0";
  const std::uint64_t serial_;  // Among this node's journals.
  std::uint64_t batches_ = 0;
  replay::Place asked_place_ = 0;  // place() as the last pulse said it.
  Millis pulse_at_{0};             // The next one.
  Millis renewed_at_{0};           // When the pulse was sent by which the lease was renewed last.
  Millis tired_until_{0};
  replay::Place caught_up_at_ = 0;                 // Granted: the log must reach this.
  std::vector<std::function<void(bool)>> wishes_;  // catch_up().
  std::optional<replay::Place> wished_;            // Up to here; nullopt: Redis has not said it yet.
  int looks_ = 0;                                  // Answers to come.
  std::optional<Error> stalled_;
  std::string told_last_id_;  // Of the last entry handed in.
  std::string committed_last_id_;
  Batch batch_, flying_;
  std::chrono::steady_clock::time_point sent_at_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::nodes
