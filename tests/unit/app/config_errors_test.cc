// What is wrong, and how the operator is told.

#include <doctest/doctest.h>

#include "config_support.h"
#include "ids/postgres_ids.h"

using namespace ssequel;
using namespace ssequel::app;

namespace {

// The one problem of a route; where it stands is the business of other tests.
std::string route_error(const std::string& keys, Variables variables = {}) {
  return error("routes:\n- {" + keys + "}\n", std::move(variables));
}

}  // namespace

TEST_CASE("all problems are told at once, in the order of the file") {
  const auto found = errors(R"(
threads: 0
routes:
  - name: a
    windw: {events: 5}
    heartbeat: 5
listn: x
limits:
  channels: none
)");
  CHECK(found ==
        std::vector<std::string>{
            "f:2:10: threads: found \"0\", allowed: auto, or a whole number from 1 to 256",
            "f:5:5: routes[0].windw: unknown key; did you mean \"window\"?",
            "f:6:16: routes[0].heartbeat: found \"5\", allowed: 0, or a duration from 10ms to 1h, such as 250ms, "
            "15s, 10m or 1h; a unit is missing: 5ms, 5s, 5m or 5h",
            "f:7:1: listn: unknown key; did you mean \"listen\"?",
            "f:9:13: limits.channels: found \"none\", allowed: a whole number from 1 to 1000000"});
}

TEST_CASE("an unknown key gets the nearest known one, here or elsewhere") {
  CHECK(error("Listen: x") == "f:1:1: Listen: unknown key; did you mean \"listen\"?");
  CHECK(error("limits: {headerBytes: 1}") == "f:1:10: limits.headerBytes: unknown key; did you mean \"header_bytes\"?");
  CHECK(error("heartbeat: 5s") == "f:1:1: heartbeat: unknown key here; \"heartbeat\" belongs into a route");
  CHECK(error("idle_timeout: 5s") == "f:1:1: idle_timeout: unknown key here; \"idle_timeout\" belongs into limits");
  CHECK(route_error("path: /a") ==
        "f:2:4: routes[0].path: unknown key here; \"path\" belongs into store or match of a route");
  CHECK(route_error("listen: x") == "f:2:4: routes[0].listen: unknown key here; \"listen\" belongs into the top level");
  CHECK(error("hartbeat: 5s") == "f:1:1: hartbeat: unknown key; did you mean \"heartbeat\" in a route?");
  CHECK(error("drain: {qqqqq: 1}") == "f:1:9: drain.qqqqq: unknown key, allowed: delay, timeout, retry_spread");
}

TEST_CASE("a key with a dot is not the path of another") {
  CHECK(has(error("log.level: info"), "f:1:1: log.level: unknown key"));
  CHECK(has(error("log: {log.level: info}"), "unknown key"));
  CHECK(has(error("limits: {\"\": 1}"), "found a key") == false);
}

TEST_CASE("a repeated key is an error, at its second place") {
  CHECK(error("via: true\nvia: true") == "f:2:1: via: repeated key; it stands in line 1 already");
  CHECK(has(error("limits: {channels: 5}\nlimits: {connections: 5}"), "f:2:1: limits: repeated key"));
}

TEST_CASE("a value of another type is an error that says what was found") {
  CHECK(has(error("threads: [1]"), "f:1:10: threads: found a list, allowed: auto, or a whole number"));
  CHECK(has(error("threads: {a: 1}"), "threads: found a map"));
  CHECK(has(error("threads:"), "threads: found nothing"));
  CHECK(has(error("threads: \"2\""), "found \"2\", allowed: auto, or a whole number from 1 to 256; without quotes"));
  CHECK(has(error("via: \"true\""), "found the text \"true\", allowed: true or false; without quotes"));
  CHECK(has(error("via: yes"), "found \"yes\", allowed: true or false"));
  CHECK(has(error("limits: 5"), "f:1:9: limits: found \"5\", allowed: a map"));
  CHECK(has(error("limits: [a]"), "limits: found a list, allowed: a map"));
  CHECK(has(error("routes:"), "routes: found nothing, allowed: a list"));
  CHECK(has(error("routes: {a: 1}"), "routes: found a map"));
  CHECK(has(error("routes: [a]"), "f:1:10: routes[0]: found \"a\", allowed: a map"));
  CHECK(has(error("routes: [~]"), "routes[0]: found nothing"));
  CHECK(has(error("- a"), "f:1:1: found a list, allowed: a map"));
  CHECK(has(error("a"), "f:1:1: found \"a\", allowed: a map"));
  CHECK(has(route_error("match: {methods: GET}"), "routes[0].match.methods: found \"GET\", allowed: a list"));
  CHECK(has(route_error("match: {methods: []}"), "found a list of 0"));
  CHECK(has(route_error("match: {methods: [GET, GET]}"), "routes[0].match.methods[1]: found \"GET\" twice"));
}

