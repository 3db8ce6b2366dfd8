// What a session's client sees on the wire besides events: comments, retry lines, priming, the head, other formats of
// the upstream's, and answers in trouble.
#include <doctest/doctest.h>
#include <zlib.h>

#include <set>

#include "support/session_story.h"

using namespace ssequel;
using namespace std::chrono_literals;
using namespace ssequel::test;

namespace {

constexpr std::string_view kEventSource = "Cache-Control: no-cache\r\n";

std::string gzipped(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::uint64_t retry_of(const std::string& content) {
  REQUIRE(content.starts_with("retry: "));
  return std::strtoull(content.c_str() + 7, nullptr, 10);
}

}  // namespace

TEST_CASE("upstream comments reach connected clients as lines, and are never replayed") {
  ProxyFixture proxy(session_route());
  Session session(proxy);
  session.origin->chunk(": hello\n:x\n\n:\n");
  session.origin->chunk("data: two\n\n");
  REQUIRE(session.client.await_events(2));
  const auto tag = tag_of(session.id);
  // Never an empty line outside frames.
  CHECK(session.client.content() == "id: " + tag + "-1\ndata: one\n\n: hello\n:x\n:\nid: " + tag + "-2\ndata: two\n\n");
  auto again = proxy.resume("/events/a", tag + "-0");
  REQUIRE(again.await_events(2));
  CHECK(again.content() == "id: " + tag + "-1\ndata: one\n\nid: " + tag + "-2\ndata: two\n\n");
}

TEST_CASE("an upstream's retry is taken out of its block, goes to the client as a line, and heads later responses") {
  ProxyFixture proxy(session_route());
  Session session(proxy);
  session.origin->chunk("retry: 1234\ndata: two\n\n");
  REQUIRE(session.client.await_events(2));
  const auto tag = tag_of(session.id);
  CHECK(session.client.content() == "id: " + tag + "-1\ndata: one\n\nretry: 1234\nid: " + tag + "-2\ndata: two\n\n");
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_events(1));
  CHECK(again.content() == "retry: 1234\nid: " + tag + "-2\ndata: two\n\n");
}

TEST_CASE("the route's own retry heads each response, and with 0 not even the upstream's is passed on") {
  for (const auto retry : {5000ms, 0ms}) {
    auto route = session_route();
    route.retry = retry;
    ProxyFixture proxy(route);
    Session session(proxy, "retry: 7\ndata: one\n\n");
    if (retry == 0ms) {
      CHECK(session.client.content().find("retry") == std::string::npos);
    } else {
      CHECK(session.client.content().starts_with("retry: 5000\n"));
      CHECK(session.client.content().find("retry: 7\n") == std::string::npos);
    }
  }
}

TEST_CASE("who looks like an EventSource and has no resume point is primed with TAG-0") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a", kEventSource);
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  REQUIRE(client.await_content("\n\n"));
  const auto events = client.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].block == "id: " + tag_of(events[0].id) + "-0\n");
  // Cut before its first event, it resumes all the same.
  client.close();
  origin->chunk("data: one\n\n");
  auto again = proxy.resume("/events/a", events[0].id, kEventSource);
  REQUIRE(again.await_events(1));
  CHECK(again.events().size() == 1);
  CHECK(proxy.origin.requests() == 1);
  // Others are not: some SDKs take the block for an event.
  auto other = proxy.get_stream("/events/a");
  proxy.origin.next()->begin_stream();
  REQUIRE(other.await_head());
  proxy.settle();
  CHECK(other.content().empty());
}

TEST_CASE("prime always and never are heeded") {
  for (const auto prime : {relay::Prime::Always, relay::Prime::Never}) {
    auto route = post_route();
    route.prime = prime;
    ProxyFixture proxy(route);
    auto client = prime == relay::Prime::Always ? proxy.request(post("/events/a", "x"))
                                                : proxy.get_stream("/events/a", kEventSource);
    proxy.origin.next()->begin_stream();
    REQUIRE(client.await_head());
    proxy.settle();
    CHECK(client.content().empty() == (prime == relay::Prime::Never));
  }
}

TEST_CASE("heartbeats are single lines, and only when nothing else was sent") {
  auto route = session_route();
  route.heartbeat = 30ms;
  ProxyFixture proxy(route);
  Session session(proxy);
  REQUIRE(session.client.await_content("\n\n:\n:\n"));
  session.origin->chunk("data: two\n\n");
  REQUIRE(session.client.await_events(2));
}

