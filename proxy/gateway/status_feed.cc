#include "gateway/status_feed.h"

#include <algorithm>
#include <charconv>

#include "http/serializer.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

constexpr Millis kEvery{1000};
constexpr Millis kRetry{2000};
constexpr Millis kPatience{30'000};  // With a viewer that takes nothing.

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

}  // namespace

// A connection that looks.
class StatusFeed::Viewer final : public Exchange {
 public:
  Viewer(StatusFeed& feed, ClientSession& session) : feed_(&feed), session_(session) {}
  ~Viewer() override { leave(); }

  void begin(std::string_view frames) {
    is_chunked_ = !session_.is_http10();
    std::string out;
    http::append_status_line(out, 200, http::reason_phrase(200));
    out += "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    out += is_chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "Connection: close\r\n\r\n";
    session_.ignore_pipelined();
    if (auto* stream = session_.stream()) stream->set_user_timeout(kPatience);
    session_.write(out);
    send(frames);
  }
  void send(std::string_view frames) {
    if (frames.empty() || session_.is_blocked()) return;
    std::string out;
    if (is_chunked_) http::append_chunk_header(out, frames.size());
    out += frames;
    if (is_chunked_) out += "\r\n";
    session_.write(out);
    written_at_ = session_.deadlines().loop().now();
  }
  [[nodiscard]] bool is_stuck() const {
    return session_.is_blocked() && session_.deadlines().loop().now() - written_at_ > kPatience;
  }
  void cut() { session_.cut(true); }

  void on_content(std::string_view) override {}
  void on_content_end(const http::Fields&) override {}
  void on_client_writable() override {}
  void on_client_eof() override { session_.cut(false); }
  void on_client_gone() override { leave(); }

 private:
  void leave() {
    if (feed_) std::exchange(feed_, nullptr)->leave(*this);
  }
  StatusFeed* feed_;  // Null once it has left.
  ClientSession& session_;
  Millis written_at_{0};
  bool is_chunked_ = true;
};

StatusFeed::StatusFeed(net::DeadlineQueue& deadlines, const Clock& clock, StatusSource& source)
    : clock_(clock), source_(source), deadline_(deadlines, static_cast<net::Deadline::Listener&>(*this)) {}

StatusFeed::~StatusFeed() { *alive_ = false; }

void StatusFeed::join(ClientSession& session, std::string_view last_event_id) {
  auto viewer = std::make_unique<Viewer>(*this, session);
  auto& joined = *viewer;
  viewers_.push_back(&joined);
  session.begin(std::move(viewer));
  const auto from = number_of(last_event_id);
  std::string frames = sse::retry_line(static_cast<std::uint64_t>(kRetry.count()));
  for (const auto& snapshot : kept_) {
    if (snapshot.id > from) frames += snapshot.frame;
  }
  joined.begin(frames);
  if (!deadline_.is_set()) gather();
}

void StatusFeed::on_deadline(net::Deadline&) {
  for (auto* viewer : std::vector<Viewer*>(viewers_)) {
    if (viewer->is_stuck()) viewer->cut();
  }
  if (!viewers_.empty()) gather();
}

void StatusFeed::gather() {
  if (std::exchange(is_gathering_, true)) return;
  deadline_.set(kEvery);
  source_.status([this, alive = alive_](const std::string& content) {
    if (!*alive) return;
    is_gathering_ = false;
    take(content);
  });
}

void StatusFeed::take(const std::string& content) {
  const auto now = static_cast<std::uint64_t>(clock_.unix_micros() / 1000);
  const auto id = kept_.empty() ? now : std::max(now, kept_.back().id + 1);
  Snapshot snapshot{.id = id, .frame = {}};
  sse::append_frame(snapshot.frame, std::to_string(id), sse::event_lines({}, content), std::nullopt, {},
                    sse::IdPlace::First);
  kept_bytes_ += snapshot.frame.size();
  kept_.push_back(std::move(snapshot));
  while (kept_.size() > 1 && (kept_.size() > kKeptSnapshots || kept_bytes_ > kKeptBytes)) {
    kept_bytes_ -= kept_.front().frame.size();
    kept_.pop_front();
  }
  for (auto* viewer : std::vector<Viewer*>(viewers_)) {
    // Writing may end another one's connection, never from inside this call.
    viewer->send(kept_.back().frame);
  }
}

}  // namespace ssequel::gateway
