#include "gateway/subscription.h"

#include <algorithm>
#include <array>

#include "base/seeded_bug.h"
#include "gateway/snapshot.h"
#include "http/serializer.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxRuns = 16;  // Pieces of one vectored write.
constexpr std::size_t kMaxUnframed = 64;
// After a client's FIN: two lines this far apart tell one who only closed its sending side from one who is gone, since
// a closed socket answers the first with RST and the second write then fails.
constexpr Millis kEofProbe{200};

}  // namespace

Subscription::Subscription(Worker& worker, ClientSession& client, ReaderGroup& group, AccessRecord record, Start start)
    : worker_(worker),
      client_(client),
      group_(&group),
      log_(group.log()),
      credential_(std::move(start.credential)),
      snapshot_source_(std::move(start.snapshot_source)),
      record_(std::move(record)),
      deadline_(worker.deadlines(), *this),
      cursor_(start.place),
      start_(start.place),
      ends_seen_(static_cast<std::uint32_t>(start.ends_seen)),
      requested_(std::move(start.requested)),
      unsaved_(start.unsaved.empty() ? nullptr : std::make_unique<std::string>(std::move(start.unsaved))),
      has_requested_(start.has_requested),
      keep_alive_(start.keep_alive),
      is_chunked_(!client.is_http10()),
      looks_like_event_source_(start.looks_like_event_source),
      is_get_(start.is_get),
      then_upstream_lost_(start.then_upstream_lost),
      then_final_(start.then_final),
      uploads_(start.uploads) {
  group.join(*this);
}

Subscription::~Subscription() {
  if (is_awaiting_snapshot_) worker_.snapshots().forget(*this);
}

void Subscription::begin(std::string_view head, std::string_view prologue) {
  client_.ignore_pipelined();
  worker_.log_access(record_, 200);
  if (auto* stream = client_.stream()) stream->set_user_timeout(worker_.settings().options.limits.send_timeout);
  const auto& route = group_->route();
  if (route.max_age > Millis(0)) {
    const auto full = static_cast<std::uint64_t>(route.max_age.count());
    const auto spread = full / 5;
    ends_at_ = worker_.loop().now() + Millis(full - spread + worker_.house().random.up_to(spread));
  }
  std::string out(head);
  if (!prologue.empty()) {
    if (is_chunked_) http::append_chunk_header(out, prologue.size());
    out += prologue;
    if (is_chunked_) out += "\r\n";
  }
  client_.write(out);
  last_sent_ = worker_.loop().now();
  arm();
  serve();
  if (group_) group_->report(cursor_);  // The upstream may wait for just that.
  if (uploads_ && !is_over_) client_.hold_content(false);
  // It was on its way, to the upstream or from another loop, when all others were told to go.
  if (!is_over_ && group_ && worker_.drain() == DrainPhase::Ending && group_->may_end_in_drain()) {
    end(worker_.drain_retry(group_->route()));
  }
}

void Subscription::arm() {
  if (is_over_) return;
  Millis due = ends_at_;
  if (group_) {
    const auto heartbeat = group_->route().heartbeat;
    if (heartbeat > Millis(0)) due = std::min(due, last_sent_ + heartbeat);
  }
  if (client_.is_blocked()) due = std::min(due, worker_.loop().now() + look_interval());
  if (due != Millis::max()) deadline_.set(std::max(Millis(1), due - worker_.loop().now()));
}

Millis Subscription::look_interval() const {
  return std::max(Millis(1), worker_.settings().options.limits.send_timeout / 4);
}

void Subscription::watch_blocked() {
  was_blocked_ = true;
  blocked_since_ = worker_.loop().now();
  unacknowledged_ = client_.stream() ? client_.stream()->unacknowledged_bytes() : 0;
  if (is_over_) {
    deadline_.set(look_interval());
  } else {
    arm();
  }
}

bool Subscription::is_stuck() {
  const auto left = client_.stream() ? client_.stream()->unacknowledged_bytes() : 0;
  if (left != std::exchange(unacknowledged_, left)) blocked_since_ = worker_.loop().now();
  return worker_.loop().now() - blocked_since_ >= worker_.settings().options.limits.send_timeout;
}

