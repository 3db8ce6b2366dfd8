// A request on a session route whose Last-Event-ID has a tag's form.
#pragma once

#include "gateway/session_pending.h"
#include "gateway/stream_answer.h"

namespace ssequel::gateway {

class SessionResume final : public PendingSession, private ContinueWaiter, private JoinWaiter {
 public:
  struct Luggage {};
  SessionResume(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record, Luggage = {});
  ~SessionResume() override;
  void start();

 private:
  void on_admitted() override { resume(); }
  void on_continued() override;
  void on_joined() override;
  void on_join_failed() override;
  void leave() override;
  void resume();
  // Where several nodes share the logs, another one may know the tag. False: it was asked for already.
  bool looks_elsewhere();
  // Where another node writes the log, an id that is unknown here may be on its way. True: it is waited for.
  bool waits_for_entries(ChannelHost& host);
  void trouble(const char* cause, std::string_view detail);
  // True if the request is at the very end, and another one asks the upstream already.
  bool waits_for_another(ChannelHost& host);
  void resume_in(ChannelHost& host);
  // At the very end of a log that has ended. True: answered.
  bool answer_at_end(ChannelHost& host, replay::Place place);
  void without_channel();
  void break_off_unknown();
  [[nodiscard]] ChannelHost* known_channel();

  bool has_looked_ = false;  // At what other nodes know.
  bool is_looking_ = false;  // True exactly while that is to come.
  bool has_sought_ = false;  // This node's right to go on with the log.
  bool has_caught_up_ = false;
  bool is_waiting_ = false;  // For another one's question to the upstream.
};

}  // namespace ssequel::gateway