TEST_CASE("values out of range are errors") {
  for (const auto text : {"threads: 0",
                          "threads: 257",
                          "threads: -1",
                          "limits: {channels: 0}",
                          "limits: {header_bytes: 1023}",
                          "limits: {header_bytes: 1025KiB}",
                          "limits: {header_timeout: 0}",
                          "limits: {header_timeout: 721h}",
                          "limits: {event_bytes: 63}",
                          "limits: {connections: 1e3}",
                          "limits: {connections: 99999999999999999999}",
                          "redis: {lease: 499ms}",
                          "postgres: {block: 0}",
                          "drain: {delay: 61m}",
                          "listen: []",
                          "routes: [{window: {events: 2147483649}}]",
                          "routes: [{heartbeat: 9ms}]",
                          "routes: [{retain: 721h}]",
                          "routes: [{ids: {start: 0}}]",
                          "routes: [{ids: {start: 9007199254740992}}]",
                          "routes: [{ids: {node_bits: 9}}]",
                          "routes: [{ids: {node_bits: 17}}]",
                          "routes: [{mode: shared, start_at: {last: 0}}]",
                          "routes: [{mode: shared, key: []}]",
                          "routes: [{name: \"\"}]"}) {
    CAPTURE(text);
    CHECK(has(error(text), "allowed"));
  }
  for (const auto text : {"threads: 256", "limits: {header_bytes: 1MiB}", "limits: {header_timeout: 720h}",
                          "routes: [{window: {events: 2147483648}}]", "routes: [{ids: {start: 9007199254740991}}]"}) {
    CAPTURE(text);
    CHECK(error(text) == "");
  }
}

TEST_CASE("a wrong word gets the nearest one") {
  CHECK(error("log: {level: wran}") ==
        "f:1:14: log.level: found \"wran\", allowed: debug, info, warn or error; did you mean \"warn\"?");
  CHECK(has(route_error("mode: sesion"), "did you mean \"session\"?"));
  CHECK(has(route_error("linger: forver"), "did you mean \"forever\"?"));
  CHECK(has(route_error("ids: {origin: {feild: a}}"),
            "f:2:19: routes[0].ids.origin.feild: unknown key; did you mean \"field\"?"));
  CHECK(has(route_error("ids: {origin: coment}"), "did you mean \"comment\"?"));
  CHECK(has(route_error("ids: {origin: {field: a, json: b}}"), "found a map of 2 keys"));
  CHECK(has(route_error("mode: shared, key: [hosts]"), "did you mean \"host\"?"));
}

TEST_CASE("units that are not ours get the one that was meant") {
  CHECK(has(error("limits: {header_bytes: 32KB}"), "did you mean 32KiB?"));
  CHECK(has(error("limits: {header_bytes: 32k}"), "did you mean 32KiB?"));
  CHECK(has(error("limits: {event_bytes: 1mb}"), "did you mean 1MiB?"));
  CHECK(has(error("limits: {idle_timeout: 75}"), "a unit is missing: 75ms, 75s, 75m or 75h"));
}

TEST_CASE("addresses are explained") {
  CHECK(has(error("listen: 8080"), "f:1:9: listen: found \"8080\""));
  CHECK(has(error("listen: 8080"), "0.0.0.0:8080"));
  CHECK(has(error("listen: :8080"), "did you mean 0.0.0.0:8080?"));
  CHECK(has(error("listen: http://a:1"), "without a scheme"));
  CHECK(has(error("listen: [a:1, b]"), "f:1:15: listen[1]: found \"b\""));
  CHECK(has(error("listen: [::1]:8080"), "needs quotes"));
  CHECK(has(error("upstream: 127.0.0.1:80"), "does not begin with http:// or unix:"));
  CHECK(has(error("upstream: https://a"), "TLS is not spoken"));
}

