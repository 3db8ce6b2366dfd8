// A request for a shared channel, from its arrival to its subscription:
//
//   Authorizing (probe, path) ──► Attaching ──► Waiting for the upstream ──► CORS ──► Snapshot ──► Subscription
//                                     └──────────────────────────────────────┘
// or an answer of the upstream's own, or one without data where no verdict came. Channels may close meanwhile: each
// step looks the channel up again by its key.
#pragma once

#include <memory>
#include <string>

#include "gateway/authorizer.h"
#include "gateway/channel_host.h"
#include "gateway/exchange.h"
#include "gateway/side_request.h"
#include "gateway/stream_answer.h"
#include "gateway/worker.h"

namespace ssequel::gateway {

class SharedRequest final : public Exchange,
                            private ChannelWaiter,
                            private CorsWaiter,
                            private AuthorizeWaiter,
                            private SnapshotWaiter,
                            private JoinWaiter,
                            private SideListener {
 public:
  SharedRequest(Worker& worker, ClientSession& client, std::shared_ptr<const relay::Route> route,
                http::RequestHead head, relay::LastEventId id, AccessRecord record);
  ~SharedRequest() override;
  void start();

  void on_content(std::string_view) override {}
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override { client_.cut(false); }
  void on_client_gone() override;
  void on_drain() override;

 private:
  enum class Step { Authorizing, Attaching, Joining, CatchingUp, Moving, Waiting, Cors, Snapshot, Over };

  void on_verdict(const Verdict& verdict) override;
  void on_channel_open() override;
  void on_channel_answer(std::unique_ptr<UpstreamSession> upstream, http::ResponseHead& head) override;
  void on_channel_trouble(relay::TroubleReason reason, int status, Millis retry_after) override;
  void on_channel_closed() override;
  void on_joined() override;
  void on_join_failed() override { trouble(relay::TroubleReason::Overload, 503, Millis(1000)); }
  [[nodiscard]] bool wants_raw_answer() const override { return !accepts_by_name_; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }
  void on_cors_changed() override;
  void on_cors_trouble(relay::TroubleReason reason, int status, Millis retry_after) override;
  void on_snapshot(const Snapshot& snapshot) override;
  void on_side_answer(Result<SideAnswer> answer) override;  // Of the question for an Origin.

  void attach();
  void move_to(Worker& owner);
  void open();
  void join();
  // An id that cannot be one of ours may mean something to the upstream: it goes along, once.
  void hand_on_id(ChannelHost& host);
  void wait_for(ChannelHost& host);
  void admitted(ChannelHost& host);
  void find_cors(ChannelHost& host);
  void place(ChannelHost& host);
  // Where another node writes the log, an id that is unknown here may be on its way. True: it is waited for.
  bool waits_for_entries(ChannelHost& host);
  void subscribe(ChannelHost& host);
  void trouble(relay::TroubleReason reason, int status, Millis retry_after);
  [[nodiscard]] bool needs_verdict() const;
  // True if a probe was begun.
  bool probe();
  // The resume point is inside the log, before its end.
  [[nodiscard]] bool is_inside(const replay::ReplayLog& log) const;
  [[nodiscard]] std::shared_ptr<relay::Credential> credential(ChannelHost& host);
  void leave_channel();
  // The channel it was admitted to; null if that is gone, though another may have its key by now.
  [[nodiscard]] ChannelHost* admitted_to();

  Worker& worker_;
  Worker* home_;  // The loop that accepted the client.
  ClientSession& client_;
  std::shared_ptr<const relay::Route> route_;
  http::RequestHead head_;
  relay::LastEventId id_;
  AccessRecord record_;
  std::string identity_;
  std::string key_;
  std::string origin_;
  Step step_ = Step::Attaching;
  bool accepts_by_name_;
  bool has_caught_up_ = false;                    // With what other nodes wrote.
  bool is_authorized_ = false;                    // probe, path: said yes.
  bool then_final_ = false;                       // The rest of a closed channel's log, and the end.
  bool has_verdict_ = false;                      // The upstream's own answer to this request's fields is a stream.
  std::shared_ptr<const replay::ReplayLog> log_;  // Of the channel it was admitted to.
  std::shared_ptr<relay::Credential> credential_;
  std::shared_ptr<const http::Fields> cors_;
  std::unique_ptr<SideRequest> side_;
  Beginning beginning_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
