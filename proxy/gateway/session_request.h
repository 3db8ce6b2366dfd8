// Requests on session routes: one that opens a channel of its own, one that resumes, and one that asks the upstream for
// more at a channel's very end.
#pragma once

#include <memory>
#include <string>

#include "gateway/authorizer.h"
#include "gateway/channel_host.h"
#include "gateway/forward.h"
#include "gateway/stream_answer.h"

namespace ssequel::gateway {

// What the three have in common: the request and what it asks for.
struct SessionContext {
  std::shared_ptr<const relay::Route> route;
  http::RequestHead head;
  relay::LastEventId id;
  std::string identity;
};

// A request without a known resume point: passed on as it is, and if the answer is an event stream, a channel of its
// own.
class SessionOpen : public Forward {
 public:
  SessionOpen(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record);
  // id: what becomes of the Last-Event-ID. tell_unknown: the client's id is of a channel that is gone.
  void start_session(const relay::UpstreamLastEventId& id, bool tell_unknown);

 protected:
  bool judge_head(http::ResponseHead& head) override;
  bool judge_failure(UpstreamFailure failure, const Error& error) override;
  // The upstream's answer is an event stream.
  virtual void take_stream(http::ResponseHead& head, http::ContentCoding coding);
  void open_channel(http::ResponseHead& head, http::ContentCoding coding);
  void trouble(relay::TroubleReason reason, int status, Millis retry_after);

  SessionContext context_;
  bool tell_unknown_ = false;
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

// A request whose Last-Event-ID has a tag's form.
class SessionResume final : public Exchange, private AuthorizeWaiter, private ContinueWaiter {
 public:
  SessionResume(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record);
  ~SessionResume() override;
  void start();

  void on_content(std::string_view) override {}  // Read and thrown away.
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override { client_.cut(false); }
  void on_client_gone() override;
  void on_drain() override;

 private:
  void on_verdict(const Verdict& verdict) override;
  void on_continued() override;
  void resume();
  // True if the request is at the very end, and another one asks the upstream already.
  bool waits_for_another(ChannelHost& host);
  void leave();
  void move_to(Worker& owner);
  void resume_in(ChannelHost& host);
  void without_channel();
  [[nodiscard]] ChannelHost* known_channel();

  Worker& worker_;
  ClientSession& client_;
  SessionContext context_;
  AccessRecord record_;
  bool is_asking_ = false;
  bool is_over_ = false;
  bool is_waiting_ = false;  // For another one's question to the upstream.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Begins whatever a request on a session route asks for.
void start_session_request(Worker& worker, ClientSession& client, std::shared_ptr<const relay::Route> route,
                           http::RequestHead& head, relay::LastEventId id, AccessRecord record);

}  // namespace ssequel::gateway
