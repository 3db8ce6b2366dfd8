#include "app/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "config_support.h"

using namespace ssequel;
using namespace ssequel::app;
using namespace std::chrono_literals;

TEST_CASE("an empty file means the defaults and the built-in route") {
  gateway::Options expected;
  expected.routes = {relay::built_in_route()};
  for (const auto text : {"", "# nothing\n", "---\n", "{}\n", "limits:\nlog: {}\n"}) {
    CAPTURE(text);
    CHECK(options(text) == expected);
    CHECK(parse(text)->warnings.empty());
  }
}

TEST_CASE("the built-in route takes GETs that accept an event stream, each as a session") {
  const auto route = options("").routes.at(0);
  CHECK(route.name == "default");
  CHECK(route.match == relay::Match{"/**", {"GET"}, relay::Accept::EventStream});
  CHECK(route.mode == relay::Mode::Session);
  CHECK(route.window_events() == 0);
}

TEST_CASE("routes replace the built-in one, and an empty list is none") {
  CHECK(options("routes: []").routes.empty());
  const auto routes = options("routes: [{name: a, match: {path: /a}}, {match: {path: /b}}]").routes;
  REQUIRE(routes.size() == 2);
  CHECK(routes[0].name == "a");
  CHECK(routes[1].name == "/b");  // Named for its path.
}

TEST_CASE("every setting of the file arrives") {
  const auto o = options(R"(
listen: ["0.0.0.0:80", "[::1]:8080", "unix:/run/s.sock"]
admin: 10.0.0.1:1
upstream: unix:/run/app.sock
threads: 7
log: {level: debug, format: json}
via: true
store: {kind: memory, path: /data, sync: always}
redis: {url: "redis://u:p@h:1/2", prefix: p, lease: 4s}
postgres: {url: "postgres://u:p@h/d", sequence: s.q, block: 5}
limits:
  connections: 1
  upstream_connections: 2
  channels: 3
  header_bytes: 64KiB
  header_timeout: 1s
  idle_timeout: 2s
  connect_timeout: 3s
  head_timeout: 4s
  send_timeout: 5s
  event_bytes: 4KiB
  store_bytes: 1GiB
drain: {delay: 1s, timeout: 2s, retry_spread: 3s}
routes: []
)");
  gateway::Options expected;
  expected.listen = {{net::Address::Kind::Tcp, "0.0.0.0", 80, ""},
                     {net::Address::Kind::Tcp, "::1", 8080, ""},
                     {net::Address::Kind::Unix, "", 0, "/run/s.sock"}};
  expected.admin = {net::Address::Kind::Tcp, "10.0.0.1", 1, ""};
  expected.upstream = {true, "", 0, "/run/app.sock"};
  expected.threads = 7;
  expected.log = {LogLevel::Debug, LogFormat::Json};
  expected.via = true;
  expected.store = {gateway::StoreKind::Memory, "/data", true};
  expected.redis = {"redis://u:p@h:1/2", "p", 4s};
  expected.postgres = {"postgres://u:p@h/d", "s.q", 5};
  expected.limits = {1, 2, 3, 65536, 1s, 2s, 3s, 4s, 5s, 4096, 1ULL << 30};
  expected.drain = {1s, 2s, 3s};
  CHECK(o == expected);
}

