// One client reading one channel: a cursor into its log, and nothing more. It owns no queue and copies nothing; what a
// socket does not take is, at most, the rest of one frame, which stays where it is in the log's segment.
//
// It differs from any other subscription only in where its cursor starts: there is no replay mode and no switch to
// live.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gateway/channel_host.h"
#include "gateway/client_session.h"
#include "gateway/exchange.h"
#include "gateway/reader_group.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "net/deadline.h"
#include "relay/channel.h"

namespace ssequel::gateway {

class Subscription final : public Exchange, private net::Deadline::Listener, private SnapshotWaiter {
 public:
  struct Start {
    replay::Place place = 0;
    std::size_t ends_seen = 0;  // Ends of the log that were known when the request came.
    bool keep_alive = true;
    bool looks_like_event_source = false;
    bool is_get = true;
    bool then_upstream_lost = false;  // Behind the log's end: sync-required, upstream-lost, broken off.
    bool uploads = false;             // The request's content is still on its way to the upstream.
    bool then_final = false;          // Behind the log's end: our own end.
    std::string requested;            // The Last-Event-ID, for sync-required data.
    bool has_requested = false;
    std::string unsaved;  // Blocks with ids that must not be told before the log itself is with its store.
    std::shared_ptr<relay::Credential> credential;  // Shared: the channel's to look into, not ours.
    // Shared: whose fields a snapshot is asked for with; the same as credential on the channel's loop, else a copy.
    std::shared_ptr<const relay::Credential> snapshot_source;
  };
  // The channel has counted it as a reader, and its credential, already.
  Subscription(Worker& worker, ClientSession& client, ReaderGroup& group, AccessRecord record, Start start);
  ~Subscription() override;

  // head: the response head with its empty line. prologue: lines and blocks that come before the first frame.
  void begin(std::string_view head, std::string_view prologue);
  // Writes what there is from the cursor on, as much as the socket takes now.
  void serve();
  // A line outside frames, if the socket takes it and nothing is ahead of it.
  void send_line(std::string_view line);
  // Ends the response at an event's end, in the manner of the route: `retry` first if there is one.
  void end(std::optional<std::uint64_t> retry_ms);
  [[nodiscard]] replay::Place cursor() const { return cursor_; }
  [[nodiscard]] bool is_get() const { return is_get_; }
  // Where it stands in its group's list.
  [[nodiscard]] std::size_t seat() const { return seat_; }
  void set_seat(std::size_t seat) { seat_ = static_cast<std::uint32_t>(seat); }

  // A resumed request's content is read and thrown away; an opener's goes on to the upstream.
  void on_content(std::string_view content) override;
  void on_content_end(const http::Fields& trailers) override;
  void on_upload_writable() { client_.hold_content(false); }
  void on_client_writable() override;
  void on_client_eof() override;
  void on_client_gone() override;

 private:
  void on_deadline(net::Deadline& deadline) override;
  void on_snapshot(const Snapshot& snapshot) override;
  // False if nothing more can be written now.
  bool write_runs(const std::vector<replay::Run>& runs);
  bool write_unframed(const std::vector<replay::Run>& runs);
  void count(replay::Place from, replay::Place to);
  void fall_behind();
  void skip_ahead();
  void tell_lagged(const std::string& snapshot, const std::string& error);
  void finish_at(const replay::End& end);
  void lose_upstream();
  void finish(bool clean);
  void write_own(std::string_view text);
  void leave();
  void arm();
  // limits.send_timeout counts from when something was last acknowledged; looked at a few times meanwhile.
  void watch_blocked();
  [[nodiscard]] bool is_stuck();
  [[nodiscard]] Millis look_interval() const;

  Worker& worker_;
  ClientSession& client_;
  ReaderGroup* group_;  // Null once left.
  std::shared_ptr<replay::ReplayLog> log_;
  std::shared_ptr<relay::Credential> credential_;
  std::shared_ptr<const relay::Credential> snapshot_source_;
  AccessRecord record_;
  net::Deadline deadline_;
  replay::Place cursor_;
  replay::Place start_;
  std::uint32_t ends_seen_;
  std::uint32_t seat_ = 0;
  Millis last_sent_{0};
  Millis blocked_since_{0};  // Or since the client last acknowledged something.
  std::size_t unacknowledged_ = 0;
  Millis ends_at_{Millis::max()};  // max_age
  std::string requested_;
  std::unique_ptr<std::string> unsaved_;  // Nothing comes before it.
  bool has_requested_;
  bool keep_alive_;
  bool is_chunked_;
  bool looks_like_event_source_;
  bool is_get_;
  bool then_upstream_lost_;
  bool then_final_;
  bool uploads_;  // True exactly while content of the opening request is to come.
  bool was_blocked_ = false;
  bool is_awaiting_snapshot_ = false;        // That a gap is told with; nothing is sent until it is here.
  bool is_over_ = false;                     // The response is complete or about to be.
  std::optional<bool> finish_when_drained_;  // Cleanly?
  std::uint8_t eof_probes_ = 0;
};

}  // namespace ssequel::gateway
