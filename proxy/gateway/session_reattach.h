// A request on a session route that has one of its `reattach` fields: if the same request was sent before and its
// answer is running or kept, it joins that answer instead of asking the upstream twice. Its content is read whole
// before that can be decided, up to relay::kMaxReattachContent; what has more is passed on as it is.
//
//   Reading ──whole──► Deciding ──nobody asked it──► (SessionOpen, as the one whom others wait for)
//      │                │  ▲  └──a session has it──► (authorize) ──► (joins it, on the session's loop)
//      └──too much──►   └──┴─somebody asks just now: waits for that answer's head
//         (SessionOpen)
#pragma once

#include <cstdint>
#include <string>

#include "gateway/session_pending.h"
#include "relay/reattach.h"

namespace ssequel::gateway {

class SessionReattach final : public PendingSession {
 public:
  // What moves to another loop with the request.
  struct Luggage {
    std::string digest;  // Empty: the content is not whole yet.
    std::string content;
    http::Fields trailers;
  };
  SessionReattach(Worker& worker, ClientSession& client, SessionContext context, AccessRecord record,
                  Luggage luggage = {});
  ~SessionReattach() override;
  void start();

  void on_content(std::string_view content) override;
  void on_content_end(const http::Fields& trailers) override;

 private:
  void on_admitted() override { decide(); }
  void leave() override;
  // True if the content may be held for now.
  bool hold(std::size_t size);
  void release();
  void decide();
  void join(ChannelHost& host);
  // Asks the upstream. is_awaited: those who send the same wait for the answer.
  void ask_upstream(bool is_awaited);

  relay::ReattachDigest reading_;
  Luggage luggage_;
  std::uint64_t held_ = 0;   // Counted in House::held_content.
  bool is_waiting_ = false;  // For another one's answer.
};

}  // namespace ssequel::gateway
