// A request passed on to the upstream and its response passed back: content streams both ways with backpressure,
// framing is made anew, hop-by-hop fields end here. Also the base of what begins as a passed request and may become a
// stream.
#pragma once

#include <memory>
#include <string>

#include "gateway/exchange.h"
#include "gateway/upstream_session.h"
#include "gateway/worker.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {

class Forward : public Exchange, protected UpstreamListener {
 public:
  Forward(Worker& worker, ClientSession& client, AccessRecord record);
  ~Forward() override;

  // route: null for transparent requests.
  void start(const http::RequestHead& head, const relay::Route* route, const relay::UpstreamLastEventId& id);
  // The response is already coming: `upstream` has given its head, which is passed on now.
  void adopt(std::unique_ptr<UpstreamSession> upstream, http::ResponseHead& head);

  void on_content(std::string_view content) override;
  void on_content_end(const http::Fields& trailers) override;
  void on_client_writable() override;
  void on_client_eof() override;
  void on_client_gone() override;

 protected:
  // The upstream's final head. True: taken care of, this object may be retired already. Default: passed on.
  virtual bool judge_head(http::ResponseHead& head);
  // No response will come (nothing was sent to the client yet). True: taken care of.
  virtual bool judge_failure(UpstreamFailure failure, const Error& error);
  // May change the fields of the response.
  virtual void amend_head(http::ResponseHead& head);

  void on_upstream_interim(http::ResponseHead& head) override;
  void on_upstream_head(http::ResponseHead& head) override;
  void on_upstream_content(std::string_view content) override;
  void on_upstream_complete(const http::Fields& trailers) override;
  void on_upstream_upgraded(std::string_view rest) override;
  void on_upstream_failed(UpstreamFailure failure, const Error& error) override;
  void on_upstream_writable() override;
  void on_upstream_read_over() override;

  void pass_head(http::ResponseHead& head);
  void flush();
  void finish(bool keep_alive);
  // The access line, once a request.
  void log(int status);

  Worker& worker_;
  ClientSession& client_;
  AccessRecord record_;
  std::unique_ptr<UpstreamSession> upstream_;
  std::string out_;           // Small pieces gathered over one read of the upstream's.
  int status_ = 0;            // 0: nothing sent to the client yet.
  bool is_chunked_ = false;   // The response goes out in chunks.
  bool is_delimited_ = true;  // The client can tell where it ends.
  bool keep_alive_ = true;
  bool is_upgrade_ = false;
  bool is_logged_ = false;
};

}  // namespace ssequel::gateway
