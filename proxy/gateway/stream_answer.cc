#include "gateway/stream_answer.h"

#include "replay/event_id.h"
#include "sse/frame.h"

namespace ssequel::gateway {
namespace {

// The connection goes back to the loop that accepted it, so that the readers of one channel are spread over all loops.
void begin_at_home(Worker& home, ClientSession& client, ChannelHost& host, AccessRecord record,
                   Subscription::Start start, std::string head, std::string prologue) {
  struct Luggage {
    AccessRecord record;
    Subscription::Start start;
    std::string head;
    std::string prologue;
  };
  if (!host.channel().route().on_gap.snapshot.empty() && start.credential) {
    start.snapshot_source = std::make_shared<const relay::Credential>(*start.credential);
  }
  auto readers = host.readers_on(home);
  auto luggage =
      std::make_shared<Luggage>(Luggage{std::move(record), std::move(start), std::move(head), std::move(prologue)});
  auto handover = client.hand_over();
  if (!handover) {
    readers->lose(luggage->start.credential);
    return;
  }
  home.take_over(
      std::move(*handover),
      [&home, readers, luggage](ClientSession& session) {
        auto subscription = std::make_unique<Subscription>(home, session, readers->group(), std::move(luggage->record),
                                                           std::move(luggage->start));
        auto& begun = *subscription;
        session.begin(std::move(subscription));
        begun.begin(luggage->head, luggage->prologue);
      },
      [readers, luggage] { readers->lose(luggage->start.credential); });
}

// How far behind an id is that has left the window; numbers without gaps tell.
std::optional<std::uint64_t> distance_of(const relay::Route& route, const replay::ReplayLog& log,
                                         const relay::LastEventId& id) {
  if (route.ids.strategy != relay::Strategy::Sequence) return std::nullopt;
  const auto number = replay::parse_id(id.value).number;
  if (number == 0 || number >= log.next_number()) return std::nullopt;
  return log.next_number() - number - 1;
}

}  // namespace

bool wants_priming(const relay::Route& route, const http::RequestHead& head) {
  switch (route.prime) {
    case relay::Prime::Auto:
      return looks_like_event_source(head);
    case relay::Prime::Always:
      return true;
    case relay::Prime::Never:
      return false;
  }
  return false;
}

Beginning begin_by_id(Worker& worker, ChannelHost& host, const relay::LastEventId& id, bool wants_prime) {
  auto& channel = host.channel();
  auto& counters = host.counters();
  const auto& route = channel.route();
  const auto& log = *channel.log();
  channel.expire();
  Beginning beginning;
  if (!id.is_present) {
    beginning.prime = wants_prime;
    beginning.place = log.published();
    if (route.mode == relay::Mode::Shared) {
      const auto events = log.published() - log.first();
      if (route.start_at.kind == relay::StartAt::Kind::Oldest) beginning.place = log.first();
      if (route.start_at.kind == relay::StartAt::Kind::Last) {
        beginning.place = log.published() - std::min<std::uint64_t>(events, route.start_at.last);
      }
    }
    beginning.is_replay = beginning.place != log.published();
    return beginning;
  }
  ++counters.reconnects;
  const auto now = worker.loop().now();
  const auto resume = replay::resume(log, id.is_readable ? std::optional<std::string_view>(id.value) : std::nullopt);
  if (resume.ambiguous) {
    worker.log_once("ambiguous:" + route.name, LogLevel::Warn,
                    "a Last-Event-ID may be an id of ours or of the upstream's, which gives numbers too; answered "
                    "sync-required. Leave out ids.start to tell them apart",
                    route.name);
  }
  if (resume.kind == replay::Resume::Kind::Suffix) {
    ++counters.resumes[static_cast<std::size_t>(resume.by_origin ? relay::ResumedBy::Origin : relay::ResumedBy::Own)];
    const auto behind = log.published() - resume.place;
    counters.replayed.observe(static_cast<double>(behind), relay::kReplayBounds);
    counters.resume_hour.came_back(now, behind, relay::window_use(log, route.bounds(), behind, now));
    beginning.place = resume.place;
    beginning.is_replay = resume.place != log.published();
    return beginning;
  }
  ++counters.resumes[static_cast<std::size_t>(relay::ResumedBy::None)];
  ++counters.sync_required[static_cast<std::size_t>(resume.reason)];
  if (resume.reason == sse::SyncReason::Window) {
    ++counters.gaps_window;
    const auto behind = distance_of(route, log, id);
    counters.resume_hour.fell_out(now, behind, relay::window_use(log, route.bounds(), behind.value_or(0), now));
  }
  if (resume.reason == sse::SyncReason::Ahead) ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Ahead)];
  if (resume.reason == sse::SyncReason::Unknown) {
    ++counters.mismatches[static_cast<std::size_t>(relay::Mismatch::Unknown)];
  }
  beginning.sync = resume.reason;
  beginning.place = route.on_gap.resume == relay::GapResume::Oldest ? log.first() : log.published();
  counters.replayed.observe(static_cast<double>(log.published() - beginning.place), relay::kReplayBounds);
  return beginning;
}

