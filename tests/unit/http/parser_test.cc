#include "http/parser.h"

#include <doctest/doctest.h>

#include <string>

#include "unit/http/corpus.h"
#include "unit/http/transcript.h"

using namespace ssequel::http;

namespace {

const ParserLimits kDefaults;

Transcript request(const std::vector<std::string_view>& pieces, const ParserLimits& limits = kDefaults) {
  RequestParser parser(limits);
  return read_message(parser, pieces);
}

Transcript response(const std::vector<std::string_view>& pieces, const corpus::Response& message) {
  ResponseParser parser(kDefaults);
  parser.expect(message.method);
  Transcript out = read_message(parser, pieces);
  if (message.ends && out.last == Step::NeedMore) out.last = parser.end();
  return out;
}

// What it is read as must not depend on where the network cut it.
template <class Read>
void check_every_split(std::string_view bytes, const Transcript& expected, Read read) {
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    CAPTURE(at);
    CHECK(read(split_at(bytes, at)) == expected);
  }
  CHECK(read(byte_by_byte(bytes)) == expected);
}

RequestHead head_of(std::string_view bytes) {
  RequestParser parser(kDefaults);
  std::string_view input = bytes;
  REQUIRE(parser.step(input) == Step::Head);
  return std::move(parser.head());
}

ResponseHead response_head_of(std::string_view bytes, std::string_view method = "GET") {
  ResponseParser parser(kDefaults);
  parser.expect(method);
  std::string_view input = bytes;
  REQUIRE(parser.step(input) == Step::Head);
  return std::move(parser.head());
}

int status_of(std::string_view bytes, const ParserLimits& limits) {
  const Transcript read = request(whole(bytes), limits);
  check_every_split(bytes, read, [&](const auto& pieces) { return request(pieces, limits); });
  return read.status;
}

}  // namespace

TEST_CASE("each request of the corpus is accepted or refused as the table says, however it is cut") {
  for (const auto& message : corpus::requests()) {
    CAPTURE(message.name);
    const Transcript read = request(whole(message.bytes));
    CAPTURE(read.reason);
    CHECK(read.status == message.status);
    if (message.status == 0) {
      CHECK(read.last == Step::Complete);
      CHECK(read.content == message.content);
      CHECK(read.rest == message.rest);
    }
    check_every_split(message.bytes, read, [](const auto& pieces) { return request(pieces); });
  }
}

TEST_CASE("each response of the corpus is accepted or refused as the table says, however it is cut") {
  for (const auto& message : corpus::responses()) {
    CAPTURE(message.name);
    const Transcript read = response(whole(message.bytes), message);
    CAPTURE(read.reason);
    CHECK((read.last == Step::Complete) == message.is_accepted);
    if (message.is_accepted) {
      CHECK(read.content == message.content);
      CHECK(read.rest == message.rest);
    } else {
      CHECK(read.last == Step::Failed);
    }
    if (read.status != 0) CHECK(read.status == 502);
    check_every_split(message.bytes, read, [&](const auto& pieces) { return response(pieces, message); });
  }
}

TEST_CASE("a request head keeps order, case and duplicates of its fields") {
  const auto read = request(whole(corpus::get("b: 1\r\nA:2\r\nB: 3 \r\n")));
  CHECK(read.steps ==
        "GET / 1.1 host=example.test form=/ path=/ query= none keep=true continue=false upgrade=false "
        "[Host]=[example.test] [b]=[1] [A]=[2] [B]=[3] \n");
}

TEST_CASE("a target's path and query are raw") {
  const auto head = head_of(corpus::line("GET /a%2f//b?c=%zz?d HTTP/1.1"));
  CHECK(head.path() == "/a%2f//b");
  CHECK(head.query() == "c=%zz?d");
  CHECK(head_of(corpus::line("GET /? HTTP/1.1")).query() == "");
}

TEST_CASE("absolute-form gives the host, also to the Host field") {
  const auto head = head_of(corpus::line("GET http://other.test:81/p?q HTTP/1.1"));
  CHECK(head.target == "http://other.test:81/p?q");
  CHECK(head.host == "other.test:81");
  CHECK(head.origin_form == "/p?q");
  CHECK(head.fields.get("host") == "other.test:81");
  CHECK(head.fields.count("host") == 1);
  CHECK(head_of(corpus::line("GET http://a?q HTTP/1.1")).origin_form == "/?q");
  CHECK(head_of(corpus::line("GET http://a HTTP/1.1")).origin_form == "/");
  CHECK(head_of(corpus::line("OPTIONS http://a HTTP/1.1")).origin_form == "*");
  CHECK(head_of(corpus::line("OPTIONS * HTTP/1.1")).path() == "*");
  CHECK(head_of("GET http://a/ HTTP/1.0\r\n\r\n").fields.get("Host") == "a");
}

