// Bytes both ways after a 101: neither side's protocol is looked at. Each direction holds back the other side's reading
// when its own writing is blocked; a FIN is passed on, and the tunnel ends when both sides are done or one breaks.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/retired.h"
#include "gateway/upstream_session.h"
#include "net/stream.h"

namespace ssequel::gateway {

class Worker;

class Tunnel final : public Retirable {
 public:
  Tunnel(Worker& worker, net::Owned<net::Stream> client, std::unique_ptr<UpstreamSession> upstream);
  ~Tunnel() override;
  // What each side had sent behind its head already.
  void start(std::string_view from_client, std::string_view from_upstream);
  void close();

 private:
  class Side final : public net::StreamListener {
   public:
    Side(Tunnel& tunnel, net::Owned<net::Stream> stream) : tunnel_(tunnel), stream_(std::move(stream)) {}
    void on_read(std::string_view bytes) override;
    void on_eof() override;
    void on_drained() override;
    void on_broken(const Error& error) override;

    Tunnel& tunnel_;
    net::Owned<net::Stream> stream_;
    Side* other_ = nullptr;
    bool is_over_ = false;  // It will send no more.
  };

  Worker& worker_;
  std::unique_ptr<UpstreamSession> session_;  // Keeps the slot of the upstream connection.
  Side client_;
  Side upstream_;
};

}  // namespace ssequel::gateway
