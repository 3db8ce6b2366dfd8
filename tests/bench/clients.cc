#include "clients.h"

#include <bit>
#include <charconv>

namespace ssequel::bench {
namespace {

// Shared by all: a client that is idle holds no buffer.
char receive_buffer[1 << 18];

std::uint64_t number_in(std::string_view digits) {
  std::uint64_t value = 0;
  for (const char c : digits) value = 10 * value + static_cast<unsigned char>(c - '0');
  return value;
}

}  // namespace

void Tally::add_latency(std::int64_t nanoseconds) {
  const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds / 1000, 8));
  const auto doubling = static_cast<std::size_t>(std::bit_width(micros)) - 1;
  const auto step = (micros >> (doubling - 3)) & 7;
  ++latency[std::min(8 * doubling + step, latency.size() - 1)];
}

double Tally::quantile_ms(double q) const {
  std::uint64_t all = 0, sum = 0;
  for (const auto count : latency) all += count;
  for (std::size_t i = 0; i < latency.size(); ++i) {
    sum += latency[i];
    if (all != 0 && static_cast<double>(sum) >= q * static_cast<double>(all)) {
      return static_cast<double>((8 + i % 8 + 1) << (i / 8)) / 8 / 1000;
    }
  }
  return 0;
}

class Clients::Client final : public Pollable {
 public:
  Client(Clients& all, std::size_t index, std::string request, std::uint64_t goal)
      : all_(all),
        fd_(connect_to(all.port_, false, static_cast<int>(index))),
        is_first_(index == 0),
        goal_(goal),
        held_(std::move(request)) {
    all_.poller_.add(fd_, EPOLLOUT, *this);
  }
  ~Client() override {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] std::uint64_t last() const { return last_; }

 private:
  enum class State { Connecting, Head, Body };
  enum class Piece { Size, Content, End };

  void on_ready(std::uint32_t events) override {
    if (fd_ < 0) return;
    if (state_ == State::Connecting) {
      if ((events & (EPOLLERR | EPOLLHUP)) != 0) return lose();
      if (send(fd_, held_.data(), held_.size(), MSG_NOSIGNAL) < 0) return lose();
      held_ = std::string();
      state_ = State::Head;
      all_.poller_.change(fd_, EPOLLIN, *this);
      return;
    }
    const auto size = recv(fd_, receive_buffer, sizeof receive_buffer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return lose();
    now_ = now_ns();
    take(std::string_view(receive_buffer, static_cast<std::size_t>(size)));
  }
  void lose() {
    close(fd_);
    fd_ = -1;
    if (all_.lost_++ == 0) std::fprintf(stderr, "load: a connection was lost after: %.80s\n", held_.c_str());
  }
  void take(std::string_view bytes) {
    if (state_ == State::Body) return take_body(bytes);
    held_ += bytes;
    const auto end = held_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    if (!held_.starts_with("HTTP/1.1 200")) return lose();
    is_chunked_ = held_.find("chunked") < end;
    state_ = State::Body;
    ++all_.streaming_;
    const std::string rest = held_.substr(end + 4);
    held_ = std::string();
    take_body(rest);
  }
  // RFC 9112 §7.1, without trailers.
  void take_body(std::string_view bytes) {
    if (!is_chunked_) return take_content(bytes);
    while (!bytes.empty()) {
      if (piece_ == Piece::Content) {
        const auto part = bytes.substr(0, left_);
        take_content(part);
        left_ -= part.size();
        bytes.remove_prefix(part.size());
        if (left_ == 0) piece_ = Piece::End;
        continue;
      }
      const char c = bytes.front();
      bytes.remove_prefix(1);
      if (c != '\n') {
        if (piece_ == Piece::Size && c != '\r') {
          left_ = 16 * left_ + static_cast<std::size_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
        continue;
      }
      piece_ = piece_ == Piece::End ? Piece::Size : Piece::Content;
      if (piece_ == Piece::Content && left_ == 0) return lose();
    }
  }
  void take_content(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto* end = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
      if (end == nullptr) {
        held_ += bytes;
        return;
      }
      const auto size = static_cast<std::size_t>(end - bytes.data());
      if (held_.empty()) {
        take_line(bytes.substr(0, size));
      } else {
        held_ += bytes.substr(0, size);
        take_line(held_);
        held_.clear();
      }
      bytes.remove_prefix(size + 1);
    }
  }
  void take_line(std::string_view line) {
    if (is_first_ && line.starts_with("id: ")) id_ = line.substr(4);
    if (!line.starts_with("data: ") || line.size() < 6 + kPayload) return;
    line.remove_prefix(6);
    const auto number = number_in(line.substr(0, kSequenceDigits));
    const auto due = number_in(line.substr(kSequenceDigits + 1, kDueDigits));
    auto& tally = all_.tally_;
    ++tally.deliveries;
    tally.add_latency(now_ - static_cast<std::int64_t>(due));
    if (last_ != 0 && number > last_ + 1) tally.missing += number - last_ - 1;
    if (number <= last_) ++tally.repeated;
    last_ = number;
    if (++events_ == goal_) ++all_.done_;
    if (is_first_) {
      all_.ids_.resize(std::max<std::size_t>(all_.ids_.size(), number + 1));
      all_.ids_[number] = id_;
    }
  }

  Clients& all_;
  int fd_;
  const bool is_first_;
  const std::uint64_t goal_;
  State state_ = State::Connecting;
  Piece piece_ = Piece::Size;
  bool is_chunked_ = false;
  std::size_t left_ = 0;  // Of the chunk; while its size is read, the size so far.
  std::uint64_t last_ = 0;
  std::uint64_t events_ = 0;
  std::int64_t now_ = 0;
  std::string id_;
  std::string held_;  // The request until it is sent, the head until it is whole, then an unfinished line.
};

Clients::Clients(Poller& poller, int port, std::string path) : poller_(poller), port_(port), path_(std::move(path)) {}
Clients::~Clients() = default;

void Clients::start(int count, const std::string& last_event_id, std::uint64_t goal) {
  std::string request = "GET " + path_ + " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n";
  if (!last_event_id.empty()) request += "Last-Event-ID: " + last_event_id + "\r\n";
  request += "\r\n";
  for (int i = 0; i < count; ++i) clients_.push_back(std::make_unique<Client>(*this, clients_.size(), request, goal));
}

std::string Clients::id_of(std::uint64_t number) const { return number < ids_.size() ? ids_[number] : std::string(); }

int Clients::behind(std::uint64_t newest) const {
  return static_cast<int>(
      std::count_if(clients_.begin(), clients_.end(), [newest](const auto& one) { return one->last() != newest; }));
}

}  // namespace ssequel::bench