TEST_CASE("the head is the upstream's own less framing, and cookies go to the opener alone") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a", "Origin: http://page.test\r\nAccept-Encoding: br\r\n");
  auto* origin = proxy.origin.next();
  CHECK(origin->request.field("Accept-Encoding") == "identity");
  CHECK(origin->request.count("Accept-Encoding") == 1);
  origin->begin_stream(
      "X-Request-Id: 7\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\nCache-Control: no-store\r\n"
      "Access-Control-Allow-Origin: http://page.test\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n",
      "text/event-stream;charset=utf-8");
  origin->chunk("data: one\n\n");
  REQUIRE(client.await_events(1));
  CHECK(client.field("Content-Type") == "text/event-stream;charset=utf-8");
  CHECK(client.field("X-Request-Id") == "7");
  CHECK(client.field("Cache-Control") == "no-store");
  CHECK(client.response().count("Set-Cookie") == 2);
  CHECK_FALSE(client.field("ETag"));
  CHECK_FALSE(client.field("X-Hop"));
  CHECK_FALSE(client.field("Keep-Alive"));
  CHECK(client.field("Access-Control-Expose-Headers") == "Ssequel-Resume");
  auto again = proxy.resume("/events/a", client.last_id(), "Origin: http://page.test\r\n");
  REQUIRE(again.await_head());
  CHECK(again.field("X-Request-Id") == "7");
  CHECK_FALSE(again.field("Set-Cookie"));
  CHECK(again.field("Access-Control-Allow-Origin") == "http://page.test");
}

TEST_CASE("each line of an ndjson upstream becomes one event, its last one without an end too") {
  auto route = session_route();
  route.upstream_format = relay::UpstreamFormat::Ndjson;
  for (const auto* type : {"application/x-ndjson", "application/jsonl; charset=utf-8"}) {
    ProxyFixture proxy(route);
    auto client = proxy.get_stream("/events/a");
    auto* origin = proxy.origin.next();
    origin->begin_stream({}, type);
    origin->chunk("{\"a\":1}\r\n\n{\"b\":");
    origin->chunk("2}\n{\"c\":3}");
    origin->end_stream();
    REQUIRE(client.await_complete());
    CHECK(client.field("Content-Type") == "text/event-stream");
    CHECK(client.data() == Strings{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"});
    auto again = proxy.resume("/events/a", tag_of(client.last_id()) + "-2");
    REQUIRE(again.await_complete());
    CHECK(again.data() == Strings{"{\"c\":3}"});
  }
}

TEST_CASE("a compressed upstream is read though we asked for none, and its events come before its end") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  const auto coded = gzipped("data: one\n\ndata: two\n\n");
  origin->begin_stream("Content-Encoding: gzip\r\n");
  origin->chunk(coded.substr(0, 5));
  origin->chunk(coded.substr(5));
  REQUIRE(client.await_events(2));
  CHECK_FALSE(client.field("Content-Encoding"));
  origin->end_stream();
  REQUIRE(client.await_complete());
  CHECK(client.data() == Strings{"one", "two"});
}

TEST_CASE("a broken content coding ends the upstream and breaks the session off") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  origin->begin_stream("Content-Encoding: gzip\r\n");
  origin->chunk("this is no gzip");
  REQUIRE(client.await_broken());
  REQUIRE(origin->await_gone());
}

TEST_CASE("a gzip stream that is cut short is broken off, though its framing ended cleanly") {
  ProxyFixture proxy(session_route());
  auto client = proxy.get_stream("/events/a");
  auto* origin = proxy.origin.next();
  const auto coded = gzipped("data: one\n\n" + std::string(3000, ':') + "\n");
  origin->begin_stream("Content-Encoding: gzip\r\n");
  origin->chunk(coded.substr(0, coded.size() - 8));
  origin->end_stream();
  REQUIRE(client.await_broken());
}

TEST_CASE("a coding that cannot be undone passes through as it is, and the log says so once") {
  ProxyFixture proxy(session_route());
  for (int i = 0; i < 2; ++i) {
    auto client = proxy.get_stream("/events/a");
    auto* origin = proxy.origin.next();
    origin->begin_stream("Content-Encoding: br\r\n");
    origin->chunk("brotli");
    REQUIRE(client.await_content("brotli"));
    CHECK(client.field("Content-Encoding") == "br");
  }
  CHECK(proxy.logger.count("content coding") == 1);
}

