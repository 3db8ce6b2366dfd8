#include "http/llhttp_judge.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>

using namespace ssequel::http;

TEST_CASE("llhttp is the version that these tests were started for") {
  const char* wanted = std::getenv("SSEQUEL_LLHTTP");  // tests/llhttp_versions.sh sets it.
  if (wanted == nullptr) return;
  CHECK(fmt::format("{}.{}", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR) == wanted);
}

TEST_CASE("the judge is strict, in whatever way it was built") {
  LlhttpJudge judge;
  // Without LLHTTP_STRICT_MODE, 8.1 lets these pass.
  judge.begin_request();
  CHECK_FALSE(judge.feed("POST / HTTP/1.1\r\nX-Abc:\rxTransfer-Encoding: chunked\r\n\r\n"));
  CHECK(std::string(judge.reason()) != "");
  judge.begin_request();
  REQUIRE(judge.feed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
  CHECK_FALSE(judge.feed("5\rXhello\r\n"));
}

TEST_CASE("the judge agrees with the framing that the head declares and with no other") {
  LlhttpJudge judge;
  judge.begin_request();
  REQUIRE(judge.feed("POST / HTTP/1.1\r\nContent-Length: 5\r\n"));
  CHECK_FALSE(judge.agrees({Framing::Kind::Length, 5}));  // The head is not over.
  REQUIRE(judge.feed("\r\n"));
  CHECK(judge.agrees({Framing::Kind::Length, 5}));
  CHECK_FALSE(judge.agrees({Framing::Kind::Length, 6}));
  CHECK_FALSE(judge.agrees({Framing::Kind::Chunked}));
  CHECK_FALSE(judge.agrees({Framing::Kind::None}));

  judge.begin_response();
  REQUIRE(judge.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  CHECK(judge.agrees({Framing::Kind::Chunked}));
  CHECK_FALSE(judge.agrees({Framing::Kind::UntilClose}));

  judge.begin_response();
  REQUIRE(judge.feed("HTTP/1.0 200 OK\r\n\r\n"));
  CHECK(judge.agrees({Framing::Kind::UntilClose}));
}

TEST_CASE("the judge follows chunks from one feed to the next") {
  LlhttpJudge judge;
  judge.begin_request();
  REQUIRE(judge.feed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
  REQUIRE(judge.feed("a\r\n"));
  CHECK(judge.is_chunk_header());
  CHECK(judge.chunk_bytes() == 10);
  REQUIRE(judge.feed("0123"));
  CHECK_FALSE(judge.is_chunk_header());
  CHECK(judge.content_bytes() == 4);
  REQUIRE(judge.feed("456789"));
  CHECK(judge.content_bytes() == 6);
  REQUIRE(judge.feed("\r\n"));
  CHECK(judge.is_chunk_end());
  REQUIRE(judge.feed("0\r\n"));
  CHECK_FALSE(judge.is_message_end());
  REQUIRE(judge.feed("\r\n"));
  CHECK(judge.is_message_end());
}