void take_snapshot(Beginning& beginning, const Snapshot& snapshot, const relay::Route& route,
                   const replay::ReplayLog& log) {
  if (log.first() > beginning.place) {
    beginning.snapshot_error = "the place left the window while the snapshot was fetched";
    beginning.place = route.on_gap.resume == relay::GapResume::Oldest ? log.first() : log.published();
  } else {
    beginning.snapshot = snapshot.content;
    beginning.snapshot_error = snapshot.error;
  }
  beginning.is_replay = beginning.place != log.published();
}

std::string sync_frame(const relay::Route& route, const replay::ReplayLog& log, replay::Place place,
                       sse::SyncReason reason, const relay::LastEventId& id, const std::string& snapshot,
                       const std::string& error) {
  std::optional<std::string_view> requested;
  if (id.is_present) requested = id.value;
  const auto data =
      snapshot.empty() ? sse::sync_required_data(reason, requested, log.oldest_id(), log.newest_id(), error) : snapshot;
  std::string frame;
  // The id of the place from which the reader goes on: what follows is still one more.
  sse::append_frame(frame, log.id_before(place), sse::event_lines(route.on_gap.event, data), std::nullopt, {},
                    route.ids.place);
  return frame;
}

void begin_stream(Worker& worker, ClientSession& client, ChannelHost& host, AccessRecord record,
                  const Beginning& beginning, StreamAnswer answer) {
  auto& channel = host.channel();
  const auto& route = channel.route();
  const auto& log = *channel.log();
  std::string resume;
  if (beginning.sync) {
    resume = "sync-required; reason=" + std::string(sse::to_string(*beginning.sync));
  } else {
    resume = beginning.is_replay ? "suffix" : "live";
  }
  std::string head;
  relay::append_client_head(head, *channel.head(),
                            {.is_chunked = !client.is_http10(),
                             .keep_alive = client.may_keep_alive(),
                             .resume = resume,
                             .cors = answer.cors,
                             .set_cookies = answer.set_cookies,
                             .via = worker.settings().options.via});
  std::string prologue;
  if (const auto retry = channel.retry_ms(); retry != 0) prologue += sse::retry_line(retry);
  // With a store behind it, a new log's base is told only when the store knows the log.
  std::string unsaved;
  auto& blocks = log.is_saved() ? prologue : unsaved;
  if (beginning.sync) {
    blocks += sync_frame(route, log, beginning.place, *beginning.sync, *answer.last_event_id, beginning.snapshot,
                         beginning.snapshot_error);
  } else if (beginning.prime) {
    blocks += sse::priming_block(log.id_before(beginning.place));
  }
  Subscription::Start start;
  start.place = beginning.place;
  start.ends_seen = log.ends() - (answer.ends_now && log.ends() != 0 ? 1 : 0);
  start.keep_alive = client.may_keep_alive();
  start.looks_like_event_source = looks_like_event_source(*answer.head);
  start.is_get = answer.head->method == "GET";
  start.uploads = answer.uploads;
  start.then_upstream_lost = answer.then_upstream_lost;
  start.then_final = answer.then_final;
  start.requested = answer.last_event_id->value;
  start.has_requested = answer.last_event_id->is_present;
  start.unsaved = std::move(unsaved);
  start.credential = std::move(answer.credential);
  host.admit_reader(start.credential);
  if (answer.home && answer.home != &worker && channel.is_shared()) {
    begin_at_home(*answer.home, client, host, std::move(record), std::move(start), std::move(head),
                  std::move(prologue));
    return;
  }
  start.snapshot_source = start.credential;
  if (!start.snapshot_source && !route.on_gap.snapshot.empty()) {
    auto source = std::make_shared<relay::Credential>();
    source->fields = answer.head->fields;
    source->peer_address = client.peer_address();
    start.snapshot_source = std::move(source);
  }
  auto subscription =
      std::make_unique<Subscription>(worker, client, host.readers(), std::move(record), std::move(start));
  auto& begun = *subscription;
  client.replace(std::move(subscription));
  begun.begin(head, prologue);
}

}  // namespace ssequel::gateway
