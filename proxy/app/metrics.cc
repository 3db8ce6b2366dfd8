#include "app/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "app/config_json.h"

namespace ssequel::app {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr std::array<const char*, relay::kSyncReasons> kSync = {
    "window", "ahead", "unknown", "lagged", "dropped", "upstream-gap", "store-gap", "upstream-lost"};
constexpr std::array<const char*, relay::kMismatches> kMismatch = {"ahead", "unknown", "identity"};
constexpr std::array<const char*, 3> kResumedBy = {"own", "origin", "none"};
constexpr std::array<const char*, relay::kTroubleReasons> kTrouble = {
    "connect", "timeout", "status", "bad-response", "authorizer", "overload", "drain"};

class Families {
 public:
  MetricFamily& family(const std::string& name, const std::string& help, MetricType type) {
    for (auto& known : families_) {
      if (known.name == name) return known;
    }
    MetricFamily fresh;
    fresh.name = name;
    fresh.help = help;
    fresh.type = type;
    families_.push_back(std::move(fresh));
    return families_.back();
  }
  void counter(const std::string& name, const std::string& help, const Labels& labels, double value) {
    auto& metric = add(family(name, help, MetricType::Counter), labels);
    metric.counter.value = value;
  }
  void gauge(const std::string& name, const std::string& help, const Labels& labels, double value) {
    auto& metric = add(family(name, help, MetricType::Gauge), labels);
    metric.gauge.value = value;
  }
  template <std::size_t N>
  void histogram(const std::string& name, const std::string& help, const Labels& labels,
                 const relay::Histogram<N>& observed, const std::array<double, N>& bounds) {
    auto& metric = add(family(name, help, MetricType::Histogram), labels);
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= N; ++i) {
      total += observed.counts[i];
      ClientMetric::Bucket bucket;
      bucket.cumulative_count = total;
      bucket.upper_bound = i < N ? bounds[i] : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back(bucket);
    }
    metric.histogram.sample_count = total;
    metric.histogram.sample_sum = observed.sum;
  }
  [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  static ClientMetric& add(MetricFamily& family, const Labels& labels) {
    ClientMetric metric;
    for (const auto& [name, value] : labels) metric.label.push_back({name, value});
    family.metric.push_back(std::move(metric));
    return family.metric.back();
  }
  std::vector<MetricFamily> families_;
};

void add_route(Families& out, const std::string& name, const relay::RouteCounters& c) {
  const Labels route = {{"route", name}};
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  out.counter("sse_events_emitted_total", "Events given an id", route, number(c.events_emitted));
  out.counter("sse_events_delivered_total", "Events written to subscribers", route, number(c.events_delivered));
  out.counter("sse_reconnect_total", "Requests with a Last-Event-ID", route, number(c.reconnects));
  out.histogram("sse_reconnect_replay_count", "Events replayed per reconnect", route, c.replayed, relay::kReplayBounds);
  const char* gaps = "Resume points not in the window, and jumps in what was sent";
  out.counter("sse_id_gaps_total", gaps, {{"route", name}, {"kind", "window"}}, number(c.gaps_window));
  out.counter("sse_id_gaps_total", gaps, {{"route", name}, {"kind", "sequence"}}, number(c.gaps_sequence));
  for (std::size_t i = 0; i < kMismatch.size(); ++i) {
    out.counter("last_event_id_mismatch_total", "Resume points that are no entry's id",
                {{"route", name}, {"reason", kMismatch[i]}}, number(c.mismatches[i]));
  }
  out.gauge("duplicate_delivery_rate", "Frames sent twice with one id to one subscriber, per second", route,
            number(c.duplicates));
  for (std::size_t i = 0; i < kResumedBy.size(); ++i) {
    out.counter("ssequel_resumes_total", "Reconnects by whose id answered them",
                {{"route", name}, {"by", kResumedBy[i]}}, number(c.resumes[i]));
  }
  for (std::size_t i = 0; i < kSync.size(); ++i) {
    out.counter("ssequel_sync_required_total", "sync-required events sent or logged",
                {{"route", name}, {"reason", kSync[i]}}, number(c.sync_required[i]));
  }
  for (std::size_t i = 0; i < kTrouble.size(); ++i) {
    out.counter("ssequel_trouble_answers_total", "Answers without data that would have been errors",
                {{"route", name}, {"reason", kTrouble[i]}}, number(c.trouble[i]));
  }
  out.gauge("ssequel_subscribers", "Client connections that read a channel", route, number(c.subscribers));
  out.gauge("ssequel_channels", "Channels", route, number(c.channels));
  out.gauge("ssequel_orphans", "Session upstream requests that nobody reads", route, number(c.orphans));
  out.counter("ssequel_orphans_cancelled_total", "Orphans let go because there were too many", route,
              number(c.orphans_cancelled));
  out.counter("ssequel_orphaned_events_total", "Events that came while nobody read their session", route,
              number(c.orphaned_events));
  out.counter("ssequel_orphaned_bytes_total", "Bytes of these events, as kept", route, number(c.orphaned_bytes));
  out.counter("ssequel_reattached_total", "Repeated requests that joined the answer to an earlier one", route,
              number(c.reattached));
  out.gauge("ssequel_window_events", "Events held for replay", route, number(c.window_events));
  out.gauge("ssequel_window_bytes", "Bytes held for replay", route, number(c.window_bytes));
  out.gauge("ssequel_upstream_connected", "Channels whose upstream stream stands", route, number(c.upstream_connected));
  out.counter("ssequel_upstream_reconnects_total", "Upstream streams lost or refused, to be opened again", route,
              number(c.upstream_reconnects));
  out.histogram("ssequel_delivery_seconds", "Upstream read to socket write, of a write's oldest event", route,
                c.delivery_seconds, relay::kSecondsBounds);
  out.histogram("ssequel_subscriber_lag_events", "Events a subscriber was behind after a write", route, c.lag_events,
                relay::kLagBounds);
  const char* dropped = "Events that were not passed on";
  out.counter("ssequel_events_dropped_total", dropped, {{"route", name}, {"reason", "oversized"}},
              number(c.dropped_oversized));
  out.counter("ssequel_events_dropped_total", dropped, {{"route", name}, {"reason", "no-data"}},
              number(c.dropped_no_data));
  out.counter("ssequel_events_deduplicated_total", "Events whose origin id was still in the window",
              {{"route", name}, {"reason", "id"}}, number(c.deduplicated));
  out.counter("ssequel_ids_rewritten_total", "Events whose own id gave way to ours",
              {{"route", name}, {"reason", "origin"}}, number(c.ids_rewritten));
}

// Status: of any store that commits.
template <class Status, std::size_t N>
void add_store(Families& out, const Status& status, const std::array<double, N>& bounds) {
  const relay::Histogram<N> commits{.counts = status.commits, .sum = status.commit_seconds};
  out.histogram("ssequel_store_commit_seconds", "Commits of what had arrived", {}, commits, bounds);
  out.counter("ssequel_store_errors_total", "Commits that failed and were tried again", {},
              static_cast<double>(status.errors));
  out.counter("ssequel_store_gaps_total", "Times that the store lost something, or may have", {},
              static_cast<double>(status.gaps));
}

}  // namespace

