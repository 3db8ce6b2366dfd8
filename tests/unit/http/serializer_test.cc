#include "http/serializer.h"

#include <doctest/doctest.h>

#include <string>

#include "unit/http/corpus.h"
#include "unit/http/transcript.h"

using namespace ssequel::http;
using namespace std::string_literals;

TEST_CASE("request and status lines end in CRLF and speak HTTP/1.1") {
  std::string out;
  append_request_line(out, "QUERY", "/a?b");
  append_status_line(out, 200, "OK");
  append_status_line(out, 599, "");
  CHECK(out == "QUERY /a?b HTTP/1.1\r\nHTTP/1.1 200 OK\r\nHTTP/1.1 599 \r\n");
}

TEST_CASE("a target cannot break out of its line") {
  std::string out;
  append_request_line(out, "GET", "/a b\r\nX: y#\xc3\xa9\x7f\0z"s);
  CHECK(out == "GET /a%20b%0D%0AX:%20y%23%C3%A9%7F%00z HTTP/1.1\r\n");
}

TEST_CASE("a reason that cannot stand in a line is left out") {
  std::string out;
  append_status_line(out, 200, "OK\r\nX: y");
  CHECK(out == "HTTP/1.1 200 \r\n");
}

TEST_CASE("a field with CR, LF, NUL or another control never leaves the house") {
  std::string out;
  CHECK(append_field(out, "A", "b\tc \xc3\xa9"));
  CHECK(out == "A: b\tc \xc3\xa9\r\n");
  for (int c = 0; c < 256; ++c) {
    const char octet = static_cast<char>(c);
    const bool fits = c == '\t' || (c >= 0x20 && c != 0x7f);
    CAPTURE(c);
    // At each place of a word of eight, and in the rest behind it.
    for (std::size_t at = 0; at < 11; ++at) {
      std::string value = "abcdefghijk";
      value[at] = octet;
      CHECK(is_field_value(value) == fits);
    }
    std::string ignored;
    CHECK(append_field(ignored, "A", std::string(1, octet)) == fits);
    CHECK(ignored.empty() != fits);
  }
  CHECK_FALSE(append_field(out, "", "x"));
  CHECK_FALSE(append_field(out, "A B", "x"));
  CHECK_FALSE(append_field(out, "A:", "x"));
  CHECK(out.size() == 11);
}

TEST_CASE("tokens are those of RFC 9110 §5.6.2") {
  CHECK(is_token("!#$%&'*+-.^_`|~09AZaz"));
  CHECK_FALSE(is_token(""));
  for (const char c : "()<>@,;:\\\"/[]?={} \t\x7f\x80"s) CHECK_FALSE(is_token(std::string("a") + c));
}

TEST_CASE("chunk headers are in hexadecimal without zeros in front") {
  std::string out;
  append_chunk_header(out, 1);
  append_chunk_header(out, 0xabcdef);
  append_chunk_header(out, ~0ULL);
  CHECK(out == "1\r\nabcdef\r\nffffffffffffffff\r\n");
}

TEST_CASE("a problem is a whole response that our own parser reads back") {
  const std::string bytes = problem_response(503, "no room", true, false, "Retry-After: 3\r\n");
  ResponseParser parser(ParserLimits{});
  parser.expect("GET");
  const auto read = read_message(parser, whole(bytes));
  REQUIRE(read.last == Step::Complete);
  CHECK(read.rest.empty());
  CHECK(read.content ==
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"no room\"}\n");
  CHECK(parser.head().status == 503);
  CHECK_FALSE(parser.head().keep_alive);
  CHECK(parser.head().fields.get("Retry-After") == "3");
  CHECK(parser.head().fields.get("Content-Type") == "application/problem+json");
}

TEST_CASE("a problem for HEAD is the same head alone") {
  const std::string full = problem_response(404, "x", false, false);
  const std::string head = problem_response(404, "x", false, true);
  CHECK(full.starts_with(head));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(head.find("Connection") == std::string::npos);
}

TEST_CASE("a problem's detail is escaped as JSON, whatever it holds") {
  const auto detail = [](std::string_view text) {
    const std::string bytes = problem_response(400, text, false, false);
    const auto at = bytes.find("\"detail\":") + 9;
    return bytes.substr(at, bytes.size() - at - 2);
  };
  CHECK(detail("a\"b\\c\n\x01\x7f\0"s) == R"("a\"b\\c\u000a\u0001\u007f\u0000")");
  CHECK(detail("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") == "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  const std::string unknown = "\xef\xbf\xbd";
  CHECK(detail("\xff") == "\"" + unknown + "\"");
  CHECK(detail("\xc3") == "\"" + unknown + "\"");
  CHECK(detail("\xc0\x80") == "\"" + unknown + unknown + "\"");
  CHECK(detail("\xed\xa0\x80") == "\"" + unknown + unknown + unknown + "\"");
}
