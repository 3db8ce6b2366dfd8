#include "app/config_table.h"

#include "app/config_grammar.h"
#include "app/config_texts.h"

namespace ssequel::app::config {
namespace {

using gateway::Options;
using relay::Route;
using namespace std::chrono_literals;

constexpr Millis kMonth = 720h;  // 30 days: the longest duration that makes sense anywhere.
constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB, kTiB = 1024 * kGiB;
constexpr std::uint64_t kMillion = 1'000'000;

// The value that `at` names: at(owner) is a reference to it.
template <class Owner, Grammar G, class At>
Setting<Owner> setting(std::string_view key, const G& grammar, At at, std::string_view about,
                       Scope scope = Scope::Every, std::string_view default_note = {}) {
  return {.key = key,
          .about = about,
          .scope = scope,
          .allowed = grammar.allowed(),
          .schema = grammar.schema(),
          .read =
              [grammar, at](const Node& node, Reading& reading, Owner& owner) {
                if (auto value = grammar.read(node, reading)) at(owner) = *std::move(value);
              },
          .json = [grammar, at](const Owner& owner) { return grammar.json(at(owner)); },
          .default_note = default_note};
}

// A path to a member, for both a const and a mutable owner.
#define AT(member) [](auto& owner) -> auto& { return owner.member; }

Table<Options> make_option_table() {
  const auto option = []<Grammar G, class At>(std::string_view key, const G& grammar, At at, std::string_view about,
                                              std::string_view note = {}) {
    return setting<Options>(key, grammar, at, about, Scope::Every, note);
  };
  using gateway::StoreKind;
  using Count = Number<std::uint64_t>;
  const Duration positive(1ms, kMonth);
  const Duration any(0ms, kMonth);
  Table<Options> table;
  table.settings = {
      option("listen", List(AddressText(), 1, true), AT(listen), "where clients connect; one address or a list"),
      option("admin", AddressText(), AT(admin), "metrics, health, status and drain; keep it off public networks"),
      option("upstream", UpstreamText(), AT(upstream),
             "the service behind the proxy; a name is resolved again and again"),
      option("threads", Or("auto", Number<unsigned>(1, 256)), AT(threads),
             "event loops; auto: as many as CPUs this process may use"),
      option("log.level",
             Words<LogLevel>{{"debug", LogLevel::Debug},
                             {"info", LogLevel::Info},
                             {"warn", LogLevel::Warn},
                             {"error", LogLevel::Error}},
             AT(log.level), "log lines below this level are left out"),
      option("log.format", Words<LogFormat>{{"text", LogFormat::Text}, {"json", LogFormat::Json}}, AT(log.format),
             "text (logfmt) or one JSON object a line, on standard error"),
      option("via", Bool(), AT(via), "true: add a Via field to what is forwarded"),
      option("store.kind",
             Words<StoreKind>{{"memory", StoreKind::Memory}, {"disk", StoreKind::Disk}, {"redis", StoreKind::Redis}},
             AT(store.kind), "the journal behind the logs: none, one on disk, or one that several nodes share"),
      option("store.path",
             Text("a directory", [](std::string_view text) { return !text.empty() && text.size() <= 4096; }),
             AT(store.path), "disk: the directory of the journal"),
      option("store.sync", Words<bool>{{"os", false}, {"always", true}}, AT(store.sync_always),
             "disk: os survives kill -9, always survives power loss"),
      option("redis.url",
             SecretUrl("redis:// or rediss://[USER:PASSWORD@]HOST[:PORT][/DB], redis+sentinel://HOST,…/NAME[/DB], "
                       "redis+cluster://HOST,…, or unix:/path",
                       is_redis_url),
             AT(redis.url), "redis: where it is, see below; printed without its password"),
      option("redis.prefix", Text("1 to 64 visible characters without { and }", is_redis_prefix), AT(redis.prefix),
             "redis: what the names of all keys begin with"),
      option("redis.lease", Duration(500ms, 10min), AT(redis.lease),
             "redis: a dead leader is replaced after this long"),
      option("postgres.url", SecretUrl("postgresql://[USER:PASSWORD@]HOST[:PORT]/DATABASE", is_postgres_url),
             AT(postgres.url), "ids.strategy postgres: the database; printed without its password"),
      option("postgres.sequence", Text("a sequence's name, NAME or SCHEMA.NAME", is_sql_name), AT(postgres.sequence),
             "ids.strategy postgres: the sequence that gives the ids"),
      option("postgres.block", Count(1, kMillion), AT(postgres.block), "ids.strategy postgres: ids fetched at a time"),
      option("limits.connections", Count(1, kMillion), AT(limits.connections), "connections of clients"),
      option("limits.upstream_connections", Count(1, kMillion), AT(limits.upstream_connections),
             "connections to the upstream"),
      option("limits.channels", Count(1, kMillion), AT(limits.channels),
             "channels; at the limit the one without subscribers that was watched least recently is closed"),
      option("limits.header_bytes", Size(kKiB, kMiB), AT(limits.header_bytes),
             "the head of a message: start line and fields"),
      option("limits.header_timeout", positive, AT(limits.header_timeout), "for a request's head to arrive"),
      option("limits.idle_timeout", positive, AT(limits.idle_timeout), "keep-alive connections between requests"),
      option("limits.connect_timeout", positive, AT(limits.connect_timeout), "for a connection to the upstream"),
      option("limits.head_timeout", any, AT(limits.head_timeout),
             "for the head of the upstream's response; 0: as long as the client waits"),
      option("limits.send_timeout", positive, AT(limits.send_timeout),
             "a subscriber that acknowledged nothing of what it was sent for this long is cut"),
      option("limits.event_bytes", Size(64, kGiB), AT(limits.event_bytes),
             "one event as received; at most half of each window.bytes"),
      option("limits.store_bytes", Or("auto", Size(4 * kKiB, kTiB)), AT(limits.store_bytes),
             "all windows together; auto: half of the cgroup's memory limit, else 256MiB"),
      option("drain.delay", Duration(0ms, 1h), AT(drain.delay),
             "from not ready to the first goodbye, for load balancers to notice"),
      option("drain.timeout", Duration(0ms, 24h), AT(drain.timeout),
             "for requests in flight and streams that are still answering"),
      option("drain.retry_spread", Duration(0ms, 1h), AT(drain.retry_spread),
             "reconnects of the clients sent away are spread over this long"),
  };
  table.sections = {{"log", "what the program tells its operator"},
                    {"store", "what survives a restart"},
                    {"redis", "the Redis of store.kind redis and ids.strategy redis"},
                    {"postgres", "the PostgreSQL of ids.strategy postgres"},
                    {"limits", "what nobody may exceed"},
                    {"drain", "how the proxy says goodbye"}};
  return table;
}

Table<Route> make_route_table() {
  using namespace relay;
  const auto every = []<Grammar G, class At>(std::string_view key, const G& grammar, At at, std::string_view about,
                                             std::string_view note = {}) {
    return setting<Route>(key, grammar, at, about, Scope::Every, note);
  };
  const auto session = []<Grammar G, class At>(std::string_view key, const G& grammar, At at, std::string_view about) {
    return setting<Route>(key, grammar, at, about, Scope::Session);
  };
  const auto shared = []<Grammar G, class At>(std::string_view key, const G& grammar, At at, std::string_view about) {
    return setting<Route>(key, grammar, at, about, Scope::Shared);
  };
  const Duration any(0ms, kMonth);
  const Text token("a field name", is_token);
  using Count = Number<std::uint64_t>;
  Table<Route> table;
  table.settings = {
      every("name", Text("1 to 256 visible ASCII characters without quotes and \\", is_name), AT(name),
            "label in metrics and logs; no two routes have the same", "match.path"),
      every("match.path", Text("a path pattern that begins with /; * and ** only as whole segments", is_path_pattern),
            AT(match.path), "raw path; * is one segment, ** any number of them, also none"),
      every("match.methods", List(Text("a method in capitals, not CONNECT or TRACE", is_method), 1), AT(match.methods),
            "methods that carry event streams"),
      every("match.accept", Words<Accept>{{"text/event-stream", Accept::EventStream}, {"any", Accept::Any}},
            AT(match.accept),
            "text/event-stream: the request's Accept names it, or it has a Last-Event-ID; any: whatever it says"),
      every("mode", Words<Mode>{{"session", Mode::Session}, {"shared", Mode::Shared}}, AT(mode),
            "session: each request has an upstream request and a log of its own; shared: one upstream stream for all "
            "with the same key"),
      every("upstream_format", Words<UpstreamFormat>{{"sse", UpstreamFormat::Sse}, {"ndjson", UpstreamFormat::Ndjson}},
            AT(upstream_format), "ndjson: each line becomes one event"),
      every("ids.strategy",
            Words<Strategy>{{"sequence", Strategy::Sequence},
                            {"redis", Strategy::Redis},
                            {"ulid", Strategy::Ulid},
                            {"snowflake", Strategy::Snowflake},
                            {"postgres", Strategy::Postgres}},
            AT(ids.strategy), "who gives the ids: see below"),
      every("ids.start", Or("auto", Count(1, (1ULL << 53) - 1)), AT(ids.start),
            "sequence: the first id of the first log of a key; auto: the time in microseconds"),
      every("ids.tag", Words<bool>{{"auto", false}, {"always", true}}, AT(ids.always_tag),
            "always: ids are TAG-N on shared routes too, for several proxies behind one address"),
      every("ids.origin", OriginChoice(), AT(ids.origin),
            "how the upstream's own id travels along: as a comment, a field, or a JSON member of the data"),
      every("ids.place", Words<sse::IdPlace>{{"first", sse::IdPlace::First}, {"last", sse::IdPlace::Last}},
            AT(ids.place),
            "of the id line in its frame; last for clients that take an id at its line, as fetch-event-source does"),
      every("ids.node_id", Or("auto", Number<std::uint32_t>(0, 65535)), AT(ids.node_id),
            "snowflake: this node, below 2^node_bits; auto: the ordinal of POD_NAME, or a lease in Redis"),
      every("ids.epoch_ms", Count(0, 4'102'444'800'000), AT(ids.epoch_ms),
            "snowflake: its year zero, in Unix milliseconds"),
      every("ids.node_bits", Number<unsigned>(10, 16), AT(ids.node_bits),
            "snowflake: of the 22 bits that node and sequence share"),
      every("ids.counter", Text("channel, or the name of a key, 1 to 256 visible ASCII characters", is_name),
            AT(ids.counter), "redis: channel for one counter a channel, else the key that counts for all"),
      every("window.events", Undecided(Count(0, 1ULL << 31)), AT(window.events),
            "events kept for replay; 0: any number", "0 on session routes, 1000 on shared ones"),
      every("window.bytes", Size(kKiB, kTiB), AT(window.bytes), "bytes kept for replay, per channel"),
      every("window.age", Duration(1ms, kMonth), AT(window.age), "an event is kept for replay this long"),
      every("retain", any, AT(retain),
            "a log is kept this long after its upstream ended or was let go and its last subscriber left"),
      every("linger", Forever(any), AT(linger),
            "the upstream is kept this long after the last subscriber; forever; 0: closing means cancelling"),
      every(
          "retry", Or("auto", Duration(0ms, 24h)), AT(retry),
          "retry: at the head of each response; auto: 3s on shared routes, else what the upstream last said; 0: none"),
      every("heartbeat", Duration(10ms, 1h, true), AT(heartbeat), "when nothing else was sent for this long; 0: never"),
      every("upstream_idle", any, AT(upstream_idle), "reconnect when the upstream was silent this long; 0: never"),
      every("last_event_id_query", List(Text("the name of a query parameter", is_parameter)), AT(last_event_id_query),
            "query parameters that count as Last-Event-ID where the field is missing"),
      every(
          "prime", Words<Prime>{{"auto", Prime::Auto}, {"always", Prime::Always}, {"never", Prime::Never}}, AT(prime),
          "begin with an id without data, so that a client cut before its first event can resume; auto: for browsers"),
      every("on_gap.event",
            Text("an event type of at most 256 bytes", [](std::string_view text) { return text.size() <= 256; }),
            AT(on_gap.event), "type of the event that announces a gap; empty: message"),
      every("on_gap.resume", Words<GapResume>{{"live", GapResume::Live}, {"oldest", GapResume::Oldest}},
            AT(on_gap.resume), "where to go on after it: with what comes, or with all that is kept"),
      every("on_gap.snapshot",
            Text("a path of the upstream that begins with /, or \"\"",
                 [](std::string_view text) { return text.empty() || is_target(text); }),
            AT(on_gap.snapshot), "its content becomes the data of that event; empty: none"),
      every("authorize", AuthorizeChoice(), AT(authorize), "who may read a log: asked before each replay"),
      every("authorize_cache", Duration(0ms, 1h), AT(authorize_cache), "how long a verdict holds"),
      every("identity.fields", List(Text("a field name, or the beginning of one and *", is_field_pattern)),
            AT(identity.fields), "request fields that say who is asking"),
      every("identity.cookies", Or("all", List(Text("a cookie's name", is_token))), AT(identity.cookies),
            "all: but well-known analytics, load balancer and bot-check ones; else only these"),
      every("identity.authorize",
            Text("a field name, or \"\"", [](std::string_view text) { return text.empty() || is_token(text); }),
            AT(identity.authorize), "instead: this field of the authoriser's answer, stable over token refresh"),
      every("on_upstream_gap", Words<OnUpstreamGap>{{"tell", OnUpstreamGap::Tell}, {"none", OnUpstreamGap::None}},
            AT(on_upstream_gap),
            "none: the upstream resumes by its own ids or begins with its whole state, nothing is missing"),
      session("orphans.per_identity", Count(0, kMillion), AT(orphans_per_identity),
              "unwatched upstream requests kept at most for one identity"),
      session("orphans.total", Count(0, kMillion), AT(orphans_total), "unwatched upstream requests kept at most"),
      session("reattach", List(token), AT(reattach),
              "request fields, such as Idempotency-Key: a request that repeats an earlier one, with these, joins its "
              "answer"),
      session(
          "at_end",
          Words<AtEnd>{
              {"auto", AtEnd::Auto}, {"upstream", AtEnd::Upstream}, {"204", AtEnd::NoContent}, {"close", AtEnd::Close}},
          AT(at_end),
          "answer to who resumes at the very end: ask the upstream again (a GET; else 204), 204, or 200 and nothing; "
          "auto: upstream if opened by GET, else 204"),
      shared("key", List(KeyPartText(), 1), AT(key), "requests that agree in all of these read the same channel"),
      shared("upstream_fields", FieldMap(), AT(upstream_fields), "fields of our own for the upstream request"),
      shared("start_at", StartAtChoice(), AT(start_at), "where a client without Last-Event-ID begins"),
      shared("eager", List(Text("a path, maybe with a query", is_target)), AT(eager),
             "targets to connect at start and to keep; needs a key of path and query only"),
      shared("dedupe", Words<Dedupe>{{"none", Dedupe::None}, {"id", Dedupe::Id}}, AT(dedupe),
             "id: an event whose upstream id is still in the window is dropped"),
      shared("producers", Words<Producers>{{"one", Producers::One}, {"all", Producers::All}}, AT(producers),
             "store.kind redis: one node reads its upstream for the clients of all, or each reads its own"),
      shared("on_lag", Words<OnLag>{{"sync", OnLag::Sync}, {"close", OnLag::Close}}, AT(on_lag),
             "a subscriber that fell out of the window: sync-required and on, or an end"),
      shared("our_end", Words<OurEnd>{{"clean", OurEnd::Clean}, {"cut", OurEnd::Cut}}, AT(our_end),
             "how we end a response; cut for clients that take a clean end for the end of the stream"),
      shared("max_age", any, AT(max_age), "end a response after 80 to 100 % of this, at an event's end; 0: never"),
      shared("reconnect.min", Duration(1ms, 24h), AT(reconnect_min), "least backoff to the upstream, with full jitter"),
      shared("reconnect.max", Duration(1ms, 24h), AT(reconnect_max), "greatest backoff to the upstream"),
  };
  table.sections = {{"match", "which requests carry event streams"},
                    {"ids", "the ids of events"},
                    {"window", "what a channel holds for replay"},
                    {"on_gap", "what a client is told whose events are gone"},
                    {"identity", "who is asking: what keys and session ids are bound to"},
                    {"orphans", "unwatched upstream requests of the route"},
                    {"reconnect", "to the upstream, exponential"}};
  return table;
}

#undef AT

}  // namespace

const Table<Options>& option_table() {
  static const Table<Options> table = make_option_table();
  return table;
}

const Table<Route>& route_table() {
  static const Table<Route> table = make_route_table();
  return table;
}

}  // namespace ssequel::app::config
