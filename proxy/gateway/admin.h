// The admin endpoint: metrics, health, readiness, channels, drain, and a status page with its event stream. Shows no
// payload, no credential, no query string. One request, one answer, but for the stream; connections are kept alive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/client_session.h"
#include "gateway/retired.h"
#include "gateway/status_feed.h"
#include "net/deadline.h"
#include "net/listener.h"

namespace ssequel::gateway {

struct Readiness {
  bool is_ready = false;
  std::string why;  // One line: "ready", "draining" ...
  bool is_store_ready = true;
  std::string store = "memory";
  std::map<std::string, std::string> ids;  // Allocators of ids that are in use, and how each fares.
};

// Who answers. Text may come later, since it may have to be gathered from several loops: `done` is called once.
class AdminBackend : public StatusSource {
 public:
  virtual void metrics(std::function<void(std::string)> done) = 0;   // Prometheus text format 0.0.4.
  virtual void channels(std::function<void(std::string)> done) = 0;  // JSON.
  [[nodiscard]] virtual Readiness readiness() = 0;
  // A part of the status page. Both live as long as the program.
  struct Page {
    std::string_view type;
    std::string_view content;
  };
  [[nodiscard]] virtual std::optional<Page> page(std::string_view path) = 0;
  virtual void drain() = 0;
};

class Admin final : private ClientHandler, private net::ListenerClient {
 public:
  Admin(net::Loop& loop, net::DeadlineQueue& deadlines, const Clock& clock, AdminBackend& backend);
  ~Admin() override;
  [[nodiscard]] Result<void> listen(const net::Address& address);
  [[nodiscard]] std::uint16_t port() const;
  void close();

 private:
  class Pending;
  void on_request(ClientSession& session, http::RequestHead& head) override;
  void on_refused(ClientSession&, int) override {}
  void on_session_over(ClientSession& session) override;
  [[nodiscard]] Graveyard& graveyard() override { return graveyard_; }
  [[nodiscard]] bool is_closing() const override { return false; }
  void on_accepted(net::Owned<net::Stream> stream) override;
  void on_accept_trouble(const Error&) override {}
  // extra: further field lines.
  void answer(ClientSession& session, int status, std::string_view type, std::string_view content,
              std::string_view extra = {});
  void watch(ClientSession& session, const http::RequestHead& head);
  void answer_later(ClientSession& session, void (AdminBackend::*ask)(std::function<void(std::string)>),
                    std::string_view type);

  net::Loop& loop_;
  net::DeadlineQueue& deadlines_;
  AdminBackend& backend_;
  StatusFeed status_feed_;
  Graveyard graveyard_;
  net::Owned<net::Listener> listener_;
  std::unordered_map<ClientSession*, std::unique_ptr<ClientSession>> sessions_;
};

}  // namespace ssequel::gateway
