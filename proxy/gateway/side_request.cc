#include "gateway/side_request.h"

#include "gateway/worker.h"

namespace ssequel::gateway {

SideRequest::SideRequest(Worker& worker, SideListener& listener, std::string head, std::size_t max_content)
    : worker_(worker), listener_(listener), deadline_(worker.deadlines(), *this), max_content_(max_content) {
  upstream_ = std::make_unique<UpstreamSession>(worker.pool(), static_cast<UpstreamListener&>(*this));
  deadline_.set(kTime);
  upstream_->start({.head = std::move(head), .method = "GET"}, Millis(0));
}

SideRequest::~SideRequest() {
  if (!upstream_) return;
  if (!upstream_->is_over()) upstream_->abandon();
  worker_.graveyard().take(std::move(upstream_));
}

void SideRequest::answer(Result<SideAnswer> answer) {
  deadline_.cancel();
  if (!upstream_->is_over()) upstream_->abandon();
  worker_.graveyard().take(std::move(upstream_));
  listener_.on_side_answer(std::move(answer));  // The last act: this may be gone.
}

void SideRequest::on_upstream_head(http::ResponseHead& head) {
  if (head.status == 101) {
    on_upstream_upgraded({});
    return;
  }
  answer_.status = head.status;
  answer_.fields = std::move(head.fields);
  if (max_content_ == 0) answer(std::move(answer_));
}

void SideRequest::on_upstream_content(std::string_view content) {
  if (answer_.content.size() + content.size() > max_content_) {
    answer(fail(ErrorCode::TooLarge, "the answer is over limits.event_bytes"));
    return;
  }
  answer_.content += content;
}

void SideRequest::on_upstream_complete(const http::Fields&) { answer(std::move(answer_)); }
void SideRequest::on_upstream_upgraded(std::string_view) {
  answer(fail(ErrorCode::Malformed, "the upstream switched protocols unasked"));
}
void SideRequest::on_upstream_failed(UpstreamFailure, const Error& error) { answer(tl::unexpected<Error>(error)); }
void SideRequest::on_deadline(net::Deadline&) { answer(fail(ErrorCode::RetryLater, "no answer within 5 s")); }

}  // namespace ssequel::gateway
