#include "relay/stream_head.h"

#include <doctest/doctest.h>

#include "unit/relay/requests.h"

namespace ssequel::relay {
namespace {

http::ResponseHead response(FieldList fields, int status = 200) {
  http::ResponseHead head;
  head.status = status;
  head.fields = fields_of(fields);
  return head;
}
StreamHead kept(FieldList fields, bool is_shared) {
  return make_stream_head(response(fields), "https://page", is_shared);
}
std::string lines(const http::Fields& fields) {
  std::string out;
  fields.append_to(out);
  return out;
}
std::string client_head(const StreamHead& head, const ClientHead& client = {}) {
  std::string out;
  append_client_head(out, head, client);
  return out;
}

TEST_CASE("of the upstream's head its own end-to-end fields stay, in their order and case") {
  for (const bool is_shared : {true, false}) {
    const auto head = kept({{"server", "legacy/1"},
                            {"Content-Type", "text/event-stream;charset=utf-8"},
                            {"X-Of", "a"},
                            {"Vary", "Origin"},
                            {"x-of", "b"},
                            {"Cache-Control", "private, no-store"}},
                           is_shared);
    CHECK(lines(head.fields) ==
          "server: legacy/1\r\nX-Of: a\r\nVary: Origin\r\nx-of: b\r\nCache-Control: private, no-store\r\n"
          "Content-Type: text/event-stream;charset=utf-8\r\nX-Accel-Buffering: no\r\n");
  }
}

TEST_CASE("hop-by-hop fields go, named ones too, and those of the framing and coding that we replace") {
  for (const bool is_shared : {true, false}) {
    const auto head = kept({{"Content-Type", "text/event-stream"},
                            {"Connection", "keep-alive, X-Hop"},
                            {"Keep-Alive", "timeout=5"},
                            {"X-Hop", "1"},
                            {"Transfer-Encoding", "chunked"},
                            {"Upgrade", "h2c"},
                            {"Trailer", "X-Sum"},
                            {"Content-Length", "17"},
                            {"Content-Encoding", "gzip"},
                            {"ETag", "\"x\""},
                            {"Content-Digest", "sha-256=:AA==:"},
                            {"Repr-Digest", "sha-256=:AA==:"},
                            {"X-Accel-Buffering", "yes"}},
                           is_shared);
    CHECK(lines(head.fields) ==
          "Content-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n");
  }
}

TEST_CASE("of a shared channel's head what belongs to one response or one client goes") {
  for (const char* name : {"Set-Cookie",
                           "Set-Cookie2",
                           "Date",
                           "Age",
                           "Expires",
                           "Last-Modified",
                           "Retry-After",
                           "WWW-Authenticate",
                           "Proxy-Authenticate",
                           "Authentication-Info",
                           "Authorization",
                           "Server-Timing",
                           "X-Request-Id",
                           "x-request-id",
                           "Request-Id",
                           "X-Correlation-ID",
                           "traceparent",
                           "X-B3-TraceId",
                           "X-RateLimit-Remaining",
                           "RateLimit-Limit",
                           "Clear-Site-Data",
                           "X-Amzn-Trace-Id",
                           "Location",
                           "Content-Range"}) {
    CAPTURE(name);
    const auto head = kept({{name, "canary"}, {"Content-Type", "text/event-stream"}}, true);
    CHECK(lines(head.fields).find("canary") == std::string::npos);
    CHECK(lines(head.cors).find("canary") == std::string::npos);
  }
}

TEST_CASE("a session's head keeps what belongs to its one response, but for cookies") {
  const auto head = kept({{"Date", "today"}, {"X-Request-Id", "7"}, {"Set-Cookie", "a=1"}}, false);
  CHECK(head.fields.get("Date") == "today");
  CHECK(head.fields.get("X-Request-Id") == "7");
  CHECK_FALSE(head.fields.has("Set-Cookie"));  // Its opener gets them; no replay sets them again.
}

TEST_CASE("the type is text/event-stream, also where the upstream's is another") {
  CHECK(kept({{"Content-Type", "application/x-ndjson"}}, true).fields.get("Content-Type") == "text/event-stream");
  CHECK(kept({}, true).fields.get("Content-Type") == "text/event-stream");
  CHECK(kept({{"Content-Type", "Text/Event-Stream"}}, true).fields.count("Content-Type") == 1);
}

TEST_CASE("CORS fields are kept apart, with the Origin that they were given for") {
  const auto head =
      kept({{"Access-Control-Allow-Origin", "https://page"}, {"access-control-allow-credentials", "true"}}, true);
  CHECK(head.origin == "https://page");
  CHECK(lines(head.cors) == "Access-Control-Allow-Origin: https://page\r\naccess-control-allow-credentials: true\r\n");
  CHECK_FALSE(head.fields.has("Access-Control-Allow-Origin"));
}

TEST_CASE("a client's head is a whole one") {
  const auto head = kept({{"X-Of", "a"}}, true);
  CHECK(client_head(head) ==
        "HTTP/1.1 200 OK\r\nX-Of: a\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
        "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("how a client's response is delimited, and whether its connection stays") {
  const StreamHead head;
  CHECK(client_head(head, {.keep_alive = false}) ==
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  CHECK(client_head(head, {.is_chunked = false}) == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

TEST_CASE("a client's head says how it resumed, and by whom it came if asked to") {
  const StreamHead head;
  CHECK(client_head(head, {.resume = "sync-required; reason=window", .via = true}) ==
        "HTTP/1.1 200 OK\r\nSsequel-Resume: sync-required; reason=window\r\nVia: 1.1 ssequel\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("a response without CORS fields exposes nothing") {
  CHECK(client_head({}, {.resume = "live"}).find("Access-Control") == std::string::npos);
  const auto cors = fields_of({{"Access-Control-Max-Age", "5"}});
  CHECK(client_head({}, {.cors = &cors}).find("Expose") == std::string::npos);
}

TEST_CASE("where CORS applies, Ssequel-Resume is exposed") {
  const auto exposed = [](FieldList list) {
    const auto cors = fields_of(list);
    const auto out = client_head({}, {.resume = "live", .cors = &cors});
    const auto at = out.find("Access-Control-Expose-Headers: ");
    CHECK(out.find("Expose", at + 16) == std::string::npos);
    return out.substr(at + 31, out.find("\r\n", at) - at - 31);
  };
  CHECK(exposed({{"Access-Control-Allow-Origin", "*"}}) == "Ssequel-Resume");
  CHECK(exposed({{"Access-Control-Allow-Origin", "*"}, {"Access-Control-Expose-Headers", "X-A"}}) ==
        "X-A, Ssequel-Resume");
  CHECK(exposed({{"Access-Control-Expose-Headers", ""}, {"Access-Control-Allow-Origin", "*"}}) == "Ssequel-Resume");
}

TEST_CASE("only one of several expose lines is added to") {
  const auto cors = fields_of({{"Access-Control-Allow-Origin", "*"},
                               {"Access-Control-Expose-Headers", "X-A"},
                               {"Access-Control-Expose-Headers", "X-B"}});
  CHECK(client_head({}, {.cors = &cors}) ==
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: X-A, Ssequel-Resume\r\n"
        "Access-Control-Expose-Headers: X-B\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("a client's own cookies go to it, other fields of its own response do not") {
  const auto own = fields_of({{"Set-Cookie", "a=1"}, {"X-Of", "x"}, {"set-cookie", "b=2"}});
  CHECK(client_head({}, {.set_cookies = &own}) ==
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("the head of an answer without data allows the request's own Origin, with credentials") {
  std::string out;
  append_bare_head(out, "https://page", true, true);
  CHECK(out ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
        "X-Accel-Buffering: no\r\nAccess-Control-Allow-Origin: https://page\r\n"
        "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_CASE("without an Origin, or with one that could not stand in a field, that head has no CORS fields") {
  for (const auto& origin : {std::optional<std::string_view>(), std::optional<std::string_view>("a\r\nX: y")}) {
    std::string out;
    append_bare_head(out, origin, false, false);
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
          "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n");
  }
}

TEST_CASE("which answers are event streams") {
  const auto is = [](const char* type, UpstreamFormat format, int status = 200) {
    return is_event_stream(response({{"Content-Type", type}}, status), format);
  };
  using enum UpstreamFormat;
  CHECK(is("text/event-stream", Sse));
  CHECK(is("Text/Event-Stream ; charset=UTF-8", Sse));
  CHECK(is("text/event-stream;charset=latin1", Sse));
  CHECK_FALSE(is("text/event-streams", Sse));
  CHECK_FALSE(is("text/plain", Sse));
  CHECK_FALSE(is("text/event-stream", Sse, 201));
  CHECK_FALSE(is("text/event-stream", Sse, 503));
  CHECK_FALSE(is("text/event-stream", Ndjson));
  CHECK(is("application/x-ndjson", Ndjson));
  CHECK(is("application/jsonl; charset=utf-8", Ndjson));
  CHECK_FALSE(is("application/json", Ndjson));
  CHECK_FALSE(is("application/x-ndjson", Sse));
  CHECK_FALSE(is_event_stream(response({}), Sse));
  CHECK(has_event_stream_type(fields_of({{"content-type", "text/event-stream"}})));
  CHECK_FALSE(has_event_stream_type({}));
}

TEST_CASE("a head that a journal kept is the head again") {
  StreamHead head;
  CHECK(parse_stream_head(serialize(head)).has_value());
  head.fields.add("Content-Type", "text/event-stream");
  head.fields.add("X-Two", "a: b");
  head.fields.add("x-two", "");
  head.cors.add("Access-Control-Allow-Origin", "https://a.example");
  head.origin = "https://a.example";
  const auto text = serialize(head);
  const auto again = parse_stream_head(text);
  REQUIRE(again.has_value());
  CHECK(again->origin == head.origin);
  CHECK(again->fields.size() == 3);
  CHECK(again->fields[1].value == "a: b");
  CHECK(again->fields[2].name == "x-two");
  CHECK(again->fields[2].value.empty());
  CHECK(again->cors.get("access-control-allow-origin") == "https://a.example");
  CHECK(serialize(*again) == text);
}

TEST_CASE("a kept head that was damaged is none") {
  StreamHead head;
  head.fields.add("Content-Type", "text/event-stream");
  head.cors.add("Access-Control-Allow-Origin", "*");
  const auto text = serialize(head);
  for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(parse_stream_head(text.substr(0, size)));
  CHECK_FALSE(parse_stream_head("no field\r\n\r\n\r\n"));
  CHECK_FALSE(parse_stream_head(": no name\r\n\r\n\r\n"));
}

}  // namespace
}  // namespace ssequel::relay