void Subscription::serve() {
  if (is_over_ || !group_ || is_awaiting_snapshot_) return;
  if (unsaved_) {
    if (!log_->is_saved()) return;
    write_own(*std::exchange(unsaved_, nullptr));
  }
  const replay::Place before = cursor_;
  for (std::size_t turn = 0; turn < 4; ++turn) {
    if (client_.is_blocked()) {
      if (!was_blocked_) watch_blocked();
      break;
    }
    was_blocked_ = false;
    const auto end = log_->end_for(start_, ends_seen_);
    const replay::Place stop = end ? end->at : replay::ReplayLog::kNoPlace;
    const std::vector<replay::Run>* runs = nullptr;
    if (!group_->read(cursor_, stop, runs)) {
      fall_behind();
      if (is_over_ || !group_) return;
      if (is_awaiting_snapshot_) break;
      continue;
    }
    if (runs->empty()) {
      if (end && cursor_ >= end->at) {
        finish_at(*end);
        return;
      }
      if (then_upstream_lost_) {
        lose_upstream();
        return;
      }
      if (then_final_) {
        this->end(std::nullopt);
        return;
      }
      break;
    }
    if (!(is_chunked_ ? write_runs(*runs) : write_unframed(*runs))) break;
    if (is_over_ || !group_) return;
  }
  if (cursor_ != before) {
    last_sent_ = worker_.loop().now();
    arm();
  }
}

bool Subscription::write_runs(const std::vector<replay::Run>& runs) {
  std::array<std::string_view, kMaxRuns> pieces;
  const std::size_t count_of_pieces = std::min(runs.size(), pieces.size());
  std::size_t total = 0;
  for (std::size_t i = 0; i < count_of_pieces; ++i) {
    pieces[i] = runs[i].bytes;
    total += runs[i].bytes.size();
  }
  const auto taken = client_.stream()->try_write(std::span(pieces.data(), count_of_pieces));
  if (!taken) {
    client_.over();  // Retires this.
    return false;
  }
  const replay::Place from = cursor_;
  if (*taken == total) {
    cursor_ = runs[count_of_pieces - 1].end;
    count(from, cursor_);
    return true;
  }
  // The rest of the frame that was cut is queued where it lies; the cursor stands behind it, always between frames.
  std::size_t left = *taken;
  for (std::size_t i = 0; i < count_of_pieces; ++i) {
    if (left >= runs[i].bytes.size()) {
      left -= runs[i].bytes.size();
      continue;
    }
    const auto boundary = log_->boundary(runs[i], left);
    const std::string_view rest = runs[i].bytes.substr(left, boundary.offset - left);
    cursor_ = boundary.next;
    client_.stream()->write_shared(std::span(&rest, 1), runs[i].segment);
    break;
  }
  count(from, cursor_);
  watch_blocked();
  return false;
}

bool Subscription::write_unframed(const std::vector<replay::Run>& runs) {
  std::array<std::string_view, kMaxUnframed> pieces;
  std::array<const replay::Run*, kMaxUnframed> owners;
  std::size_t used = 0;
  std::size_t total = 0;
  for (const auto& run : runs) {
    for (auto bytes = run.bytes; !bytes.empty() && used < pieces.size();) {
      const auto entry = replay::unframe(bytes);
      pieces[used] = entry.frame;
      owners[used++] = &run;
      total += entry.frame.size();
      bytes.remove_prefix(entry.framed_size);
    }
  }
  const auto taken = client_.stream()->try_write(std::span(pieces.data(), used));
  if (!taken) {
    client_.over();
    return false;
  }
  const replay::Place from = cursor_;
  std::size_t left = *taken;
  for (std::size_t i = 0; i < used; ++i) {
    ++cursor_;
    if (left >= pieces[i].size()) {
      left -= pieces[i].size();
      continue;
    }
    const std::string_view rest = pieces[i].substr(left);
    client_.stream()->write_shared(std::span(&rest, 1), owners[i]->segment);
    break;
  }
  count(from, cursor_);
  if (*taken == total) return true;
  watch_blocked();
  return false;
}