TEST_CASE("an unset variable is an error that names it") {
  CHECK(error("upstream: \"${UP}\"") ==
        "f:1:11: upstream: found ${UP}, but the variable UP is not set; set it, or write ${UP:-default}");
}

TEST_CASE("a variable with a control character or bytes that are no text does not pass") {
  for (const auto value : {"a\nb", "a\x01", "a\x7F", "a\xFF"}) {
    CHECK(has(route_error("on_gap: {event: '${V}'}", {{"V", value}}), "control character, or not UTF-8"));
    CHECK(has(route_error("mode: shared, upstream_fields: {A: '${V}'}", {{"V", value}}),
              "control character, or not UTF-8"));
  }
}

TEST_CASE("no secret is reported") {
  for (const auto text : {"upstream: http://user:pa55@h", "redis: {url: \"redis:/pa55\"}", "redis: {url: pa55}",
                          "postgres: {url: \"mysql://u:pa55@h\"}"}) {
    CAPTURE(text);
    CHECK(has(error(text), "found a text that is not shown"));
    CHECK_FALSE(has(error(text), "pa55"));
  }
  CHECK_FALSE(has(route_error("mode: shared, upstream_fields: {A: \" pa55\"}"), "pa55"));
  CHECK(has(route_error("mode: shared, upstream_fields: {A: \" pa55\"}"), "routes[0].upstream_fields.A: found"));
}

