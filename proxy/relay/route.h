// A route: which requests carry event streams, and how they are treated. Plain values with the defaults of the
// configuration reference (config/README.md); app/config.cc fills them in and refuses impossible combinations, so that
// nothing here is checked again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "replay/replay_log.h"
#include "sse/frame.h"

namespace ssequel::relay {

using namespace std::chrono_literals;

enum class Mode { Session, Shared };
enum class UpstreamFormat { Sse, Ndjson };
enum class Accept { EventStream, Any };
enum class Strategy { Sequence, Redis, Ulid, Snowflake, Postgres };
[[nodiscard]] constexpr const char* name_of(Strategy strategy) {
  switch (strategy) {
    case Strategy::Sequence:
      return "sequence";
    case Strategy::Redis:
      return "redis";
    case Strategy::Ulid:
      return "ulid";
    case Strategy::Snowflake:
      return "snowflake";
    case Strategy::Postgres:
      return "postgres";
  }
  return "";
}
enum class Prime { Auto, Always, Never };
enum class GapResume { Live, Oldest };
enum class AtEnd { Auto, Upstream, NoContent, Close };
enum class OnUpstreamGap { Tell, None };
enum class OnLag { Sync, Close };
enum class OurEnd { Clean, Cut };
enum class Dedupe { None, Id };
enum class Producers { One, All };

struct Match {
  std::string path = "/**";  // Segments; `*` one segment, `**` any number (none too).
  std::vector<std::string> methods = {"GET"};
  Accept accept = Accept::EventStream;
  friend bool operator==(const Match&, const Match&) = default;
};

struct Ids {
  Strategy strategy = Strategy::Sequence;
  std::optional<std::uint64_t> start;  // nullopt: auto
  bool always_tag = false;
  sse::OriginStyle origin;
  sse::IdPlace place = sse::IdPlace::First;
  std::optional<std::uint32_t> node_id;  // nullopt: auto
  std::uint64_t epoch_ms = 1'700'000'000'000;
  unsigned node_bits = 10;
  std::string counter = "channel";
  // Each channel has a counter of its own: its ids say how much happened in it, and other channels have the same.
  [[nodiscard]] bool counts_by_channel() const {
    return strategy == Strategy::Sequence || (strategy == Strategy::Redis && counter == "channel");
  }
  [[nodiscard]] replay::Spelling spelling() const {
    return strategy == Strategy::Ulid ? replay::Spelling::Ulid : replay::Spelling::Decimal;
  }
  friend bool operator==(const Ids&, const Ids&) = default;
};

struct Window {
  std::optional<std::uint64_t> events;  // As configured; see Route::window_events().
  std::uint64_t bytes = 16 * 1024 * 1024;
  Millis age = 1h;
  friend bool operator==(const Window&, const Window&) = default;
};

struct OnGap {
  std::string event = "sync-required";
  GapResume resume = GapResume::Live;
  std::string snapshot;  // An upstream path; empty: none.
  friend bool operator==(const OnGap&, const OnGap&) = default;
};

struct Authorize {
  enum class Kind { Auto, Key, Probe, Path } kind = Kind::Auto;
  std::string path;  // Kind::Path
  friend bool operator==(const Authorize&, const Authorize&) = default;
};

struct Identity {
  std::vector<std::string> fields = {"Authorization",
                                     "Proxy-Authorization",
                                     "Cookie",
                                     "X-Api-Key",
                                     "X-Auth-*",
                                     "X-Forwarded-User",
                                     "X-Forwarded-Email",
                                     "X-Forwarded-Groups",
                                     "X-Forwarded-Client-Cert",
                                     "X-Amzn-Oidc-*",
                                     "Mcp-Session-Id"};  // A trailing * matches any rest.
  std::optional<std::vector<std::string>> cookies;  // nullopt: all but well-known analytics and load balancer ones.
  std::string authorize;                            // A field of the authoriser's answer; empty: not used.
  friend bool operator==(const Identity&, const Identity&) = default;
};

struct KeyPart {
  enum class Kind { Host, Path, Query, Identity, Header, Cookie, QueryParameter } kind = Kind::Path;
  std::string name;  // Header, Cookie, QueryParameter
  friend bool operator==(const KeyPart&, const KeyPart&) = default;
};

struct StartAt {
  enum class Kind { Live, Oldest, Last } kind = Kind::Live;
  std::uint64_t last = 0;
  friend bool operator==(const StartAt&, const StartAt&) = default;
};

// Seconds that mean "never ends".
inline constexpr Millis kForever = Millis::max();

// `retry: auto` on shared routes.
inline constexpr Millis kSharedRetry{3000};

struct Route {
  std::string name;
  Match match;
  Mode mode = Mode::Session;
  UpstreamFormat upstream_format = UpstreamFormat::Sse;
  Ids ids;
  Window window;
  Millis retain = 5min;
  Millis linger = 60s;          // kForever: forever; 0: pass the client's leaving on at once.
  std::optional<Millis> retry;  // nullopt: auto; 0: none.
  Millis heartbeat = 15s;
  Millis upstream_idle = 0s;  // 0: never.
  std::vector<std::string> last_event_id_query = {"lastEventId", "last_event_id", "lastEventID", "last-event-id"};
  Prime prime = Prime::Auto;
  OnGap on_gap;
  Authorize authorize;
  Millis authorize_cache = 10s;
  Identity identity;
  OnUpstreamGap on_upstream_gap = OnUpstreamGap::Tell;
  // session only
  std::uint64_t orphans_per_identity = 16;
  std::uint64_t orphans_total = 1000;
  std::vector<std::string> reattach;
  AtEnd at_end = AtEnd::Auto;
  // shared only
  std::vector<KeyPart> key = {
      {KeyPart::Kind::Host, ""}, {KeyPart::Kind::Path, ""}, {KeyPart::Kind::Query, ""}, {KeyPart::Kind::Identity, ""}};
  std::vector<std::pair<std::string, std::string>> upstream_fields;
  StartAt start_at;
  std::vector<std::string> eager;
  Dedupe dedupe = Dedupe::None;
  Producers producers = Producers::One;
  OnLag on_lag = OnLag::Sync;
  OurEnd our_end = OurEnd::Clean;
  Millis max_age = 0s;  // 0: never.
  Millis reconnect_min = 250ms;
  Millis reconnect_max = 30s;
  // From limits.event_bytes, so that a channel needs nothing but its route.
  std::uint64_t event_bytes = 1024 * 1024;

  // window.events, or its default: 1000 on shared routes, 0 (any number) on session routes.
  [[nodiscard]] std::uint64_t window_events() const { return window.events.value_or(mode == Mode::Session ? 0 : 1000); }
  [[nodiscard]] replay::Bounds bounds() const {
    return {.events = window_events(), .bytes = window.bytes, .age = window.age};
  }
  // Upstream requests of a shared channel carry a subscriber's identity fields. Without them every subscriber's request
  // is the same.
  [[nodiscard]] bool sends_identity() const {
    return key_has_identity() || authorize.kind == Authorize::Kind::Probe || authorize.kind == Authorize::Kind::Path;
  }
  [[nodiscard]] bool key_has_identity() const {
    for (const auto& part : key) {
      if (part.kind == KeyPart::Kind::Identity) return true;
    }
    return false;
  }
  friend bool operator==(const Route&, const Route&) = default;
};

// The route that stands last unless `routes` is given: GET, Accept: text/event-stream, mode session.
[[nodiscard]] Route built_in_route();
// The route that --shared PATH makes.
[[nodiscard]] Route shared_route(std::string path);

}  // namespace ssequel::relay
