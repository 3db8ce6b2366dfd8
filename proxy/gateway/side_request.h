// A small request of our own to the upstream, bounded in time and size: a probe, an authoriser's question, a snapshot,
// a question for CORS fields. Redirects are answers like any other.
#pragma once

#include <memory>
#include <string>

#include "gateway/upstream_session.h"
#include "net/deadline.h"

namespace ssequel::gateway {

class Worker;

struct SideAnswer {
  int status = 0;
  http::Fields fields;
  std::string content;  // Only if wanted, and whole.
};

class SideListener {
 public:
  virtual ~SideListener() = default;
  // Error: no answer in time, a broken one, or content over the bound. The SideRequest may be dropped here.
  virtual void on_side_answer(Result<SideAnswer> answer) = 0;
};

class SideRequest final : public Retirable, private UpstreamListener, private net::Deadline::Listener {
 public:
  static constexpr Millis kTime{5000};
  // head: of a GET, with the empty line. max_content: 0 = the connection is closed at the head. Dropping it cancels.
  SideRequest(Worker& worker, SideListener& listener, std::string head, std::size_t max_content);
  ~SideRequest() override;

 private:
  void on_upstream_interim(http::ResponseHead&) override {}
  void on_upstream_head(http::ResponseHead& head) override;
  void on_upstream_content(std::string_view content) override;
  void on_upstream_complete(const http::Fields&) override;
  void on_upstream_upgraded(std::string_view) override;
  void on_upstream_failed(UpstreamFailure, const Error& error) override;
  void on_upstream_writable() override {}
  void on_upstream_read_over() override {}
  void on_deadline(net::Deadline&) override;
  void answer(Result<SideAnswer> answer);

  Worker& worker_;
  SideListener& listener_;
  std::unique_ptr<UpstreamSession> upstream_;
  net::Deadline deadline_;
  std::size_t max_content_;
  SideAnswer answer_;
};

}  // namespace ssequel::gateway
