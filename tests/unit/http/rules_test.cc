// The rules on their own, without llhttp behind them: each has to refuse by itself.
#include "http/rules.h"

#include <doctest/doctest.h>

#include <string>

#include "unit/http/transcript.h"

using namespace ssequel::http;

namespace {

RequestHead request(std::initializer_list<Field> fields, int minor_version = 1) {
  RequestHead head;
  head.minor_version = minor_version;
  head.method = "POST";
  if (minor_version == 1) head.fields.add("Host", "a");
  for (const auto& field : fields) head.fields.add(field.name, field.value);
  return head;
}

std::string framing_of(std::initializer_list<Field> fields, int minor_version = 1) {
  RequestHead head = request(fields, minor_version);
  const Refusal refusal = finish_request(head);
  return refusal ? std::to_string(refusal.status) : describe(head.framing);
}

int field_line(std::string_view line) {
  Field field;
  return parse_field_line(line, field).status;
}

int chunk_line(std::string_view line) {
  std::uint64_t size = 0;
  std::size_t extension_bytes = 0;
  return parse_chunk_line(line, size, extension_bytes).status;
}

}  // namespace

TEST_CASE("a request's framing has one reading or none") {
  CHECK(framing_of({}) == "none");
  CHECK(framing_of({{"Content-Length", "5"}}) == "length 5");
  CHECK(framing_of({{"Content-Length", "0"}}) == "length 0");
  CHECK(framing_of({{"Content-Length", "9223372036854775807"}}) == "length 9223372036854775807");
  CHECK(framing_of({{"transfer-encoding", "Chunked"}}) == "chunked");
  CHECK(framing_of({{"Content-Length", "9223372036854775808"}}) == "400");
  CHECK(framing_of({{"Content-Length", "99999999999999999999"}}) == "400");
  CHECK(framing_of({{"Content-Length", "5"}, {"content-length", "5"}}) == "400");
  CHECK(framing_of({{"Content-Length", "5,5"}}) == "400");
  CHECK(framing_of({{"Content-Length", "00"}}) == "400");
  CHECK(framing_of({{"Content-Length", ""}}) == "400");
  CHECK(framing_of({{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}) == "400");
  CHECK(framing_of({{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}) == "400");
  CHECK(framing_of({{"Transfer-Encoding", "gzip, chunked"}}) == "400");
  CHECK(framing_of({{"Transfer-Encoding", ""}}) == "400");
  CHECK(framing_of({{"Transfer-Encoding", "chunked"}}, 0) == "400");
}

TEST_CASE("a response's framing is refused by the same rules, content or not") {
  ResponseHead head;
  head.status = 304;
  head.fields.add("Content-Length", "5");
  Framing declared;
  CHECK_FALSE(finish_response(head, {}, declared));
  CHECK(describe(declared) == "length 5");
  CHECK(describe(head.framing) == "none");
  head.fields.add("Transfer-Encoding", "chunked");
  CHECK(finish_response(head, {}, declared).status == 400);
}

TEST_CASE("a request wants exactly one well-formed Host") {
  RequestHead none;
  CHECK(finish_request(none).status == 400);
  RequestHead two = request({{"Host", "a"}});
  CHECK(finish_request(two).status == 400);
  RequestHead old;
  old.minor_version = 0;
  CHECK_FALSE(finish_request(old));
  for (const char* host : {"a", "a:1", "a:", "1.2.3.4:65535", "[::1]:80", "a_b", "x%20y", "a.", "[v1.a:b]"}) {
    RequestHead head;
    head.fields.add("host", host);
    CAPTURE(host);
    CHECK_FALSE(finish_request(head));
    CHECK(head.host == host);
  }
  for (const char* host : {"", ":80", "a b", "a/b", "a?b", "a#b", "a@b", "[::1", "[]", "::1", "a:65536", "a:-1",
                           "a:8 0", "a%2", "a%gg", "[::1]a", "[::1%25en0]", "a\\b", "<a>"}) {
    RequestHead head;
    head.fields.add("host", host);
    CAPTURE(host);
    CHECK(finish_request(head).status == 400);
  }
}

TEST_CASE("a field line is a token, a colon, and text without controls") {
  Field field;
  CHECK_FALSE(parse_field_line("A-b: \t x y \t", field));
  CHECK(field.name == "A-b");
  CHECK(field.value == "x y");
  CHECK_FALSE(parse_field_line("A:", field));
  CHECK(field.value == "");
  for (const char* line : {"", ":", ": x", "A", " A: x", "\tA: x", "A : x", "A\t: x", "A b: x", "A\r: x", "A: x\ry",
                           "A: x\x7f", "A: \x01", "\"A\": x", "\xc3\xa4: x"}) {
    CAPTURE(line);
    CHECK(field_line(line) == 400);
  }
}

TEST_CASE("a request line is three words, each one space apart") {
  RequestHead head;
  CHECK_FALSE(parse_request_line("QUERY /a HTTP/1.0", 100, head));
  CHECK(head.method == "QUERY");
  CHECK(head.target == "/a");
  CHECK(head.minor_version == 0);
  CHECK(parse_request_line("GET /a HTTP/1.1", 1, head).status == 414);
  CHECK_FALSE(parse_request_line("GET / HTTP/1.2", 100, head));
  CHECK(head.minor_version == 1);
  CHECK(parse_request_line("GET / HTTP/3.1", 100, head).status == 505);
  for (const char* line : {"", " ", "GET", "GET ", "GET /", "GET / ", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
                           "GET / HTTP/1.1 ", "GET / HTTP/1.1\r", " GET / HTTP/1.1", "GET /\t HTTP/1.1"}) {
    CAPTURE(line);
    CHECK(parse_request_line(line, 100, head).status == 400);
  }
}

TEST_CASE("every octet but visible ASCII is refused in a target, wherever it stands") {
  for (int c = 0; c < 256; ++c) {
    const bool fits = c > 0x20 && c < 0x7f && c != '#';
    for (std::size_t at = 1; at < 20; ++at) {
      std::string target = "/abcdefghijklmnopqrs";
      target[at] = static_cast<char>(c);
      RequestHead head;
      CAPTURE(c);
      CHECK(static_cast<bool>(parse_request_line("GET " + target + " HTTP/1.1", 100, head)) != fits);
    }
  }
}

TEST_CASE("a chunk's line is a size of at most 63 bits and well-formed extensions") {
  std::uint64_t size = 0;
  std::size_t extension_bytes = 0;
  CHECK_FALSE(parse_chunk_line("7fffffffffffffff;a=b", size, extension_bytes));
  CHECK(size == 0x7fffffffffffffff);
  CHECK(extension_bytes == 4);
  CHECK_FALSE(parse_chunk_line("0", size, extension_bytes));
  CHECK(size == 0);
  CHECK(extension_bytes == 0);
  for (const char* line : {"1;a", "1;a=b;c", "1;a=\"\"", "1;a=\";=\\\"\\\\ \";b", "FfAa09"}) {
    CAPTURE(line);
    CHECK(chunk_line(line) == 0);
  }
  for (const char* line : {"",
                           " 1",
                           "1 ",
                           "+1",
                           "-1",
                           "0x1",
                           "g",
                           "8000000000000000",
                           "10000000000000000",
                           "00000000000000001",
                           "1;",
                           "1;;a",
                           "1;a=",
                           "1;=b",
                           "1; a",
                           "1;a =b",
                           "1;a=\"",
                           "1;a=\"b",
                           "1;a=\"b\\",
                           "1;a=\"b\\\"",
                           "1;a=\"b\"c",
                           "1;a=\"\x01\"",
                           "1;a\r",
                           "1,a"}) {
    CAPTURE(line);
    CHECK(chunk_line(line) == 400);
  }
}

TEST_CASE("trailers must not hold what belongs into the head") {
  for (const char* name : {"Content-Length", "TRANSFER-ENCODING", "host", "Connection", "te", "Upgrade", "Expect"}) {
    Fields trailers;
    trailers.add("X-Sum", "1");
    trailers.add(name, "x");
    CAPTURE(name);
    CHECK(check_trailers(trailers).status == 400);
  }
  Fields trailers;
  trailers.add("ETag", "x");
  CHECK_FALSE(check_trailers(trailers));
}