TEST_CASE("methods are case-sensitive tokens, known to llhttp or not") {
  CHECK(head_of(corpus::line("get / HTTP/1.1")).method == "get");
  CHECK(head_of(corpus::line("QUERY /x HTTP/1.1")).method == "QUERY");
  const auto head = head_of(corpus::line("CONNECT a:443 HTTP/1.1"));
  CHECK(head.method == "CONNECT");
  CHECK(head.target == "a:443");
  CHECK(head.path() == "");
}

TEST_CASE("persistence is as RFC 9112 §9.3 says") {
  CHECK(head_of(corpus::get("")).keep_alive);
  CHECK_FALSE(head_of(corpus::get("Connection: CLOSE\r\n")).keep_alive);
  CHECK_FALSE(head_of(corpus::get("Connection: x\r\nConnection: keep-alive, close\r\n")).keep_alive);
  CHECK(head_of(corpus::get("Connection: closed\r\n")).keep_alive);
  CHECK_FALSE(head_of("GET / HTTP/1.0\r\n\r\n").keep_alive);
  CHECK(head_of("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  CHECK_FALSE(head_of("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

TEST_CASE("100-continue is expected by HTTP/1.1 requests with content only") {
  CHECK(head_of(corpus::post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x")).expects_continue);
  CHECK(head_of(corpus::post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "")).expects_continue);
  CHECK_FALSE(head_of(corpus::post("Expect: 100-continue\r\nContent-Length: 0\r\n", "")).expects_continue);
  CHECK_FALSE(head_of(corpus::get("Expect: 100-continue\r\n")).expects_continue);
  CHECK_FALSE(head_of(corpus::post("Expect: other\r\nContent-Length: 1\r\n", "x")).expects_continue);
  CHECK_FALSE(head_of("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx").expects_continue);
}

TEST_CASE("an upgrade is one that the Connection field names, and never h2c") {
  CHECK(head_of(corpus::get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")).is_upgrade);
  CHECK_FALSE(head_of(corpus::get("Upgrade: websocket\r\n")).is_upgrade);
  CHECK_FALSE(head_of(corpus::get("Connection: upgrade\r\n")).is_upgrade);
  CHECK_FALSE(head_of(corpus::get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\n")).is_upgrade);
  CHECK_FALSE(head_of(corpus::get("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n")).is_upgrade);
  CHECK_FALSE(head_of("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").is_upgrade);
}

TEST_CASE("responses tell how they are delimited and whether the connection lives on") {
  const auto length = response_head_of(corpus::ok("Content-Length: 5\r\n"));
  CHECK(length.framing.kind == Framing::Kind::Length);
  CHECK(length.framing.length == 5);
  CHECK(length.keep_alive);
  CHECK(response_head_of(corpus::ok("Transfer-Encoding: chunked\r\n")).framing.kind == Framing::Kind::Chunked);
  CHECK_FALSE(response_head_of(corpus::ok("Connection: close\r\nContent-Length: 0\r\n")).keep_alive);

  const auto until_close = response_head_of(corpus::ok(""));
  CHECK(until_close.framing.kind == Framing::Kind::UntilClose);
  CHECK_FALSE(until_close.keep_alive);
  CHECK(response_head_of(corpus::ok(""), "HEAD").framing.kind == Framing::Kind::None);
  CHECK(response_head_of(corpus::ok(""), "HEAD").keep_alive);
  CHECK(response_head_of("HTTP/1.1 204 \r\n\r\n").keep_alive);
  CHECK_FALSE(response_head_of("HTTP/1.1 101 \r\nUpgrade: x\r\n\r\n").keep_alive);
  CHECK_FALSE(response_head_of("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").keep_alive);
  CHECK(response_head_of("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n").keep_alive);
}

TEST_CASE("interim responses come as heads of their own") {
  const std::string bytes = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + corpus::ok("Content-Length: 0\r\n");
  ResponseParser parser(kDefaults);
  parser.expect("GET");
  const auto read = read_message(parser, whole(bytes));
  CHECK(read.steps ==
        "103 Early Hints 1.1 none keep=true [Link]=[a] \n"
        "200 OK 1.1 length 0 keep=true [Content-Length]=[0] \n");
}

TEST_CASE("trailers come behind the content, in both directions") {
  const auto read = request(whole(corpus::chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n")));
  CHECK(read.steps.ends_with("\ntrailers [X-Sum]=[1] [x-sum]=[2] "));
  const corpus::Response message{"", corpus::ok_chunked("0\r\nX-Sum: 1\r\n\r\n")};
  CHECK(response(whole(message.bytes), message).steps.ends_with("\ntrailers [X-Sum]=[1] "));
}

TEST_CASE("pipelined requests are read one after another") {
  const std::string bytes = corpus::get("A: 1\r\n") + corpus::post("Content-Length: 2\r\n", "ok") +
                            corpus::chunked("1\r\nx\r\n0\r\nT: 1\r\n\r\n") + "\r\n" + corpus::get("B: 2\r\n");
  RequestParser parser(kDefaults);
  std::string_view input = bytes;
  std::vector<std::string> seen;
  for (Step step = parser.step(input); step != Step::NeedMore; step = parser.step(input)) {
    REQUIRE(step != Step::Failed);
    if (step == Step::Head && parser.head().fields.has("B")) CHECK(parser.head().fields.count("A") == 0);
    if (step == Step::Head) seen.push_back(parser.head().method);
    if (step == Step::Content) seen.emplace_back(parser.content());
    if (step == Step::Complete) {
      CHECK(parser.step(input) == Step::Complete);  // Nothing more before reset().
      parser.reset();
      CHECK(parser.is_idle());
    }
  }
  CHECK(input.empty());
  CHECK(seen == std::vector<std::string>{"GET", "POST", "ok", "POST", "x", "GET"});
  CHECK(parser.trailers().empty());
}

TEST_CASE("a head that was moved away leaves a parser that goes on") {
  RequestParser parser(kDefaults);
  const std::string bytes = corpus::get("A: a value that is too long for a small string\r\n");
  for (int i = 0; i < 3; ++i) {
    std::string_view input = bytes;
    REQUIRE(parser.step(input) == Step::Head);
    const RequestHead taken = std::move(parser.head());
    CHECK(taken.fields.size() == 2);
    CHECK(taken.fields.bytes() > 40);
    REQUIRE(parser.step(input) == Step::Complete);
    parser.reset();
  }
}

TEST_CASE("between requests the parser is idle, empty lines or not") {
  RequestParser parser(kDefaults);
  CHECK(parser.is_idle());
  std::string_view input = "\r\n\r";
  CHECK(parser.step(input) == Step::NeedMore);
  CHECK(parser.is_idle());
  input = "\nG";
  CHECK(parser.step(input) == Step::NeedMore);
  CHECK_FALSE(parser.is_idle());
}

TEST_CASE("content is a view of the input, never a copy") {
  RequestParser parser(kDefaults);
  const std::string bytes = corpus::chunked("5\r\nhello\r\n0\r\n\r\n");
  std::string_view input = bytes;
  REQUIRE(parser.step(input) == Step::Head);
  REQUIRE(parser.step(input) == Step::Content);
  CHECK(parser.content().data() == bytes.data() + bytes.find("hello"));
  CHECK(parser.content().size() == 5);
}

TEST_CASE("after a failure nothing is parsed any more") {
  RequestParser parser(kDefaults);
  std::string_view input = "GET / HTTP/3.0\r\n";
  CHECK(parser.step(input) == Step::Failed);
  parser.reset();
  const std::string good = corpus::get("");
  input = good;
  CHECK(parser.step(input) == Step::Failed);
  CHECK(input == good);
  CHECK(parser.error().status == 505);
}

TEST_CASE("a head may fill header_bytes and not a byte more") {
  const ParserLimits limits{.header_bytes = 100, .target_bytes = 50};
  const std::string fits = corpus::get("A: " + std::string(100 - corpus::get("A: \r\n").size(), 'a') + "\r\n");
  REQUIRE(fits.size() == 100);
  CHECK(status_of(fits, limits) == 0);
  CHECK(status_of(corpus::get("A: " + std::string(101 - corpus::get("A: \r\n").size(), 'a') + "\r\n"), limits) == 431);
  CHECK(status_of(corpus::get("A: " + std::string(300, 'a')), limits) == 431);
  CHECK(status_of(std::string(150, 'A'), limits) == 431);
  // Empty lines before it do not count.
  CHECK(status_of("\r\n\r\n" + fits, limits) == 0);
}

TEST_CASE("the limit of a head holds for every request of a connection anew") {
  const ParserLimits limits{.header_bytes = 100, .target_bytes = 50};
  RequestParser parser(limits);
  const std::string bytes = corpus::get("A: " + std::string(30, 'a') + "\r\n");
  for (int i = 0; i < 5; ++i) {
    std::string_view input = bytes;
    REQUIRE(parser.step(input) == Step::Head);
    REQUIRE(parser.step(input) == Step::Complete);
    parser.reset();
  }
}

TEST_CASE("a target may fill target_bytes and not a byte more") {
  const ParserLimits limits{.header_bytes = 200, .target_bytes = 50};
  CHECK(status_of(corpus::line("GET /" + std::string(49, 'a') + " HTTP/1.1"), limits) == 0);
  CHECK(status_of(corpus::line("GET /" + std::string(50, 'a') + " HTTP/1.1"), limits) == 414);
  CHECK(status_of(corpus::line("GET /" + std::string(500, 'a') + " HTTP/1.1"), limits) == 414);
}

TEST_CASE("a section has at most so many fields") {
  const ParserLimits limits{.fields = 3};
  CHECK(status_of(corpus::get("A: 1\r\nB: 2\r\n"), limits) == 0);
  CHECK(status_of(corpus::get("A: 1\r\nB: 2\r\nC: 3\r\n"), limits) == 431);
  CHECK(status_of(corpus::chunked("0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"), limits) == 0);
  CHECK(status_of(corpus::chunked("0\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"), limits) == 431);
}

TEST_CASE("trailers have header_bytes of their own") {
  const ParserLimits limits{.header_bytes = 120, .target_bytes = 50};
  CHECK(status_of(corpus::chunked("0\r\nA: " + std::string(113, 'a') + "\r\n\r\n"), limits) == 0);
  CHECK(status_of(corpus::chunked("0\r\nA: " + std::string(114, 'a') + "\r\n\r\n"), limits) == 431);
}

TEST_CASE("chunk extensions are counted over the whole message") {
  const ParserLimits limits{.chunk_extension_bytes = 6};
  CHECK(status_of(corpus::chunked("1;ab\r\nx\r\n1;cd\r\ny\r\n0\r\n\r\n"), limits) == 0);
  CHECK(status_of(corpus::chunked("1;ab\r\nx\r\n1;cde\r\ny\r\n0\r\n\r\n"), limits) == 400);
  CHECK(status_of(corpus::chunked("1;abcdefghijklmnopqrstuvwxyz0123456789\r\nx\r\n0\r\n\r\n"), limits) == 400);
  CHECK(status_of(corpus::chunked("1;" + std::string(100, 'a')), limits) == 400);
}

TEST_CASE("a response that nobody asked for fails") {
  ResponseParser parser(kDefaults);
  std::string_view input;
  CHECK(parser.step(input) == Step::NeedMore);
  const std::string bytes = corpus::ok("Content-Length: 0\r\n");
  input = bytes;
  CHECK(parser.step(input) == Step::Failed);
  CHECK(parser.error().status == 502);
}

TEST_CASE("one connection carries several responses, each to its own request") {
  ResponseParser parser(kDefaults);
  const std::string bytes = corpus::ok("Content-Length: 5\r\n") + corpus::ok_chunked("1\r\nx\r\n0\r\nT: 1\r\n\r\n") +
                            "HTTP/1.1 304 Not Modified\r\n\r\n";
  std::string_view input = bytes;
  parser.expect("HEAD");
  CHECK(parser.step(input) == Step::Head);
  CHECK(parser.step(input) == Step::Complete);
  CHECK(parser.end() == Step::NeedMore);
  parser.expect("GET");
  CHECK(parser.step(input) == Step::Head);
  CHECK(parser.head().fields.size() == 1);
  CHECK(parser.step(input) == Step::Content);
  CHECK(parser.step(input) == Step::Trailers);
  CHECK(parser.step(input) == Step::Complete);
  parser.expect("GET");
  CHECK(parser.step(input) == Step::Head);
  CHECK(parser.step(input) == Step::Complete);
  CHECK(input.empty());
}

TEST_CASE("an end before the first byte of a response is nobody's fault") {
  ResponseParser parser(kDefaults);
  CHECK(parser.end() == Step::NeedMore);
  parser.expect("GET");
  CHECK(parser.end() == Step::NeedMore);
  std::string_view input = "H";
  CHECK(parser.step(input) == Step::NeedMore);
  CHECK(parser.end() == Step::Failed);
  CHECK(parser.end() == Step::Failed);
}

TEST_CASE("content of many chunks and gigabytes is counted right") {
  ResponseParser parser(kDefaults);
  parser.expect("GET");
  const std::string head = corpus::ok("Content-Length: 6442450944\r\n");
  std::string_view input = head;
  REQUIRE(parser.step(input) == Step::Head);
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < 6144; ++i) {
    input = megabyte;
    REQUIRE(parser.step(input) == Step::Content);
    REQUIRE(parser.content().size() == megabyte.size());
  }
  CHECK(parser.step(input) == Step::Complete);
}