void Subscription::count(replay::Place from, replay::Place to) {
  auto& counters = group_->counters();
  counters.events_delivered += to - from;
  const auto published = log_->published();
  counters.lag_events.observe(static_cast<double>(published - std::min(published, to)), relay::kLagBounds);
  // One observation a write, of its oldest event. Times in the log are in milliseconds; for the newest entries the read
  // itself is remembered.
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - group_->read_at()).count();
  if (published - from > 1) {
    if (const auto at = log_->time_of(from)) {
      seconds = std::max(seconds, std::chrono::duration<double>(worker_.loop().now() - *at).count());
    }
  }
  counters.delivery_seconds.observe(seconds, relay::kSecondsBounds);
}

void Subscription::write_own(std::string_view text) {
  if (text.empty()) return;
  std::string out;
  if (is_chunked_) http::append_chunk_header(out, text.size());
  out += text;
  if (is_chunked_) out += "\r\n";
  client_.write(out);
  last_sent_ = worker_.loop().now();
}

void Subscription::send_line(std::string_view line) {
  if (is_over_ || is_awaiting_snapshot_ || client_.is_blocked() || cursor_ != log_->published()) return;
  write_own(line);
}

void Subscription::fall_behind() {
  auto& counters = group_->counters();
  const auto& route = group_->route();
  ++counters.gaps_window;
  ++counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Lagged)];
  const auto behind = log_->published() - cursor_;
  const auto now = worker_.loop().now();
  counters.resume_hour.fell_out(now, behind, relay::window_use(*log_, route.bounds(), behind, now));
  if (route.mode == relay::Mode::Shared && route.on_lag == relay::OnLag::Close) {
    end(std::nullopt);
    return;
  }
  skip_ahead();
  if (route.on_gap.snapshot.empty() || !snapshot_source_) {
    tell_lagged({}, {});
    return;
  }
  // Fetched after the place was fixed: nothing between snapshot and stream is lost. The fields are those of the latest
  // request of the same identity.
  is_awaiting_snapshot_ = true;
  worker_.snapshots().ask({.route = route,
                           .log = *log_,
                           .fields = snapshot_source_->fields,
                           .host = group_->request_host(),
                           .peer_address = snapshot_source_->peer_address},
                          *this);
}

void Subscription::skip_ahead() {
  const bool from_oldest = group_->route().on_gap.resume == relay::GapResume::Oldest;
  cursor_ = from_oldest ? log_->first() : log_->published();
}

void Subscription::on_snapshot(const Snapshot& snapshot) {
  is_awaiting_snapshot_ = false;
  if (is_over_ || !group_) return;
  if (log_->first() > cursor_) {
    skip_ahead();
    tell_lagged({}, "the place left the window while the snapshot was fetched");
  } else {
    tell_lagged(snapshot.content, snapshot.error);
  }
  serve();
  if (group_) group_->report(cursor_);
}

void Subscription::tell_lagged(const std::string& snapshot, const std::string& error) {
  const auto& route = group_->route();
  std::optional<std::string_view> requested;
  if (has_requested_) requested = requested_;
  const auto data = snapshot.empty() ? sse::sync_required_data(sse::SyncReason::Lagged, requested, log_->oldest_id(),
                                                               log_->newest_id(), error)
                                     : snapshot;
  std::string frame;
  sse::append_frame(frame, log_->id_before(cursor_), sse::event_lines(route.on_gap.event, data), std::nullopt, {},
                    route.ids.place);
  if (!seeded_bug("lagged-untold")) write_own(frame);
  if (route.mode == relay::Mode::Session && !is_get_) finish(false);
}

void Subscription::lose_upstream() {
  const auto& route = group_->route();
  ++group_->counters().sync_required[static_cast<std::size_t>(sse::SyncReason::UpstreamLost)];
  std::optional<std::string_view> requested;
  if (has_requested_) requested = requested_;
  std::string frame;
  sse::append_frame(
      frame, log_->id_before(cursor_),
      sse::event_lines(route.on_gap.event, sse::sync_required_data(sse::SyncReason::UpstreamLost, requested,
                                                                   log_->oldest_id(), log_->newest_id())),
      std::nullopt, {}, route.ids.place);
  write_own(frame);
  finish(false);
}