void CountersSnapshot::add(const CountersSnapshot& other) {
  for (const auto& [name, counters] : other.routes) routes[name].add(counters);
  for (const auto& [key, count] : other.requests) requests[key] += count;
  unrouted_event_streams += other.unrouted_event_streams;
  connections += other.connections;
  upstream_connections += other.upstream_connections;
}

CountersSnapshot take_snapshot(gateway::Worker& worker) {
  CountersSnapshot snapshot;
  for (const auto& route : worker.settings().routes) snapshot.routes[route->name];
  for (const auto& [name, counters] : worker.counters().routes) snapshot.routes[name].add(*counters);
  worker.channels().for_each([&](gateway::ChannelHost& host) {
    auto& channel = host.channel();
    auto& counters = snapshot.routes[channel.route().name];
    counters.window_events += channel.log()->window_events();
    counters.window_bytes += channel.log()->window_bytes();
    if (host.is_orphan()) ++counters.orphans;
  });
  snapshot.requests = worker.counters().requests;
  snapshot.unrouted_event_streams = worker.counters().unrouted_event_streams;
  snapshot.connections = worker.counters().connections;
  snapshot.upstream_connections = worker.pool().connections();
  return snapshot;
}

std::string metrics_text(const CountersSnapshot& counters, const ProcessFacts& facts) {
  Families out;
  for (const auto& [name, route] : counters.routes) add_route(out, name, route);
  for (const auto& [key, count] : counters.requests) {
    out.counter("ssequel_http_requests_total", "Requests by route (empty: none) and status",
                {{"route", key.first}, {"code", std::to_string(key.second)}}, static_cast<double>(count));
  }
  out.counter("ssequel_unrouted_event_streams_total", "Event streams that passed through no route", {},
              static_cast<double>(counters.unrouted_event_streams));
  out.gauge("ssequel_connections", "Client connections", {}, static_cast<double>(counters.connections));
  out.gauge("ssequel_upstream_connections", "Connections to the upstream, idle ones too", {},
            static_cast<double>(counters.upstream_connections));
  out.gauge("ssequel_config_reload_success", "1 if the last reload was taken over", {},
            facts.config_reload_success ? 1 : 0);
  if (facts.disk) add_store(out, *facts.disk, store::kCommitBounds);
  if (facts.nodes) {
    add_store(out, *facts.nodes, nodes::kCommitBounds);
    out.gauge("ssequel_leader", "Channels whose upstream is this node's to read", {},
              static_cast<double>(facts.nodes->leading));
  }
  for (const auto& [allocator, errors] : facts.id_errors) {
    out.counter("ssequel_id_errors_total", "Times that an allocator of ids failed to answer and was asked again",
                {{"allocator", allocator}}, static_cast<double>(errors));
  }
  out.gauge("ssequel_build_info", "Always 1",
            {{"version", facts.version},
             {"store", facts.disk    ? "disk"
                       : facts.nodes ? "redis"
                                     : "memory"}},
            1);
  return out.text();
}

