#include "origin.h"

namespace ssequel::bench {
namespace {

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: "
    "chunked\r\n\r\n";

std::string json_answer() {
  const std::string content = R"({"pad":")" + std::string(kPayload - 10, 'x') + "\"}";
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(content.size()) +
         "\r\n\r\n" + content;
}

void append_digits(std::string& out, std::uint64_t number, std::size_t width) {
  const auto digits = std::to_string(number);
  out.append(width - digits.size(), '0').append(digits);
}

}  // namespace

class Origin::Connection final : public Pollable {
 public:
  Connection(Origin& origin, int fd) : origin_(origin), fd_(fd) { origin_.poller_.add(fd_, EPOLLIN, *this); }
  void become_publisher() { is_publisher_ = true; }
  [[nodiscard]] bool is_stream() const { return is_stream_; }

  void write(std::string_view bytes) {
    if (fd_ < 0) return;
    if (pending_.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      if (bytes.empty()) return;
      origin_.poller_.change(fd_, EPOLLIN | EPOLLOUT, *this);
    }
    pending_.append(bytes);
  }

 private:
  void on_ready(std::uint32_t events) override {
    if (fd_ >= 0 && (events & EPOLLOUT) != 0) drain();
    if (fd_ >= 0 && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read();
  }
  void drain() {
    const auto sent = ::send(fd_, pending_.data() + sent_, pending_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) sent_ += static_cast<std::size_t>(sent);
    if (sent_ < pending_.size()) return;
    pending_.clear();
    sent_ = 0;
    origin_.poller_.change(fd_, EPOLLIN, *this);
  }
  void read() {
    char buffer[16384];
    const auto size = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      if (is_publisher_) die("the publishing connection closed");
      origin_.streams_ -= is_stream_ ? 1 : 0;
      is_stream_ = false;
      close(fd_);
      fd_ = -1;
      return;
    }
    if (is_publisher_ || is_stream_) return;  // Answers to our POSTs; a stream's client says nothing more.
    request_.append(buffer, static_cast<std::size_t>(size));
    for (std::size_t end; !is_stream_ && (end = request_.find("\r\n\r\n")) != std::string::npos;) {
      answer(std::string_view(request_).substr(0, end));
      request_.erase(0, end + 4);
    }
  }
  void answer(std::string_view head) {
    static const std::string json = json_answer();
    if (head.find(" /json") < head.find('\r')) return write(json);
    is_stream_ = true;
    ++origin_.streams_;
    write(kStreamHead);
  }

  Origin& origin_;
  int fd_;
  bool is_publisher_ = false;
  bool is_stream_ = false;
  std::string request_;
  std::string pending_;
  std::size_t sent_ = 0;
};

Origin::Origin(Poller& poller, int port) : poller_(poller), listener_(listen_on(port)) {
  set_nonblocking(listener_);
  poller_.add(listener_, EPOLLIN, *this);
}

Origin::~Origin() = default;

void Origin::on_ready(std::uint32_t) {
  for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    set_nodelay(fd);
    connections_.push_back(std::make_unique<Connection>(*this, fd));
  }
}

void Origin::publish_to(int port, const std::string& path) {
  publish_head_ =
      "POST " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Length: " + std::to_string(kPayload) + "\r\n\r\n";
  connections_.push_back(std::make_unique<Connection>(*this, connect_to(port, true)));
  publisher_ = connections_.back().get();
  publisher_->become_publisher();
}

void Origin::emit(std::int64_t due) {
  constexpr std::size_t kNumbers = kSequenceDigits + 1 + kDueDigits + 1;
  if (publisher_ != nullptr) {
    batch_ += publish_head_;
  } else {
    batch_ += "d0\r\ndata: ";  // 6 + 200 + 2
  }
  append_digits(batch_, ++emitted_, kSequenceDigits);
  batch_ += ' ';
  append_digits(batch_, static_cast<std::uint64_t>(due), kDueDigits);
  batch_ += ' ';
  batch_.append(kPayload - kNumbers, 'x');
  if (publisher_ == nullptr) batch_ += "\n\n\r\n";
}

void Origin::flush() {
  if (batch_.empty()) return;
  if (publisher_ != nullptr) {
    publisher_->write(batch_);
  } else {
    for (const auto& connection : connections_) {
      if (connection->is_stream()) connection->write(batch_);
    }
  }
  batch_.clear();
}

}  // namespace ssequel::bench
