// What the kernel alone costs: no proxy but the least that can stand in one's place. One connection to the origin,
// opened with the first request; its bytes lie in a ring as they came, with their chunk framing; each client is a
// cursor and gets one send() a turn. A request is whatever ends with an empty line; `Last-Event-ID: N` begins N events
// after the stream's beginning, as all events have one size; what is sent has no ids.
//
//   bare_loop PORT ORIGIN_PORT
#include <string>
#include <string_view>

#include "bench.h"
#include "poller.h"

namespace {

using namespace ssequel::bench;

constexpr std::size_t kRing = 64 << 20;
constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kEventEnd = "\n\n\r\n";

class BareLoop final : public Pollable {
 public:
  BareLoop(int port, int origin_port)
      : origin_port_(origin_port), listener_(listen_on(port)), ring_(new char[kRing]), upstream_(*this) {
    set_nonblocking(listener_);
    poller_.add(listener_, EPOLLIN, *this);
  }
  [[noreturn]] void serve() {
    for (;;) poller_.turn(now_ns() + 1'000'000'000);
  }

 private:
  struct Client final : Pollable {
    Client(BareLoop& owner, int socket) : loop(owner), fd(socket) {}
    void on_ready(std::uint32_t events) override { loop.on_client(*this, events); }
    BareLoop& loop;
    int fd;
    bool is_streaming = false;
    bool is_full = false;  // True exactly while its socket took no more.
    std::size_t cursor = 0;
  };
  struct Upstream final : Pollable {
    explicit Upstream(BareLoop& owner) : loop(owner) {}
    void on_ready(std::uint32_t) override { loop.on_upstream(); }
    BareLoop& loop;
  };

  void on_ready(std::uint32_t) override {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      set_nodelay(fd);
      clients_.push_back(new Client(*this, fd));
      poller_.add(fd, EPOLLIN | EPOLLOUT | EPOLLET, *clients_.back());
    }
  }
  void connect_upstream() {
    upstream_fd_ = connect_to(origin_port_, true);
    constexpr std::string_view request = "GET /sse HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    check(static_cast<int>(send(upstream_fd_, request.data(), request.size(), 0)), "send");
    // The head comes alone: the origin sends it at once, and events later.
    char head[4096];
    check(static_cast<int>(recv(upstream_fd_, head, sizeof head, 0)), "recv");
    set_nonblocking(upstream_fd_);
    poller_.add(upstream_fd_, EPOLLIN, upstream_);
  }
  void on_upstream() {
    const auto room = std::min<std::size_t>(kRing - head_ % kRing, 256 * 1024);
    const auto size = recv(upstream_fd_, &ring_[head_ % kRing], room, 0);
    if (size <= 0) std::exit(0);
    head_ += static_cast<std::size_t>(size);
    if (event_size_ == 0) {
      const auto end = std::string_view(ring_, head_).find(kEventEnd);
      if (end == std::string_view::npos) return;
      event_size_ = end + kEventEnd.size();
    }
    for (Client* client : clients_) {
      if (client->is_streaming && !client->is_full) push(*client);
    }
  }
  void on_client(Client& client, std::uint32_t events) {
    if (client.fd < 0) return;
    if ((events & EPOLLIN) != 0) {
      char request[4096];
      const auto size = recv(client.fd, request, sizeof request, 0);
      if (size == 0) return shut(client);
      if (size > 0 && !client.is_streaming) begin(client, std::string_view(request, static_cast<std::size_t>(size)));
    }
    if ((events & EPOLLOUT) != 0 && client.is_streaming) {
      client.is_full = false;
      push(client);
    }
  }
  void begin(Client& client, std::string_view request) {
    constexpr std::string_view kField = "Last-Event-ID: ";
    const auto at = request.find(kField);
    client.cursor =
        at == std::string_view::npos ? head_ : event_size_ * std::strtoull(&request[at + kField.size()], nullptr, 10);
    client.is_streaming = true;
    if (upstream_fd_ < 0) connect_upstream();
    if (send(client.fd, kHead.data(), kHead.size(), MSG_NOSIGNAL) < 0) return shut(client);
    push(client);
  }
  void push(Client& client) {
    const auto whole = event_size_ == 0 ? 0 : head_ - head_ % event_size_;
    while (client.cursor < whole) {
      const auto piece = std::min(whole - client.cursor, kRing - client.cursor % kRing);
      const auto sent = send(client.fd, &ring_[client.cursor % kRing], piece, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return shut(client);
      client.is_full = sent < 0;
      if (client.is_full) return;
      client.cursor += static_cast<std::size_t>(sent);
    }
  }
  static void shut(Client& client) {
    close(client.fd);
    client.fd = -1;
    client.is_streaming = false;
  }

  Poller poller_;
  const int origin_port_;
  const int listener_;
  char* const ring_;
  Upstream upstream_;
  int upstream_fd_ = -1;
  std::size_t head_ = 0;  // Bytes received.
  std::size_t event_size_ = 0;
  std::vector<Client*> clients_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bare_loop PORT ORIGIN_PORT\n");
    return 2;
  }
  raise_fd_limit();
  BareLoop(std::atoi(argv[1]), std::atoi(argv[2])).serve();
}