TEST_CASE("every setting of any route arrives") {
  const auto r = route(R"(name: n, match: {path: "/a/*", methods: [GET, POST], accept: any}, upstream_format: ndjson,
    ids: {start: 7, tag: always, origin: {json: oid}, place: last, node_id: 9, epoch_ms: 5, node_bits: 12, counter: k},
    window: {events: 5, bytes: 4MiB, age: 2m}, retain: 1s, linger: forever, retry: 9s, heartbeat: 3s, upstream_idle: 8s,
    last_event_id_query: [lei], prime: always, on_gap: {event: gap, resume: oldest, snapshot: '/state?full'},
    authorize: {path: /auth}, authorize_cache: 6s,
    identity: {fields: [A, "B-*"], cookies: [sid], authorize: X-User-Id}, on_upstream_gap: none,
    orphans: {per_identity: 1, total: 2}, at_end: 204)");
  relay::Route expected;
  expected.name = "n";
  expected.match = {"/a/*", {"GET", "POST"}, relay::Accept::Any};
  expected.upstream_format = relay::UpstreamFormat::Ndjson;
  expected.ids.start = 7;
  expected.ids.always_tag = true;
  expected.ids.origin = {sse::OriginStyle::Kind::Json, "oid"};
  expected.ids.place = sse::IdPlace::Last;
  expected.ids.node_id = 9;
  expected.ids.epoch_ms = 5;
  expected.ids.node_bits = 12;
  expected.ids.counter = "k";
  expected.window = {5, 4 << 20, 2min};
  expected.retain = 1s;
  expected.linger = relay::kForever;
  expected.retry = 9s;
  expected.heartbeat = 3s;
  expected.upstream_idle = 8s;
  expected.last_event_id_query = {"lei"};
  expected.prime = relay::Prime::Always;
  expected.on_gap = {"gap", relay::GapResume::Oldest, "/state?full"};
  expected.authorize = {relay::Authorize::Kind::Path, "/auth"};
  expected.authorize_cache = 6s;
  expected.identity = {{"A", "B-*"}, std::vector<std::string>{"sid"}, "X-User-Id"};
  expected.on_upstream_gap = relay::OnUpstreamGap::None;
  expected.orphans_per_identity = 1;
  expected.orphans_total = 2;
  expected.at_end = relay::AtEnd::NoContent;
  CHECK(r == expected);
}

TEST_CASE("every setting of a shared route arrives") {
  const auto r = route(R"(name: n, mode: shared, key: [path, query, "header:X-A", "cookie:c", "query:q"],
    upstream_fields: {Authorization: "Bearer ${T}", X-B: ""}, start_at: {last: 3}, dedupe: id, on_lag: close,
    our_end: cut, max_age: 1h, reconnect: {min: 1s, max: 2s})",
                       {{"T", "t"}});
  using Kind = relay::KeyPart::Kind;
  relay::Route expected;
  expected.name = "n";
  expected.mode = relay::Mode::Shared;
  expected.window.events = 1000;
  expected.key = {
      {Kind::Path, ""}, {Kind::Query, ""}, {Kind::Header, "X-A"}, {Kind::Cookie, "c"}, {Kind::QueryParameter, "q"}};
  expected.upstream_fields = {{"Authorization", "Bearer t"}, {"X-B", ""}};
  expected.start_at = {relay::StartAt::Kind::Last, 3};
  expected.dedupe = relay::Dedupe::Id;
  expected.on_lag = relay::OnLag::Close;
  expected.our_end = relay::OurEnd::Cut;
  expected.max_age = 1h;
  expected.reconnect_min = 1s;
  expected.reconnect_max = 2s;
  CHECK(r == expected);
  CHECK(route("mode: shared, key: [path], eager: [/a, \"/a?b\"]").eager == std::vector<std::string>{"/a", "/a?b"});
}

TEST_CASE("words are read as what they mean") {
  CHECK_FALSE(options("threads: auto").threads);
  CHECK_FALSE(options("limits: {store_bytes: auto}").limits.store_bytes);
  CHECK_FALSE(route("retry: auto").retry);
  CHECK(route("retry: 0").retry == Millis(0));
  CHECK(route("linger: 0").linger == 0ms);
  CHECK_FALSE(route("identity: {cookies: all}").identity.cookies);
  CHECK(route("identity: {cookies: []}").identity.cookies == std::vector<std::string>{});
  CHECK(route("authorize: probe").authorize.kind == relay::Authorize::Kind::Probe);
  CHECK(route("mode: shared, start_at: oldest").start_at.kind == relay::StartAt::Kind::Oldest);
  CHECK(route("ids: {origin: {field: oid}}").ids.origin == sse::OriginStyle{sse::OriginStyle::Kind::Field, "oid"});
  CHECK(route("ids: {origin: comment}").ids.origin.kind == sse::OriginStyle::Kind::Comment);
  CHECK(route("at_end: \"204\"").at_end == relay::AtEnd::NoContent);
  CHECK(route("on_gap: {event: \"\"}").on_gap.event.empty());
  CHECK(options("via: True").via);
}

TEST_CASE("the number of events in a window depends on the mode, unless it is given") {
  CHECK(route("mode: session").window.events == 0);
  CHECK(route("mode: shared").window.events == 1000);
  CHECK(route("mode: shared, window: {events: 0}").window.events == 0);
  CHECK(route("mode: session, window: {events: 5}").window.events == 5);
}

TEST_CASE("each route knows the limit of an event") {
  const auto o = options("limits: {event_bytes: 2KiB}\nroutes: [{name: a}, {name: b, match: {path: /b}}]");
  for (const auto& one : o.routes) CHECK(one.event_bytes == 2048);
  CHECK(options("limits: {event_bytes: 2KiB}").routes.at(0).event_bytes == 2048);
}

TEST_CASE("variables are filled in after YAML is read, so they cannot bring structure along") {
  const Variables env = {{"HOST", "h:80"}, {"EVIL", "x, admin: 0.0.0.0:1"}, {"N", "3"}, {"Q", "a\"b"}, {"LIST", "[a]"}};
  CHECK(options("upstream: http://${HOST}", env).upstream.host == "h");
  CHECK(options("threads: ${N}", env).threads == 3);
  CHECK(options("threads: \"${N}\"", env).threads == 3);
  CHECK(options("{threads: '${NONE:-auto}'}", env).threads == std::nullopt);
  CHECK(has(error("{listen: '${EVIL}'}", env), "1:10: listen: found \"x, admin: 0.0.0.0:1\""));
  CHECK(route("on_gap: {event: '${Q}'}", env).on_gap.event == "a\"b");
  CHECK(route("on_gap: {event: '$${Q}'}", env).on_gap.event == "${Q}");
  CHECK(has(error("routes: ${LIST}", env), "routes: found"));
  CHECK(route("mode: shared, upstream_fields: {A: '${N}'}", env).upstream_fields.at(0).second == "3");
}

TEST_CASE("the short form makes a shared route for each path, then the built-in one") {
  const auto config = short_form_config({.upstream = "http://a:1", .shared = {"/events", "/news/**"}});
  REQUIRE(config);
  gateway::Options expected;
  expected.upstream = {false, "a", 1, ""};
  expected.routes = {relay::shared_route("/events"), relay::shared_route("/news/**"), relay::built_in_route()};
  CHECK(config->options == expected);
  const auto& first = config->options.routes[0];
  CHECK(first.mode == relay::Mode::Shared);
  CHECK(first.match == relay::Match{"/events", {"GET"}, relay::Accept::Any});
  CHECK(first.name == "/events");
}

TEST_CASE("the short form takes addresses, and no variables") {
  const auto config = short_form_config({.upstream = "unix:/u", .listen = "0.0.0.0:1", .admin = "[::1]:2"});
  REQUIRE(config);
  CHECK(config->options.listen.at(0).to_string() == "0.0.0.0:1");
  CHECK(config->options.admin.to_string() == "[::1]:2");
  CHECK_FALSE(short_form_config({.upstream = "http://${HOST}"}));
}

TEST_CASE("the short form names the argument that is wrong") {
  const auto config = short_form_config({.upstream = "x", .listen = "80", .admin = "y", .shared = {"a"}});
  REQUIRE_FALSE(config);
  const auto& text = config.error().context;
  CHECK(config.error().code == ErrorCode::Misconfigured);
  CHECK(text.starts_with("--upstream: "));
  CHECK(lines(text).size() == 4);
  for (const auto argument :
       {"--upstream: found \"x\"", "--listen: found \"80\"", "--admin: found \"y\"", "--shared: found \"a\""}) {
    CHECK(has(text, argument));
  }
  CHECK(has(short_form_config({.upstream = "http://a", .shared = {"/a", "/a"}}).error().context, "/a"));
  CHECK(
      has(short_form_config({.upstream = "http://127.0.0.1:8080"}).error().context, "where the proxy itself listens"));
}

TEST_CASE("a file that is not there, or no file, is an error with its name") {
  for (const std::string name : {"/nonexistent/ssequel.yaml", "/"}) {
    const auto config = load_config(name, environment());
    REQUIRE_FALSE(config);
    CHECK(config.error().code == ErrorCode::Misconfigured);
    CHECK(has(config.error().context, name + ": cannot be read: "));
  }
}

TEST_CASE("a file that is too large is not read to its end") {
  const auto config = load_config("/dev/zero", environment());
  REQUIRE_FALSE(config);
  CHECK(has(config.error().context, "/dev/zero:1:1: found"));
}

TEST_CASE("the process's environment is the one that was given to it") {
  const auto env = process_environment();
  REQUIRE(setenv("SSEQUEL_TEST_VARIABLE", "a", 1) == 0);
  CHECK(env("SSEQUEL_TEST_VARIABLE") == "a");
  REQUIRE(unsetenv("SSEQUEL_TEST_VARIABLE") == 0);
  CHECK_FALSE(env("SSEQUEL_TEST_VARIABLE"));
}
