#include "app/status.h"

#include <fmt/format.h>

#include <numeric>

#include "app/config_json.h"
#include "app/window_verdict.h"

namespace ssequel::app {
namespace {

// A JSON object or array in the making (RFC 8259).
class Json {
 public:
  explicit Json(char open) : text_(1, open) {}
  Json& raw(std::string_view key, std::string_view json) {
    if (text_.size() > 1) text_ += ',';
    if (!key.empty()) text_.append("\"").append(key).append("\":");
    text_ += json;
    return *this;
  }
  Json& text(std::string_view key, std::string_view value) { return raw(key, config::json_quote(value)); }
  Json& number(std::string_view key, std::uint64_t value) { return raw(key, std::to_string(value)); }
  Json& flag(std::string_view key, bool value) { return raw(key, value ? "true" : "false"); }
  template <class Range>
  Json& numbers(std::string_view key, const Range& values) {
    std::string all = "[";
    for (const auto& value : values) all += fmt::format("{}{}", all.size() > 1 ? "," : "", value);
    return raw(key, all + "]");
  }
  [[nodiscard]] std::string close() { return std::move(text_) + (text_.front() == '[' ? ']' : '}'); }

 private:
  std::string text_;
};

template <std::size_t N>
std::uint64_t sum(const std::array<std::uint64_t, N>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::string need_json(const relay::ResumeHour::Summary& hour, const WindowVerdict& verdict) {
  Json minutes('[');
  for (const auto& minute : hour.minutes) {
    minutes.raw({}, fmt::format("[{},{},{}]", minute.resumes, minute.gaps, minute.most_behind));
  }
  Json json('{');
  json.number("resumes", hour.resumes).number("gaps", hour.gaps);
  json.number("p99", hour.p99_behind).number("most", hour.most_behind);
  json.raw("used", fmt::format("{:.4f}", hour.most.used));
  json.text("verdict", name_of(verdict.kind)).text("setting", verdict.setting).text("value", verdict.value);
  json.text("advice", verdict.advice).raw("minutes", minutes.close());
  return json.close();
}

std::string sync_json(const relay::RouteCounters& counters) {
  Json json('{');
  for (std::size_t i = 0; i < counters.sync_required.size(); ++i) {
    if (counters.sync_required[i] == 0) continue;
    json.number(sse::to_string(static_cast<sse::SyncReason>(i)), counters.sync_required[i]);
  }
  return json.close();
}

std::string route_json(const std::string& name, const relay::Route* route, const relay::RouteCounters& counters,
                       const StatusFacts& facts) {
  const auto by = [&counters](relay::ResumedBy by_whom) { return counters.resumes[static_cast<std::size_t>(by_whom)]; };
  Json json('{');
  json.text("name", name);
  json.text("mode", !route ? "gone" : route->mode == relay::Mode::Shared ? "shared" : "session");
  json.number("channels", counters.channels).number("subscribers", counters.subscribers);
  json.number("orphans", counters.orphans).number("upstream", counters.upstream_connected);
  json.number("emitted", counters.events_emitted).number("delivered", counters.events_delivered);
  json.number("reconnects", counters.reconnects).number("own", by(relay::ResumedBy::Own));
  json.number("origin", by(relay::ResumedBy::Origin)).number("none", by(relay::ResumedBy::None));
  json.raw("sync", sync_json(counters)).number("gaps", counters.gaps_window);
  json.number("trouble", sum(counters.trouble)).number("upstream_reconnects", counters.upstream_reconnects);
  json.number("window_events", counters.window_events).number("window_bytes", counters.window_bytes);
  json.numbers("replay", counters.replayed.counts).numbers("lag", counters.lag_events.counts);
  json.numbers("delivery", counters.delivery_seconds.counts);
  if (route) {
    const auto bounds = route->bounds();
    json.number("events", bounds.events).number("bytes", bounds.bytes);
    const auto hour = counters.resume_hour.summary(facts.now);
    json.raw("need", need_json(hour, window_verdict(hour, bounds, facts.store_bytes)));
  }
  return json.close();
}

std::string recent_json(const std::vector<RecentLines::Line>& lines) {
  Json json('[');
  for (const auto& line : lines) {
    Json one('{');
    one.text("level", line.level == LogLevel::Error ? "error" : "warn");
    one.raw("at", std::to_string(line.last_ms)).number("times", line.times).text("text", line.text);
    json.raw({}, one.close());
  }
  return json.close();
}

}  // namespace

std::string status_json(const StatusFacts& facts) {
  const auto& counters = facts.counters;
  Json routes('[');
  // In the order of the configuration; then what living channels were opened with and is gone from it.
  for (const auto& route : facts.options.routes) {
    const auto at = counters.routes.find(route.name);
    routes.raw(
        {}, route_json(route.name, &route, at == counters.routes.end() ? relay::RouteCounters() : at->second, facts));
  }
  for (const auto& entry : counters.routes) {
    const bool is_there = std::any_of(facts.options.routes.begin(), facts.options.routes.end(),
                                      [&entry](const relay::Route& route) { return route.name == entry.first; });
    if (!is_there && entry.second.channels != 0) {
      routes.raw({}, route_json(entry.first, nullptr, entry.second, facts));
    }
  }
  Json json('{');
  json.raw("at", std::to_string(facts.unix_ms)).text("version", facts.version);
  json.text("state", facts.readiness.why).flag("ready", facts.readiness.is_ready);
  json.text("store", facts.readiness.store).flag("store_ready", facts.readiness.is_store_ready);
  json.flag("config_ok", facts.config_reload_success);
  json.raw("uptime_ms", std::to_string(facts.uptime.count())).number("loops", facts.loops);
  json.number("connections", counters.connections).number("upstream_connections", counters.upstream_connections);
  json.number("unrouted", counters.unrouted_event_streams).number("store_bytes", facts.store_bytes);
  json.numbers("replay_bounds", relay::kReplayBounds).numbers("lag_bounds", relay::kLagBounds);
  json.numbers("delivery_bounds", relay::kSecondsBounds);
  json.raw("routes", routes.close()).raw("recent", recent_json(facts.recent));
  return json.close();
}

}  // namespace ssequel::app