TEST_CASE("what is reported is cut and escaped") {
  const auto text = error("listen: \"" + std::string(1000, 'x') + "\"");
  CHECK(text.size() < 400);
  CHECK(has(error(R"(listen: "a\"\\b\u0085")"), R"(found "a\"\\b\u0085", allowed)"));
  CHECK(has(error("via: a\"b"), R"("a\"b")"));
}

TEST_CASE("a key of the other mode is an error at its value") {
  CHECK(route_error("mode: session, key: [host]") ==
        "f:2:24: routes[0].key: found a key of shared routes, allowed only with mode: shared; this route is a session "
        "route");
  CHECK(has(route_error("max_age: 1h"), "routes[0].max_age: found a key of shared routes"));
  CHECK(has(route_error("reconnect: {min: 1s}"), "routes[0].reconnect: found a key of shared routes"));
  CHECK(has(route_error("mode: shared, orphans: {total: 1}"), "routes[0].orphans: found a key of session routes"));
  CHECK(has(route_error("mode: shared, at_end: 204"), "routes[0].at_end: found a key of session routes"));
  CHECK_FALSE(has(route_error("mode: shraed, key: [host]"), "key of shared"));
}

TEST_CASE("an event has to fit twice into each window") {
  CHECK(error("routes: [{window: {bytes: 1MiB}}]") ==
        "f:1:27: routes[0].window.bytes: found a window of 1MiB with limits.event_bytes 1MiB, allowed: at least 2MiB");
  CHECK(has(error("limits: {event_bytes: 9MiB}"), "f:1:23: limits.event_bytes: found a window of 16MiB"));
  CHECK(error("limits: {event_bytes: 8MiB}") == "");
  CHECK(error("limits: {event_bytes: 9MiB}\nroutes: []") == "");
  CHECK(error("routes: [{window: {bytes: 2MiB}}]") == "");
}

TEST_CASE("impossible combinations are errors at the value to change") {
  CHECK(has(route_error("mode: shared, reconnect: {min: 2s, max: 1s}"),
            "f:2:35: routes[0].reconnect.min: found a min of 2s over"));
  CHECK(has(route_error("mode: shared, reconnect: {max: 1ms}"), "routes[0].reconnect.max: found a min of 250ms over"));
  CHECK(has(route_error("mode: shared, start_at: {last: 1001}"),
            "routes[0].start_at: found last: 1001, allowed: at most 1000"));
  CHECK(route_error("mode: shared, start_at: {last: 1001}, window: {events: 0}") == "");
  CHECK(has(route_error("identity: {authorize: X-User}"), "routes[0].identity.authorize: found X-User"));
  CHECK(route_error("identity: {authorize: X-User}, authorize: {path: /a}") == "");
  CHECK(has(route_error("ids: {node_id: 1024}"), "routes[0].ids.node_id: found 1024, allowed: below 1024"));
  CHECK(route_error("ids: {node_id: 1024, node_bits: 11}") == "");
}

TEST_CASE("an eager target needs a key that knows it, and a route that matches it") {
  CHECK(has(route_error("mode: shared, eager: [/a]"), "routes[0].eager: found targets, allowed: []"));
  CHECK(has(route_error("mode: shared, key: [path, 'cookie:a'], eager: [/a]"), "routes[0].eager"));
  CHECK(has(route_error("mode: shared, key: [path], match: {path: /b}, eager: [/b, /a]"),
            "routes[0].eager[1]: found /a"));
  CHECK(route_error("mode: shared, key: [path, query], match: {path: /b}, eager: ['/b?c']") == "");
  CHECK(route_error("mode: shared, eager: []") == "");
}

TEST_CASE("no two routes have one name") {
  CHECK(has(error("routes:\n- {name: a}\n- {name: a, match: {path: /b}}"),
            "f:3:10: routes[1].name: found a second route named a"));
  CHECK(has(error("routes:\n- {match: {path: /b, methods: [GET]}}\n- {match: {path: /b, methods: [POST]}}"),
            "routes[1].match.path: found a second route named /b"));
}

TEST_CASE("no address is used twice, and the proxy does not talk to itself") {
  CHECK(has(error("listen: [a:1, a:1]"), R"(listen[1]: found "a:1" twice)"));
  CHECK(has(error("admin: 127.0.0.1:8080"), "f:1:8: admin: found 127.0.0.1:8080 for both"));
  CHECK(
      has(error("upstream: http://127.0.0.1:8080"), "f:1:11: upstream: found http://127.0.0.1:8080, where the proxy"));
  CHECK(has(error("listen: 0.0.0.0:3000"), "upstream: found http://127.0.0.1:3000, where the proxy"));
  CHECK(has(error("listen: unix:/a\nupstream: unix:/a"), "where the proxy"));
  CHECK(error("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0") == "");
}

TEST_CASE("upstream fields that the proxy sets itself are refused, whatever their case") {
  for (const auto name : {"connection", "Transfer-Encoding", "HOST", "last-event-id"}) {
    CAPTURE(name);
    CHECK(has(route_error("mode: shared, upstream_fields: {" + std::string(name) + ": x}"), "only the proxy can set"));
  }
  CHECK(has(route_error("mode: shared, upstream_fields: {A: x, a: y}"), "repeated key"));
  CHECK(has(route_error("mode: shared, upstream_fields: {'a b': x}"), "no field name"));
  CHECK(has(route_error("mode: shared, upstream_fields: [a]"), "found a list"));
}

TEST_CASE("the store gives places only where it is Redis, and ids only where they are counted") {
  CHECK(error("store: {kind: redis}") == "");
  CHECK(route_error("mode: shared, producers: all") ==
        "f:2:29: routes[0].producers: found all, allowed: one, as store.kind is not redis");
  CHECK(has(
      error(
          "store: {kind: redis}\nroutes:\n- {mode: shared, match: {path: /a}, producers: all, ids: {strategy: ulid}}"),
      "routes[0].ids.strategy: found ulid with producers: all, allowed: sequence"));
  CHECK(route_error("reattach: [Idempotency-Key]") == "");
  CHECK(route_error("reattach: []") == "");
  CHECK(route_error("mode: shared, producers: one") == "");
}

TEST_CASE("their settings are checked nevertheless") {
  const auto found = errors("store: {kind: redis, sync: sometimes}\nroutes:\n- {ids: {strategy: ulid, start: 5}}");
  REQUIRE(found.size() == 2);
  CHECK(has(found[0], "store.sync: found \"sometimes\", allowed: os or always"));
  CHECK(has(found[1], "ids.start: found 5, allowed: auto, as ids.strategy is not sequence"));
}

TEST_CASE("every strategy is allowed") {
  for (const std::string strategy : {"sequence", "redis", "ulid"}) {
    CHECK(route_error("ids: {strategy: " + strategy + "}") == "");
  }
  const auto postgres = route_error("ids: {strategy: postgres}");
  CHECK(postgres.empty() == ids::has_postgres());
  if (!ids::has_postgres()) CHECK(has(postgres, "this program was built without PostgreSQL"));
}

TEST_CASE("a URL of Redis may name sentinels, a cluster and TLS files") {
  for (const std::string url : {"redis://h", "rediss://:p@h:1/2?ca=/ca.pem", "redis+sentinel://a,b:1/feed/2",
                                "rediss+cluster://u:p@a:1,b:2?name=redis", "unix:/run/redis.sock"}) {
    CHECK(error("redis: {url: \"" + url + "\"}") == "");
  }
  for (const std::string url : {"redis://a,b", "redis://h?ca=/ca.pem", "redis+sentinel://a", "redis+cluster://a/1"}) {
    CHECK(has(error("redis: {url: \"" + url + "\"}"), "redis.url"));
  }
}

TEST_CASE("a snowflake without a node id needs an ordinal that fits, or Redis") {
  const std::string keys = "ids: {strategy: snowflake}";
  CHECK(has(route_error(keys), "no POD_NAME in the environment"));
  CHECK(has(route_error(keys, {{"POD_NAME", "web"}}), "a POD_NAME without an ordinal"));
  CHECK(has(route_error(keys, {{"POD_NAME", "web-x7f"}}), "a POD_NAME without an ordinal"));
  CHECK(has(route_error(keys, {{"POD_NAME", "web-1024"}}), "too great for node_bits"));
  for (const auto& text :
       {route_error(keys, {{"POD_NAME", "web-1023"}}), route_error("ids: {strategy: snowflake, node_id: 3}"),
        error("redis: {prefix: a}\nroutes: [{" + keys + "}]")}) {
    CHECK(text == "");
  }
}

TEST_CASE("what is allowed but risky is warned of, with its place") {
  const auto warning = [](std::string_view yaml) {
    const auto config = parse(yaml).value();
    return config.warnings.empty() ? std::string() : config.warnings.at(0);
  };
  CHECK(has(warning("routes: [{mode: shared, ids: {start: 1}}]"),
            "f:1:38: routes[0].ids.start: ids that begin at 1 are safe only"));
  CHECK(has(warning("routes: [{ids: {start: 1}}]"), "f:1:24: routes[0].ids.start: without effect"));
  CHECK(has(warning("routes: [{mode: shared, ids: {start: 1, tag: always}}]"), "without effect"));
  CHECK(has(warning("routes: [{linger: forever}]"), "f:1:19: routes[0].linger: "));
  CHECK(has(warning("routes: [{heartbeat: 0}]"), "routes[0].heartbeat: "));
  CHECK(has(warning("routes: [{mode: shared, identity: {fields: []}}]"), "routes[0].identity.fields: "));
  CHECK(has(warning("limits: {store_bytes: 1MiB}"), "limits.store_bytes: "));
  CHECK(has(warning("drain: {delay: 5s, timeout: 5s}"), "drain.timeout: "));
  CHECK(has(warning("routes: [{}, {name: b}]"), "routes[1]"));
  CHECK(has(warning("routes: [{match: {path: /a, accept: any}}, {name: b, match: {path: /a}}]"),
            "routes[1].match: never reached"));
  CHECK(warning("routes: [{match: {path: /a}}, {name: b, match: {path: /a, accept: any}}]") == "");
  CHECK(warning("routes: [{match: {path: /a}}, {name: b, match: {path: /a, methods: [POST]}}]") == "");
  CHECK(warning("routes: [{mode: shared}]") == "");
}

TEST_CASE("a hostile file costs little and is refused") {
  std::string many = "routes:\n";
  for (int i = 0; i < 900; ++i) {
    many += "- {";
    for (int j = 0; j < 100; ++j) many += "k" + std::to_string(j) + ": 1, ";
    many += "}\n";
  }
  CHECK(errors(many).size() == 101);
  std::string routes = "routes:\n";
  for (int i = 0; i < 1001; ++i) routes += "- {}\n";
  CHECK(has(error(routes), "routes: found a list, allowed: a list of at most 1000 routes"));
}