void Subscription::finish_at(const replay::End& end) {
  if (then_upstream_lost_) {
    lose_upstream();
    return;
  }
  finish(end.is_clean);
}

void Subscription::end(std::optional<std::uint64_t> retry_ms) {
  if (is_over_ || !group_) return;
  const auto& route = group_->route();
  if (retry_ms) {
    auto line = sse::retry_line(*retry_ms);
    // A browser takes the value at the line's end; the empty line is for parsers that take it with a block.
    if (looks_like_event_source_) line += '\n';
    write_own(line);
  }
  finish(route.mode == relay::Mode::Shared && route.our_end == relay::OurEnd::Clean);
}

void Subscription::finish(bool clean) {
  is_over_ = true;
  deadline_.cancel();
  leave();  // It reads no more; the channel may go before what is queued has gone.
  if (client_.is_blocked()) {
    finish_when_drained_ = clean;
    watch_blocked();
    return;
  }
  if (!clean) {
    // Chunked, the missing last chunk tells; a close-delimited response can only be reset.
    client_.break_off(is_chunked_);
    return;
  }
  if (is_chunked_) client_.write(http::kLastChunk);
  client_.finish(keep_alive_ && is_chunked_);
}

void Subscription::on_content(std::string_view content) {
  if (uploads_ && group_ && !group_->host()->upload(*this, content)) client_.hold_content(true);
}

void Subscription::on_content_end(const http::Fields& trailers) {
  if (std::exchange(uploads_, false) && group_) group_->host()->finish_upload(trailers);
}

void Subscription::leave() {
  if (std::exchange(is_awaiting_snapshot_, false)) worker_.snapshots().forget(*this);
  if (!group_) return;
  auto* group = std::exchange(group_, nullptr);
  if (std::exchange(uploads_, false)) group->host()->break_upload();
  group->leave(*this, credential_);
}

void Subscription::on_client_writable() {
  if (finish_when_drained_) {
    finish(*std::exchange(finish_when_drained_, std::nullopt));
    return;
  }
  const auto before = cursor_;
  serve();
  if (group_ && cursor_ != before) group_->report(cursor_);
}

void Subscription::on_client_eof() {
  if (is_over_) return;  // What is queued goes out, or is stuck.
  if (uploads_) {        // Its request will never be whole.
    client_.cut(false);
    return;
  }
  eof_probes_ = 1;
  write_own(sse::kHeartbeat);
  deadline_.set(kEofProbe);
}

void Subscription::on_client_gone() {
  is_over_ = true;
  deadline_.cancel();
  leave();
}

void Subscription::on_deadline(net::Deadline&) {
  const Millis now = worker_.loop().now();
  if (is_over_) {
    if (is_stuck()) {
      client_.cut(true);
    } else {
      deadline_.set(look_interval());
    }
    return;
  }
  if (eof_probes_ == 1) {
    eof_probes_ = 2;
    write_own(sse::kHeartbeat);
    arm();
    return;
  }
  if (client_.is_blocked()) {
    if (is_stuck()) {
      client_.cut(true);
    } else {
      arm();
    }
    return;
  }
  if (now >= ends_at_) {
    const auto retry = group_->retry_ms();
    end(retry == 0 ? std::nullopt : std::optional(retry));
    return;
  }
  const auto heartbeat = group_->route().heartbeat;
  if (heartbeat > Millis(0) && now - last_sent_ >= heartbeat) {
    if (seeded_bug("heartbeat-is-an-event")) write_own("data\n\n");
    if (seeded_bug("bookmark-ahead")) {
      std::string ahead;
      replay::append_id(ahead, log_->form(), log_->newest_number() + 2, {});
      write_own(sse::priming_block(ahead));
    }
    write_own(sse::kHeartbeat);
  }
  arm();
}

}  // namespace ssequel::gateway
