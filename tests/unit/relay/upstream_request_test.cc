#include "relay/upstream_request.h"

#include <doctest/doctest.h>

#include "unit/relay/requests.h"

namespace ssequel::relay {
namespace {

using IdKind = UpstreamLastEventId::Kind;

std::string passed(const http::RequestHead& head, const Route* route = nullptr, const UpstreamLastEventId& id = {},
                   const Peer& peer = {.address = "10.0.0.9"}) {
  std::string out;
  append_passed_request(out, head, peer, route, id);
  return out;
}
bool has_line(const std::string& request, const std::string& line) {
  return request.find("\r\n" + line + "\r\n") != std::string::npos;
}
bool has_field(const std::string& request, const std::string& name) {
  return request.find("\r\n" + name + ":") != std::string::npos;
}

TEST_CASE("a request passes with its fields in their order, case and number") {
  CHECK(passed(request("/a?b=%20c",
                       {{"host", "h"}, {"x-b", "1"}, {"X-A", "2"}, {"x-b", "3"}, {"Accept-Encoding", "br"}})) ==
        "GET /a?b=%20c HTTP/1.1\r\nhost: h\r\nx-b: 1\r\nX-A: 2\r\nx-b: 3\r\nAccept-Encoding: br\r\n"
        "X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\r\n");
}

TEST_CASE("hop-by-hop fields stay behind, those that Connection names too") {
  const auto out = passed(request("/", {{"Host", "h"},
                                        {"Connection", "keep-alive, X-Hop, close"},
                                        {"X-Hop", "1"},
                                        {"Keep-Alive", "timeout=5"},
                                        {"TE", "trailers"},
                                        {"Proxy-Connection", "keep-alive"},
                                        {"Upgrade", "h2c"},
                                        {"HTTP2-Settings", "AAM"},
                                        {"X-Stays", "2"}}));
  CHECK(out ==
        "GET / HTTP/1.1\r\nHost: h\r\nX-Stays: 2\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n"
        "X-Forwarded-Host: h\r\n\r\n");
}

TEST_CASE("Connection cannot name away who asks, from where, for what, or since when") {
  Route route;
  route.identity.fields.emplace_back("X-User");
  route.key.push_back({KeyPart::Kind::Header, "X-Tenant"});
  route.reattach = {"Idempotency-Key"};
  const auto head = request("/", {{"Host", "h"},
                                  {"Connection",
                                   "host, last-event-id, authorization, cookie, origin, content-length, "
                                   "x-forwarded-for, x-forwarded-user, x-user, x-tenant, "
                                   "idempotency-key, x-api-key, x-original-uri, x-original-method, x-other"},
                                  {"Last-Event-ID", "5"},
                                  {"Authorization", "a"},
                                  {"Cookie", "b=c"},
                                  {"Origin", "https://o"},
                                  {"Content-Length", "0"},
                                  {"X-Forwarded-For", "10.0.0.1"},
                                  {"X-Forwarded-User", "ann"},
                                  {"X-User", "bob"},
                                  {"X-Tenant", "t"},
                                  {"Idempotency-Key", "k"},
                                  {"X-Api-Key", "s"},
                                  {"X-Original-URI", "/asked"},
                                  {"X-Original-Method", "POST"},
                                  {"X-Other", "gone"}});
  const auto out = passed(head, &route);
  for (const char* line :
       {"Host: h", "Last-Event-ID: 5", "Authorization: a", "Cookie: b=c", "Origin: https://o", "Content-Length: 0",
        "X-Forwarded-For: 10.0.0.1, 10.0.0.9", "X-Forwarded-User: ann", "X-User: bob", "X-Tenant: t",
        "Idempotency-Key: k", "X-Api-Key: s", "X-Original-URI: /asked", "X-Original-Method: POST"}) {
    CAPTURE(line);
    CHECK(has_line(out, line));
  }
  CHECK_FALSE(has_field(out, "X-Other"));
  // Without a route: what no configuration has to name.
  const auto transparent = passed(head);
  for (const char* line : {"Host: h", "Last-Event-ID: 5", "Authorization: a", "Cookie: b=c", "Origin: https://o",
                           "Content-Length: 0", "X-Forwarded-For: 10.0.0.1, 10.0.0.9"}) {
    CAPTURE(line);
    CHECK(has_line(transparent, line));
  }
}

TEST_CASE("X-Forwarded-For is appended to, Proto and Host are set where missing") {
  auto out = passed(request("/", {{"Host", "h"},
                                  {"x-forwarded-for", "1.1.1.1"},
                                  {"X-Forwarded-For", "2.2.2.2, 3.3.3.3"},
                                  {"X-Forwarded-Proto", "https"},
                                  {"X-Forwarded-Host", "outside"}}));
  CHECK(has_line(out, "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9"));
  CHECK(has_line(out, "X-Forwarded-Proto: https"));
  CHECK(has_line(out, "X-Forwarded-Host: outside"));
  CHECK_FALSE(has_line(out, "X-Forwarded-Proto: http"));
  CHECK_FALSE(has_line(out, "X-Forwarded-Host: h"));
  out = passed(request("/", {{"Host", "h"}}), nullptr, {}, {});
  CHECK_FALSE(has_field(out, "X-Forwarded-For"));
  CHECK(has_line(out, "X-Forwarded-Host: h"));
}

TEST_CASE("Via is added where it is asked for, behind the others") {
  const auto head = request("/", {{"Host", "h"}, {"Via", "1.1 front"}});
  CHECK(has_line(passed(head), "Via: 1.1 front"));
  CHECK_FALSE(has_line(passed(head), "Via: 1.1 ssequel"));
  const auto out = passed(head, nullptr, {}, {.address = "10.0.0.9", .via = true});
  CHECK(out.find("Via: 1.1 front\r\n") < out.find("Via: 1.1 ssequel\r\n"));
  CHECK(has_line(out, "Via: 1.1 ssequel"));
}

TEST_CASE("an absolute-form target goes on in origin-form, with its authority as Host") {
  auto head = request("/a?b", {{"Host", "other"}}, "example.com:81");
  head.target = "http://example.com:81/a?b";
  const auto out = passed(head);
  CHECK(out.starts_with("GET /a?b HTTP/1.1\r\nHost: example.com:81\r\n"));
  CHECK_FALSE(has_line(out, "Host: other"));
}

TEST_CASE("an HTTP/1.0 request without Host gets one") {
  CHECK(has_line(passed(request("/", {}, "")), "Host: localhost"));
  CHECK_FALSE(has_field(passed(request("/", {}, "")), "X-Forwarded-Host"));
}

TEST_CASE("content is framed as it came") {
  auto head = request("/", {{"Host", "h"}, {"Transfer-Encoding", "chunked"}});
  head.method = "POST";
  head.framing.kind = http::Framing::Kind::Chunked;
  auto out = passed(head);
  CHECK(out.starts_with("POST / HTTP/1.1\r\n"));
  CHECK(out.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n"));
  head = request("/", {{"Host", "h"}, {"Content-Length", "5"}});
  head.framing = {.kind = http::Framing::Kind::Length, .length = 5};
  out = passed(head);
  CHECK(has_line(out, "Content-Length: 5"));
  CHECK_FALSE(has_field(out, "Transfer-Encoding"));
}

TEST_CASE("an upgrade passes, with a Connection field of its own") {
  auto head = request("/", {{"Host", "h"}, {"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-X", "1"}});
  head.is_upgrade = true;
  const auto out = passed(head);
  CHECK(has_line(out, "Connection: upgrade"));
  CHECK(has_line(out, "Upgrade: websocket"));
  CHECK(has_line(out, "Sec-X: 1"));
}

TEST_CASE("a Last-Event-ID that is not ours passes byte for byte, two of them too") {
  const Route route;
  const auto out = passed(
      request("/?lastEventId=%20a&b", {{"Host", "h"}, {"last-event-id", "a\xff"}, {"Last-Event-ID", "b"}}), &route);
  CHECK(out.starts_with("GET /?lastEventId=%20a&b HTTP/1.1\r\n"));
  CHECK(has_line(out, "last-event-id: a\xff"));
  CHECK(has_line(out, "Last-Event-ID: b"));
}

TEST_CASE("a Last-Event-ID of ours is taken away or replaced by the upstream's own, in the query too") {
  const Route route;
  const auto head = request("/e?a=1&lastEventId=ours&b", {{"Host", "h"}, {"last-event-id", "ours"}});
  auto out = passed(head, &route, {.kind = IdKind::Removed, .value = {}});
  CHECK(out.starts_with("GET /e?a=1&b HTTP/1.1\r\n"));
  CHECK(out.find("ours") == std::string::npos);
  CHECK_FALSE(has_field(out, "Last-Event-ID"));
  out = passed(head, &route, {.kind = IdKind::Replaced, .value = "theirs"});
  CHECK(out.starts_with("GET /e?a=1&b HTTP/1.1\r\n"));
  CHECK(out.find("ours") == std::string::npos);
  CHECK(has_line(out, "Last-Event-ID: theirs"));
  out = passed(request("/e?lastEventId=ours", {{"Host", "h"}}), &route, {.kind = IdKind::Removed, .value = {}});
  CHECK(out.starts_with("GET /e HTTP/1.1\r\n"));
}

TEST_CASE("an origin id that came back inside an id cannot break out of its field") {
  const Route route;
  for (const char* value : {"x\r\nX-Evil: 1", "x\nX-Evil: 1", "x\rX-Evil: 1", "x\x01"}) {
    const UpstreamLastEventId id{.kind = IdKind::Replaced, .value = value};
    const auto out = passed(request("/", {{"Host", "h"}}), &route, id);
    CHECK(out.find("X-Evil") == std::string::npos);
    CHECK_FALSE(has_field(out, "Last-Event-ID"));
    std::string sent;
    append_shared_request(sent, {}, "/", "h", {}, route, true, value);
    CHECK_FALSE(has_field(sent, "Last-Event-ID"));
  }
}

TEST_CASE("a session's request asks for no coding, since its events have to be read") {
  const Route route;
  const auto out = passed(request("/", {{"Host", "h"}, {"accept-encoding", "gzip, br"}}), &route);
  CHECK(out.find("gzip") == std::string::npos);
  CHECK(has_line(out, "Accept-Encoding: identity"));
}

// -------------------------------------------------------------------------------------------------------- shared

std::string shared_request(FieldList fields, const Route& route = {}, bool with_identity = true,
                           std::optional<std::string_view> last_event_id = {}, const Peer& peer = {}) {
  std::string out;
  append_shared_request(out, fields_of(fields), "/feed?a=1", "h", peer, route, with_identity, last_event_id);
  return out;
}

TEST_CASE("a shared channel's request is a GET with its subscriber's fields") {
  CHECK(shared_request({{"Host", "h"}, {"Accept", "text/event-stream"}, {"Cookie", "a=1"}, {"x-mine", "kept"}}, {},
                       true, "7", {.address = "10.0.0.9", .via = true}) ==
        "GET /feed?a=1 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nCookie: a=1\r\nx-mine: kept\r\n"
        "Last-Event-ID: 7\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
        "Via: 1.1 ssequel\r\n\r\n");
}

TEST_CASE("a subscriber's conditions, ranges, codings and content are no part of what is for all") {
  const auto out = shared_request({{"Range", "bytes=0-"},
                                   {"If-Range", "x"},
                                   {"If-Match", "x"},
                                   {"If-None-Match", "x"},
                                   {"If-Modified-Since", "x"},
                                   {"If-Unmodified-Since", "x"},
                                   {"Accept-Encoding", "gzip"},
                                   {"Content-Length", "0"},
                                   {"Content-Type", "text/plain"},
                                   {"Expect", "100-continue"},
                                   {"Last-Event-ID", "ours"},
                                   {"Connection", "close, X-Hop"},
                                   {"X-Hop", "1"},
                                   {"TE", "trailers"}});
  CHECK(out ==
        "GET /feed?a=1 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nX-Forwarded-Proto: http\r\n"
        "X-Forwarded-Host: h\r\n\r\n");
}

TEST_CASE("identity fields are left out where nothing vouches for them") {
  const FieldList fields = {
      {"Authorization", "a"},    {"Cookie", "b=c"},   {"X-Auth-User", "d"},           {"X-Api-Key", "e"},
      {"X-Forwarded-User", "f"}, {"User-Agent", "g"}, {"Connection", "authorization"}};
  const auto without = shared_request(fields, {}, false);
  for (const char* name : {"Authorization", "Cookie", "X-Auth-User", "X-Api-Key", "X-Forwarded-User", "Connection"}) {
    CAPTURE(name);
    CHECK_FALSE(has_field(without, name));
  }
  CHECK(has_line(without, "User-Agent: g"));
  const auto with = shared_request(fields, {}, true);
  for (const char* line : {"Authorization: a", "Cookie: b=c", "X-Auth-User: d", "X-Api-Key: e"})
    CHECK(has_line(with, line));
}

TEST_CASE("the route's own fields go always, instead of the subscriber's of the same name") {
  Route route;
  route.upstream_fields = {{"Authorization", "Bearer own"}, {"X-New", "n"}, {"x-forwarded-proto", "https"}};
  for (const bool with_identity : {true, false}) {
    const auto out = shared_request({{"authorization", "theirs"}, {"X-Forwarded-Proto", "http"}}, route, with_identity);
    CHECK(has_line(out, "Authorization: Bearer own"));
    CHECK(has_line(out, "X-New: n"));
    CHECK(has_line(out, "x-forwarded-proto: https"));
    CHECK(out.find("theirs") == std::string::npos);
    CHECK_FALSE(has_field(out, "X-Forwarded-Proto"));
  }
}

TEST_CASE("the route's own Host and Accept stand alone") {
  Route route;
  route.upstream_fields = {{"host", "inside"}, {"accept", "text/event-stream, */*"}};
  const auto out = shared_request({{"Accept", "text/html"}, {"Host", "h"}}, route);
  CHECK(out ==
        "GET /feed?a=1 HTTP/1.1\r\nhost: inside\r\naccept: text/event-stream, */*\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\r\n");
}

TEST_CASE("a shared request without a last origin id has no such field") {
  CHECK_FALSE(has_field(shared_request({}, {}, true, std::nullopt), "Last-Event-ID"));
  CHECK_FALSE(has_field(shared_request({}, {}, true, ""), "Last-Event-ID"));
}

TEST_CASE("a shared target is the subscriber's without the parameters that stand for Last-Event-ID") {
  CHECK(shared_target(request("/feed"), {}) == "/feed");
  CHECK(shared_target(request("/feed?a=%20&lastEventId=5&b"), {}) == "/feed?a=%20&b");
  CHECK(shared_target(request("/feed?last-event-id=5"), {}) == "/feed");
}

}  // namespace
}  // namespace ssequel::relay
