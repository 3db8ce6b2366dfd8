// Requests on session routes that ask the upstream: one that opens a channel of its own, and one that asks for more at
// a channel's very end. And the way to them, and to those that join a channel (session_resume.h, session_reattach.h).
#pragma once

#include <memory>
#include <string>

#include "gateway/forward.h"
#include "gateway/reattachments.h"
#include "gateway/session_pending.h"
#include "gateway/stream_answer.h"

namespace ssequel::gateway {

// A request without a known resume point: passed on as it is, and if the answer is an event stream, a channel of its
// own.
class SessionOpen : public Forward {
 public:
  SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record);
  // Whoever repeats the request meanwhile waits for its answer's head.
  SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
              std::unique_ptr<ReattachTicket> ticket);
  // id: what becomes of the Last-Event-ID. tell_unknown: the client's id is of a channel that is gone.
  void start_session(const relay::UpstreamLastEventId& id, bool tell_unknown);
  void on_client_gone() override;

 protected:
  bool judge_head(http::ResponseHead& head) override;
  bool judge_failure(UpstreamFailure failure, const Error& error) override;
  // The upstream's answer is an event stream.
  virtual void take_stream(http::ResponseHead& head, http::ContentCoding coding);
  void open_channel(http::ResponseHead& head, http::ContentCoding coding);
  void trouble(relay::TroubleReason reason, int status, Millis retry_after);

  SessionContext context_;
  bool tell_unknown_ = false;

 private:
  // Null if nobody can join, or the answer is known.
  std::unique_ptr<ReattachTicket> ticket_;
};

// At the very end of a channel whose upstream has ended: asks again, with its last origin id, and the channel goes on
// with the answer. While it asks, ChannelHost::is_continuing().
class SessionContinue final : public SessionOpen {
 public:
  // place: what the request's id resolved to, the log's end.
  SessionContinue(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record, std::string tag,
                  replay::Place place)
      : SessionOpen(worker, client, std::move(context), std::move(record)), tag_(std::move(tag)), place_(place) {}
  ~SessionContinue() override { stop(); }
  void on_client_gone() override;

 private:
  bool judge_head(http::ResponseHead& head) override;
  bool judge_failure(UpstreamFailure failure, const Error& error) override;
  void take_stream(http::ResponseHead& head, http::ContentCoding coding) override;
  void stop();
  std::string tag_;
  replay::Place place_;
  bool is_asking_ = true;
};

// Begins whatever a request on a session route asks for.
void start_session_request(Worker& worker, ClientSession& client, std::shared_ptr<const relay::Route> route,
                           http::RequestHead& head, relay::LastEventId id, AccessRecord record);
// The same once it is known who asks.
void go_on_with_session(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record);

// In the place of an id of ours, the origin id in it.
[[nodiscard]] relay::UpstreamLastEventId upstream_id_of(const relay::LastEventId& id);
// The upstream's response broke off, and the request was none that may be sent again by itself.
[[nodiscard]] bool is_lost_for_good(relay::Channel& channel);
// Joins a channel: what is behind `beginning`, then what comes, then its end. Replaces the client's exchange.
// set_cookies: the opener's, of its own response; null for all others.
void join_session(Worker& worker, ClientSession& client, ChannelHost& host, const SessionContext& context,
                  AccessRecord record, const Beginning& beginning, const http::Fields* set_cookies);
// The same, with a snapshot first where a gap has to be told and the route wants one.
void replay_session(Worker& worker, ClientSession& client, ChannelHost& host, SessionContext context,
                    AccessRecord record, const Beginning& beginning, const http::Fields* set_cookies = nullptr);

}  // namespace ssequel::gateway