TEST_CASE("trouble is no answer to who accepts event streams: retry, and broken off at once") {
  ProxyFixture proxy(session_route());
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 599}) {
    auto client = proxy.get_stream("/events/a", kEventSource);
    proxy.origin.next()->answer("trouble", status);
    REQUIRE(client.await_broken());
    CHECK(client.status() == 200);
    CHECK(client.field("Content-Type") == "text/event-stream");
    const auto retry = retry_of(client.content());
    CHECK(retry >= 3000);
    CHECK(retry <= 6000);
    // An EventSource takes the line with the empty one.
    CHECK(client.content() == "retry: " + std::to_string(retry) + "\n\n");
  }
  CHECK(proxy.logger.count("status=200 ms=") == 8);
  CHECK(proxy.logger.count("cause=503") == 1);  // The true cause.
  CHECK(proxy.counters("session").trouble[static_cast<std::size_t>(relay::TroubleReason::Status)] == 8);
}

TEST_CASE("a retry in trouble is no sooner than Retry-After and at most five minutes") {
  ProxyFixture proxy(session_route());
  const auto retry_after = [&](std::string_view value) {
    auto client = proxy.get_stream("/events/a");
    proxy.origin.next()->answer("", 503, "Retry-After: " + std::string(value) + "\r\n");
    REQUIRE(client.await_broken());
    return retry_of(client.content());
  };
  CHECK(retry_after("60") >= 60'000);
  CHECK(retry_after("60") <= 66'000);
  // Below the cap they are spread, too.
  std::set<std::uint64_t> capped;
  for (int i = 0; i < 5; ++i) capped.insert(retry_after("100000"));
  capped.insert(retry_after("99999999999999999999"));
  CHECK(*capped.begin() >= 297'000);
  CHECK(*capped.rbegin() <= 300'000);
  CHECK(capped.size() > 1);
  CHECK(retry_after("299") >= 299'000);
  CHECK(retry_after("299") <= 300'000);
  CHECK(retry_after("soon") <= 6000);
}

TEST_CASE("without an upstream, an EventSource is told to come back and everybody else gets 502") {
  ProxyFixture proxy(post_route());
  proxy.origin.stop_listening();
  auto client = proxy.get_stream("/events/a", "Origin: http://page.test\r\n");
  REQUIRE(client.await_broken());
  CHECK(client.status() == 200);
  CHECK(client.field("Access-Control-Allow-Origin") == "http://page.test");
  CHECK(client.field("Access-Control-Allow-Credentials") == "true");
  auto old = proxy.request("GET /events/a HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
  REQUIRE(old.await_end());
  CHECK(old.status() == 200);
  CHECK(old.end() == RawSocket::End::Reset);
  auto by_post = proxy.request(post("/events/a", "x"));
  REQUIRE(by_post.await_complete());
  CHECK(by_post.status() == 502);
  CHECK(by_post.field("Content-Type") == "application/problem+json");
  proxy.origin.listen_again();
  Session session(proxy);
}

TEST_CASE("trouble on a route for any Accept is relayed to who did not name event streams") {
  auto route = session_route();
  route.match.accept = relay::Accept::Any;
  ProxyFixture proxy(route);
  auto client = proxy.request("GET /events/a HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.origin.next()->answer("busy", 503, "Retry-After: 9\r\n");
  REQUIRE(client.await_complete());
  CHECK(client.status() == 503);
  CHECK(client.content() == "busy");
  CHECK(client.field("Retry-After") == "9");
}

TEST_CASE("final answers are relayed to an EventSource") {
  ProxyFixture proxy(session_route());
  for (const int status : {204, 301, 401, 403, 404, 410}) {
    auto client = proxy.get_stream("/events/a", kEventSource);
    auto* origin = proxy.origin.next();
    if (status == 204) {
      origin->send("HTTP/1.1 204 No Content\r\n\r\n");
    } else {
      origin->answer("said", status, "Location: /x\r\n");
    }
    REQUIRE(client.await_complete());
    CHECK(client.status() == status);
  }
}

TEST_CASE("an event over event_bytes still takes its id: the log holds sync-required, dropped, in its place") {
  auto route = session_route();
  route.event_bytes = 1000;
  ProxyFixture proxy(route);
  Session session(proxy, "data: one\n\n");
  session.origin->chunk("id: big\ndata: " + std::string(2000, 'x') + "\n\ndata: three\n\n");
  REQUIRE(session.client.await_events(3));
  const auto events = session.client.events();
  CHECK(events[1].event == "sync-required");
  CHECK(events[1].data == "{\"reason\":\"dropped\",\"requested\":null,\"oldest\":\"" + session.id + "\",\"newest\":\"" +
                              session.id + "\"}");
  CHECK(events[1].id.starts_with(tag_of(session.id) + "-2-"));
  CHECK(events[2].id.starts_with(tag_of(session.id) + "-3-"));
  // The same bytes for everyone.
  auto again = proxy.resume("/events/a", session.id);
  REQUIRE(again.await_events(2));
  CHECK(again.events()[0].block == events[1].block);
}
