// The answer to one request. A ClientSession owns it, feeds it the request's content and the client's fate, and retires
// it when it says that it is done or is replaced by another one.
#pragma once

#include <string_view>

#include "gateway/retired.h"
#include "http/message.h"

namespace ssequel::gateway {

class Exchange : public Retirable {
 public:
  // A piece of the request's content; valid during the call. Hold it back with ClientSession::hold_content().
  virtual void on_content(std::string_view content) = 0;
  virtual void on_content_end(const http::Fields& trailers) = 0;
  // What was queued for the client has gone.
  virtual void on_client_writable() = 0;
  // The client will send no more, or is gone for good: nothing on the wire tells the two apart.
  virtual void on_client_eof() = 0;
  // The connection is gone. The exchange is retired when this returns.
  virtual void on_client_gone() = 0;
  // The process is about to go: who still waits for an answer gets one that sends it elsewhere.
  virtual void on_drain() {}
};

}  // namespace ssequel::gateway
