// Raw messages and what has to become of them, on every llhttp. One table for the parsers' tests and for any test of
// the whole proxy. Limits are at their defaults.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ssequel::http::corpus {

struct Request {
  std::string name;
  std::string bytes;
  int status = 0;       // 0: accepted; else what it is answered with.
  std::string content;  // If accepted: the content without transfer coding.
  std::string rest;     // If accepted: the bytes behind the message.
};

struct Response {
  std::string name;
  std::string bytes;
  bool is_accepted = true;
  std::string content;
  std::string rest;
  std::string method = "GET";  // What it answers.
  bool ends = false;           // The connection ends behind the bytes.
};

inline std::string get(std::string_view fields) {
  return std::string("GET / HTTP/1.1\r\nHost: example.test\r\n").append(fields).append("\r\n");
}
inline std::string post(std::string_view fields, std::string_view content) {
  return std::string("POST /in HTTP/1.1\r\nHost: example.test\r\n").append(fields).append("\r\n").append(content);
}
inline std::string chunked(std::string_view content) { return post("Transfer-Encoding: chunked\r\n", content); }
inline std::string line(std::string_view request_line) {
  return std::string(request_line).append("\r\nHost: example.test\r\n\r\n");
}
inline std::string ok(std::string_view fields, std::string_view content = {}) {
  return std::string("HTTP/1.1 200 OK\r\n").append(fields).append("\r\n").append(content);
}
inline std::string ok_chunked(std::string_view content) { return ok("Transfer-Encoding: chunked\r\n", content); }

