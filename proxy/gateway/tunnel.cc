#include "gateway/tunnel.h"

#include "gateway/worker.h"

namespace ssequel::gateway {

Tunnel::Tunnel(Worker& worker, net::Owned<net::Stream> client, std::unique_ptr<UpstreamSession> upstream)
    : worker_(worker),
      session_(std::move(upstream)),
      client_(*this, std::move(client)),
      upstream_(*this, session_->take_stream()) {
  client_.other_ = &upstream_;
  upstream_.other_ = &client_;
}

Tunnel::~Tunnel() = default;

void Tunnel::start(std::string_view from_client, std::string_view from_upstream) {
  client_.stream_->set_listener(client_);
  upstream_.stream_->set_listener(upstream_);
  client_.stream_->start_reading();
  upstream_.stream_->start_reading();
  if (!from_client.empty()) client_.on_read(from_client);
  if (!from_upstream.empty()) upstream_.on_read(from_upstream);
}

void Tunnel::close() {
  client_.stream_.reset();
  upstream_.stream_.reset();
  worker_.drop(*this);
}

void Tunnel::Side::on_read(std::string_view bytes) {
  if (!other_->stream_->write(bytes)) stream_->stop_reading();
}

void Tunnel::Side::on_drained() {
  if (!other_->is_over_) other_->stream_->start_reading();
  if (is_over_ && other_->is_over_) tunnel_.close();
}

void Tunnel::Side::on_eof() {
  is_over_ = true;
  other_->stream_->shutdown();
  if (other_->is_over_ && !stream_->is_blocked() && !other_->stream_->is_blocked()) tunnel_.close();
}

void Tunnel::Side::on_broken(const Error&) {
  other_->stream_->reset_on_close();
  tunnel_.close();
}

}  // namespace ssequel::gateway