std::vector<ChannelFacts> take_channels(gateway::Worker& worker) {
  std::vector<ChannelFacts> all;
  worker.channels().for_each([&](gateway::ChannelHost& host) {
    auto& channel = host.channel();
    const auto state = [&]() -> const char* {
      switch (channel.state()) {
        case relay::Channel::State::Dormant:
          return "dormant";
        case relay::Channel::State::Following:
          return "following";
        case relay::Channel::State::Connecting:
          return "connecting";
        case relay::Channel::State::Streaming:
          return "streaming";
        case relay::Channel::State::Waiting:
          return "waiting";
        case relay::Channel::State::Ended:
          return "ended";
        case relay::Channel::State::Final:
          return "final";
      }
      return "";
    }();
    const auto& target = channel.setup().target;
    all.push_back({.route = channel.route().name,
                   .mode = channel.is_shared() ? "shared" : "session",
                   .path = target.substr(0, target.find('?')),
                   .state = state,
                   .subscribers = channel.readers(),
                   .events = channel.log()->window_events(),
                   .bytes = channel.log()->window_bytes(),
                   .emitted = channel.log()->appended(),
                   .tagged = !channel.log()->form().tag.empty()});
  });
  return all;
}

std::string channels_json(const std::vector<ChannelFacts>& channels) {
  std::string out = "{\"channels\":[";
  for (const auto& channel : channels) {
    if (out.back() != '[') out += ',';
    out += "\n{\"route\":" + config::json_quote(channel.route) + ",\"mode\":\"" + channel.mode +
           "\",\"path\":" + config::json_quote(channel.path) + ",\"state\":\"" + channel.state +
           "\",\"subscribers\":" + std::to_string(channel.subscribers) +
           ",\"window_events\":" + std::to_string(channel.events) +
           ",\"window_bytes\":" + std::to_string(channel.bytes) + ",\"emitted\":" + std::to_string(channel.emitted) +
           ",\"tagged\":" + (channel.tagged ? "true" : "false") + "}";
  }
  return out + "\n]}\n";
}

}  // namespace ssequel::app