inline std::vector<Request> requests() {
  using namespace std::string_literals;
  return {
      // What has to work.
      {"plain GET", get("")},
      {"leading empty lines", "\r\n\r\n" + get("")},
      {"two requests in a row", get("") + get(""), 0, "", get("")},
      {"every kind of optional white space", get("A:b\r\nC: \t d \t \r\nE:\r\nF: \r\n")},
      {"obs-text and HTAB in a value", get("A: caf\xc3\xa9\tx\r\n")},
      {"all token characters in a name", get("!#$%&'*+-.^_`|~09azAZ: x\r\n")},
      {"HTTP/1.2", line("GET / HTTP/1.2")},
      {"HTTP/1.9 with content", "POST / HTTP/1.9\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
       0, "ok"},
      {"query and odd but visible characters", line("GET /a%zz?b=c&d[]={e}|\"<>\\^`;:@ HTTP/1.1")},
      {"two slashes and dots", line("GET //a/../b%2f HTTP/1.1")},
      {"Content-Length", post("Content-Length: 5\r\n", "hello"), 0, "hello"},
      {"Content-Length and more behind", post("content-LENGTH:5\r\n", "helloGET"), 0, "hello", "GET"},
      {"Content-Length 0", post("Content-Length: 0\r\n", "x"), 0, "", "x"},
      {"GET with content", get("Content-Length: 2\r\n") + "ok", 0, "ok"},
      {"chunked", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), 0, "hello world"},
      {"chunked and more behind", chunked("1\r\nx\r\n0\r\n\r\nGET"), 0, "x", "GET"},
      {"chunked, spelt otherwise", post("TRANSFER-encoding: \tChunKed \r\n", "0\r\n\r\n"), 0, ""},
      {"chunk sizes in every spelling", chunked("00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"), 0,
       "01234567890123456789"},
      {"a chunk that holds CRLF and a chunk", chunked("c\r\n\r\n0\r\n\r\nGET /\r\n0\r\n\r\n"), 0, "\r\n0\r\n\r\nGET /"},
      {"chunk extensions", chunked("2;a\r\nhi\r\n1;a=b;c=d\r\n!\r\n0;q=\"a;\\\"\tb\"\r\n\r\n"), 0, "hi!"},
      {"trailers", chunked("2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Other:2\r\n\r\nrest"), 0, "hi", "rest"},
      {"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
      {"HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"},
      {"HTTP/1.0 with content", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok", 0, "ok"},
      {"Connection: close with more behind", get("Connection: close\r\n") + "more", 0, "", "more"},
      {"QUERY", "QUERY /q HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 0, "x"},
      {"an unheard-of method", line("M-ake.IT_so! /q HTTP/1.1")},
      {"a method in lower case is another method", line("get / HTTP/1.1")},
      {"an unheard-of method with chunks",
       "FROB / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0, "x"},
      {"OPTIONS *", line("OPTIONS * HTTP/1.1")},
      {"absolute-form", line("GET http://other.test:8080/p?q HTTP/1.1")},
      {"absolute-form without a path", line("GET http://other.test HTTP/1.1")},
      {"absolute-form with a query only", line("GET HTTP://other.test?q HTTP/1.1")},
      {"absolute-form with an IPv6 host", line("GET http://[::1]:80/ HTTP/1.1")},
      {"TRACE parses", line("TRACE / HTTP/1.1")},
      {"CONNECT parses", line("CONNECT example.test:443 HTTP/1.1")},
      {"CONNECT with an IPv6 host", line("CONNECT [::1]:443 HTTP/1.1")},
      {"upgrade", get("Connection: Upgrade\r\nUpgrade: websocket\r\n") + "\x81\x05hello", 0, "", "\x81\x05hello"},
      {"upgrade with content", post("Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n", "okmore"), 0, "ok",
       "more"},
      {"upgrade with chunks",
       post("Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\nmore"), 0, "x",
       "more"},
      {"Host with a port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n"},
      {"Host with an IPv6 address", "GET / HTTP/1.1\r\nhost: [2001:db8::1]:80\r\n\r\n"},
      {"Host with underscores and escapes", "GET / HTTP/1.1\r\nHost: my_service.a%2db:\r\n\r\n"},

      // Two readings of the framing (RFC 9112 §6.3, §11.2).
      {"Content-Length and Transfer-Encoding",
       post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"), 400},
      {"Transfer-Encoding and Content-Length",
       post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"), 400},
      {"two Content-Lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400},
      {"two Content-Lengths that are equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"Content-Length list", post("Content-Length: 5, 5\r\n", "hello"), 400},
      {"Content-Length list without space", post("Content-Length: 5,5\r\n", "hello"), 400},
      {"Content-Length +5", post("Content-Length: +5\r\n", "hello"), 400},
      {"Content-Length -5", post("Content-Length: -5\r\n", "hello"), 400},
      {"Content-Length 0x5", post("Content-Length: 0x5\r\n", "hello"), 400},
      {"Content-Length 05", post("Content-Length: 05\r\n", "hello"), 400},
      {"Content-Length 5.0", post("Content-Length: 5.0\r\n", "hello"), 400},
      {"Content-Length 5 5", post("Content-Length: 5 5\r\n", "hello"), 400},
      {"Content-Length \"5\"", post("Content-Length: \"5\"\r\n", "hello"), 400},
      {"Content-Length empty", post("Content-Length:\r\n", ""), 400},
      {"Content-Length of blanks", post("Content-Length:   \r\n", ""), 400},
      {"Content-Length 2^63", post("Content-Length: 9223372036854775808\r\n", ""), 400},
      {"Content-Length 2^64", post("Content-Length: 18446744073709551616\r\n", ""), 400},
      {"Content-Length 2^64 + 5", post("Content-Length: 18446744073709551621\r\n", "hello"), 400},
      {"Transfer-Encoding gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding gzip", post("Transfer-Encoding: gzip\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding identity", post("Transfer-Encoding: identity\r\n", ""), 400},
      {"Transfer-Encoding identity, chunked", post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding chunked twice",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding gzip and chunked in two lines",
       post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding chunked;ext", post("Transfer-Encoding: chunked;ext=1\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding ,chunked", post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding \"chunked\"", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding empty", post("Transfer-Encoding:\r\n", ""), 400},
      {"Transfer-Encoding with a vertical tab", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding behind a blank name", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding behind a tab", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding in the next line", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
      {"Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"a folded Content-Length", get("A: b\r\n Content-Length: 5\r\n") + "hello", 400},
      {"a Content-Length folded with a tab", get("A: b\r\n\tContent-Length: 5\r\n") + "hello", 400},
      {"a bare CR before Transfer-Encoding", post("X-Abc:\rxTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"an empty line, a bare CR, and a field", "GET / HTTP/1.1\r\nHost: a\r\n\rTransfer-Encoding: chunked\r\n\r\n",
       400},

      // Lines (RFC 9112 §2.2, §5).
      {"obs-fold", get("A: b\r\n c\r\n"), 400},
      {"obs-fold of nothing", get("A: b\r\n \r\n"), 400},
      {"a space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"a space before the request line", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"space before the colon", get("A : b\r\n"), 400},
      {"tab before the colon", get("A\t: b\r\n"), 400},
      {"space in a name", get("A B: c\r\n"), 400},
      {"empty name", get(": b\r\n"), 400},
      {"no colon", get("Abc\r\n"), 400},
      {"a name in quotes", get("\"A\": b\r\n"), 400},
      {"a name beyond ASCII", get("\xc3\xa4: b\r\n"), 400},
      {"NUL in a value", get("A: b\0c\r\n"s), 400},
      {"NUL in a name", get("A\0: b\r\n"s), 400},
      {"NUL in the target", line("GET /a\0b HTTP/1.1"s), 400},
      {"a control in a value",
       get("A: b\x01"
           "c\r\n"),
       400},
      {"DEL in a value", get("A: b\x7f\r\n"), 400},
      {"escape in a value of eight and more", get("A: 0123456789\x1b[31m0123456789\r\n"), 400},
      {"bare CR in a value", get("A: b\rc\r\n"), 400},
      {"bare CR at the end of a value", get("A: b\r\r\n"), 400},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", 400},
      {"bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"many empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n" + get(""), 400},

      // Request lines (RFC 9112 §3).
      {"two spaces before the target", line("GET  / HTTP/1.1"), 400},
      {"two spaces behind the target", line("GET /  HTTP/1.1"), 400},
      {"a tab for a space", line("GET\t/ HTTP/1.1"), 400},
      {"a space at the end", line("GET / HTTP/1.1 "), 400},
      {"a space in the target", line("GET /a b HTTP/1.1"), 400},
      {"no target", line("GET HTTP/1.1"), 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"nothing but a method", "GET\r\n\r\n", 400},
      {"a fragment", line("GET /a#b HTTP/1.1"), 400},
      {"a target beyond ASCII", line("GET /\xc3\xa9 HTTP/1.1"), 400},
      {"a control in the target", line("GET /a\x01 HTTP/1.1"), 400},
      {"DEL in the target", line("GET /a\x7f HTTP/1.1"), 400},
      {"a relative target", line("GET a HTTP/1.1"), 400},
      {"a query alone", line("GET ?a HTTP/1.1"), 400},
      {"* for GET", line("GET * HTTP/1.1"), 400},
      {"authority-form for GET", line("GET example.test:80 HTTP/1.1"), 400},
      {"origin-form for CONNECT", line("CONNECT / HTTP/1.1"), 400},
      {"CONNECT without a port", line("CONNECT example.test HTTP/1.1"), 400},
      {"CONNECT to an empty port", line("CONNECT example.test: HTTP/1.1"), 400},
      {"absolute-form with https", line("GET https://example.test/ HTTP/1.1"), 400},
      {"absolute-form with another scheme", line("GET ftp://example.test/ HTTP/1.1"), 400},
      {"absolute-form without a host", line("GET http:///a HTTP/1.1"), 400},
      {"absolute-form with user information", line("GET http://u:p@example.test/ HTTP/1.1"), 400},
      {"absolute-form with a bad port", line("GET http://example.test:80a/ HTTP/1.1"), 400},
      {"a method that is no token", line("G@T / HTTP/1.1"), 400},
      {"HTTP/0.9", line("GET / HTTP/0.9"), 505},
      {"HTTP/0.1", line("GET / HTTP/0.1"), 505},
      {"HTTP/2.0", line("GET / HTTP/2.0"), 505},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"http/1.1", line("GET / http/1.1"), 400},
      {"HTTP/1.10", line("GET / HTTP/1.10"), 400},
      {"HTTP/01.1", line("GET / HTTP/01.1"), 400},
      {"HTTP/1", line("GET / HTTP/1"), 400},
      {"HTTPS/1.1", line("GET / HTTPS/1.1"), 400},
      {"a TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},

      // Host (RFC 9112 §3.2).
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", 400},
      {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"no Host with absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
      {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"Host with a scheme", "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400},
      {"Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
      {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
      {"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400},
      {"Host with port 65536", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
      {"Host with two ports", "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400},
      {"Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
      {"Host with a bad escape", "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n", 400},
      {"Host beyond ASCII", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400},

      // Chunks (RFC 9112 §7.1).
      {"a chunk without its CRLF", chunked("5\r\nhello0\r\n\r\n"), 400},
      {"a chunk ended by LF", chunked("5\r\nhello\n0\r\n\r\n"), 400},
      {"a chunk ended by CR", chunked("5\r\nhello\r0\r\n\r\n"), 400},
      {"a chunk longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n"), 400},
      {"a chunk size ended by LF", chunked("5\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size ended by CR", chunked("5\rXhello\r\n0\r\n\r\n"), 400},
      {"an empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size that is no number", chunked("x\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a negative chunk size", chunked("-5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size 0x5", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with an underscore", chunked("0_5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a space before a chunk size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a space behind a chunk size", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
      {"a tab behind a chunk size", chunked("5\t\r\nhello\r\n0\r\n\r\n"), 400},
      {"a space before an extension", chunked("5 ;a\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size of 2^63", chunked("8000000000000000\r\nhello"), 400},
      {"a chunk size of 2^64 + 5", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size of many zeros", chunked("00000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
      {"an extension without a name", chunked("5;\r\nhello\r\n0\r\n\r\n"), 400},
      {"an extension with a bare LF", chunked("5;a\nhello\r\n0\r\n\r\n"), 400},
      {"an extension with a bare CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400},
      {"an extension with NUL", chunked("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"s), 400},
      {"an extension with an open quote", chunked("5;a=\"b\r\nhello\r\n0\r\n\r\n"), 400},
      {"an extension that ends in a backslash", chunked("5;a=\"b\\\r\nhello\r\n0\r\n\r\n"), 400},
      {"an extension without a value", chunked("5;a=\r\nhello\r\n0\r\n\r\n"), 400},
      {"a last chunk ended by LF", chunked("5\r\nhello\r\n0\n\n"), 400},
      {"the last empty line as LF", chunked("5\r\nhello\r\n0\r\n\n"), 400},
      {"the last empty line as CR", chunked("5\r\nhello\r\n0\r\n\rX\r\n"), 400},

      // Trailers (RFC 9110 §6.5.1).
      {"Content-Length in trailers", chunked("0\r\nContent-Length: 5\r\n\r\nhello"), 400},
      {"Transfer-Encoding in trailers", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
      {"Host in trailers", chunked("0\r\nHost: b\r\n\r\n"), 400},
      {"Connection in trailers", chunked("0\r\nConnection: close\r\n\r\n"), 400},
      {"Upgrade in trailers", chunked("0\r\nUpgrade: x\r\n\r\n"), 400},
      {"obs-fold in trailers", chunked("0\r\nA: b\r\n c\r\n\r\n"), 400},
      {"space before the colon in trailers", chunked("0\r\nA : b\r\n\r\n"), 400},
      {"NUL in trailers", chunked("0\r\nA: \0\r\n\r\n"s), 400},
      {"bare LF in trailers", chunked("0\r\nA: b\n\r\n"), 400},
      {"empty name in trailers", chunked("0\r\n: b\r\n\r\n"), 400},
      {"a chunk for a trailer", chunked("0\r\n5\r\nhello\r\n0\r\n\r\n"), 400},
  };
}

inline std::vector<Response> responses() {
  using namespace std::string_literals;
  return {
      // What has to work.
      {"Content-Length", ok("Content-Length: 5\r\n", "hellomore"), true, "hello", "more"},
      {"Content-Length 0", ok("Content-Length: 0\r\n", ""), true},
      {"Content-Length with leading zeros", ok("Content-Length: 0000000005\r\n", "hello"), true, "hello"},
      {"chunked", ok_chunked("5\r\nhello\r\n0\r\n\r\nmore"), true, "hello", "more"},
      {"chunked with extensions and trailers", ok_chunked("5;a=b;c=d\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), true,
       "hello"},
      {"delimited by close", ok("", "hello"), true, "hello", "", "GET", true},
      {"delimited by close, without a byte", ok("", ""), true, "", "", "GET", true},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", true, "hello", "", "GET", true},
      {"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nokmore", true,
       "ok", "more"},
      {"an empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", true},
      {"no reason and no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true},
      {"a reason with spaces and obs-text", "HTTP/1.1 404 nicht gef\xc3\xbcnden  so\r\nContent-Length: 0\r\n\r\n",
       true},
      {"an unknown status", "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", true},
      {"204", "HTTP/1.1 204 No Content\r\n\r\nmore", true, "", "more"},
      {"204 that claims a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nmore", true, "", "more"},
      {"204 that claims chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\nmore", true, "", "more"},
      {"304 that tells a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nmore", true, "", "more"},
      {"304", "HTTP/1.1 304 Not Modified\r\n\r\nmore", true, "", "more"},
      {"HEAD that tells a length", ok("Content-Length: 5\r\n", "more"), true, "", "more", "HEAD"},
      {"HEAD that tells chunks", ok("Transfer-Encoding: chunked\r\n", "more"), true, "", "more", "HEAD"},
      {"HEAD that tells nothing", ok("", "more"), true, "", "more", "HEAD"},
      {"205 has content if it says so", "HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok", true, "ok"},
      {"an interim response", "HTTP/1.1 100 Continue\r\n\r\n" + ok("Content-Length: 2\r\n", "ok"), true, "ok"},
      {"interim responses with fields",
       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok_chunked("0\r\n\r\n"), true},
      {"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
       true, "", "\x81\x05hello"},
      {"101 that claims a length", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello",
       true, "", "hello"},
      {"200 for CONNECT", ok("Content-Length: 5\r\n", "hello"), true, "", "hello", "CONNECT"},
      {"403 for CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhello", true, "hello", "", "CONNECT"},
      {"an event stream",
       ok("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
          "8\r\ndata: a\n\r\n1\r\n\n\r\n0\r\n\r\n"),
       true, "data: a\n\n"},

      // What is broken off.
      {"an end within the length", ok("Content-Length: 5\r\n", "hell"), false, "", "", "GET", true},
      {"an end within a chunk", ok_chunked("5\r\nhell"), false, "", "", "GET", true},
      {"an end before the last chunk", ok_chunked("5\r\nhello\r\n"), false, "", "", "GET", true},
      {"an end within the last chunk", ok_chunked("5\r\nhello\r\n0\r\n"), false, "", "", "GET", true},
      {"an end within the head", "HTTP/1.1 200 OK\r\nContent-Le", false, "", "", "GET", true},
      {"an end behind an interim response", "HTTP/1.1 100 Continue\r\n\r\n", false, "", "", "GET", true},

      // What is ambiguous or malformed.
      {"Content-Length and Transfer-Encoding", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       false},
      {"both for HEAD too", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), false, "", "", "HEAD"},
      {"two Content-Lengths", ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), false},
      {"two equal Content-Lengths", ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), false},
      {"Content-Length list", ok("Content-Length: 5, 5\r\n", "hello"), false},
      {"Content-Length +5", ok("Content-Length: +5\r\n", "hello"), false},
      {"Content-Length overflow", ok("Content-Length: 18446744073709551621\r\n", "hello"), false},
      {"Transfer-Encoding gzip, chunked", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), false},
      {"Transfer-Encoding identity", ok("Transfer-Encoding: identity\r\n", "hello"), false, "", "", "GET", true},
      {"Transfer-Encoding xchunked", ok("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), false},
      {"Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
      {"obs-fold", ok("A: b\r\n c\r\nContent-Length: 0\r\n"), false},
      {"a folded Content-Length", ok("A: b\r\n Content-Length: 5\r\n", "hello"), false},
      {"space before the colon", ok("Content-Length : 5\r\n", "hello"), false},
      {"bare CR in a value", ok("X-Abc:\rxTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), false},
      {"NUL in a value", ok("A: \0\r\n"s), false},
      {"bare LF lines", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", false},
      {"bare LF for the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", false},
      {"an empty line before the response", "\r\n" + ok("Content-Length: 0\r\n"), false},
      {"two status lines", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n", false},
      {"a bare CR in the reason", "HTTP/1.1 200 OK\rA: b\r\n\r\n", false},
      {"status 99", "HTTP/1.1 099 Odd\r\n\r\n", false},
      {"status 600", "HTTP/1.1 600 Odd\r\n\r\n", false},
      {"status 2000", "HTTP/1.1 2000 Odd\r\n\r\n", false},
      {"status 20", "HTTP/1.1 20 Odd\r\n\r\n", false},
      {"status +20", "HTTP/1.1 +20 Odd\r\n\r\n", false},
      {"two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n", false},
      {"a tab behind the status", "HTTP/1.1 200\tOK\r\n\r\n", false},
      {"no status", "HTTP/1.1\r\n\r\n", false},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", false},
      {"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", false},
      {"HTTP/0.9", "<html>hello</html>\r\n", false},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", false},
      {"a chunk without its CRLF", ok_chunked("5\r\nhello0\r\n\r\n"), false},
      {"a chunk size with a space", ok_chunked("5 \r\nhello\r\n0\r\n\r\n"), false},
      {"a chunk size of 2^64 + 5", ok_chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), false},
      {"Content-Length in trailers", ok_chunked("0\r\nContent-Length: 5\r\n\r\nhello"), false},
      {"obs-fold in trailers", ok_chunked("0\r\nA: b\r\n c\r\n\r\n"), false},
      {"the last empty line as LF", ok_chunked("0\r\n\n"), false},
  };
}

}  // namespace ssequel::http::corpus
