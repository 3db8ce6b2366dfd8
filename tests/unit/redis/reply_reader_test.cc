#include "redis/reply_reader.h"

#include <doctest/doctest.h>

#include <string>

namespace ssequel::redis {
namespace {

// Everything that RESP2 has, in one answer after the other.
constexpr std::string_view kBytes =
    "+OK\r\n-ERR no\r\n:-42\r\n$5\r\nab\r\nc\r\n$-1\r\n*-1\r\n$0\r\n\r\n*2\r\n*2\r\n:1\r\n$1\r\nx\r\n-LOADING it\r\n";

std::string show(const Reply& reply) {
  std::string out = std::to_string(static_cast<int>(reply.kind)) + "(" + std::to_string(reply.integer) + reply.text;
  for (const auto& element : reply.elements) out += show(element);
  return out + ")";
}

std::string read_in(std::initializer_list<std::string_view> pieces) {
  ReplyReader reader;
  std::string out;
  for (const auto piece : pieces) {
    REQUIRE(reader.feed(piece).has_value());
    for (;;) {
      auto reply = reader.next();
      REQUIRE(reply.has_value());
      if (!*reply) break;
      out += show(**reply);
    }
  }
  return out;
}

TEST_CASE("every split of the bytes gives the same replies") {
  const auto whole = read_in({kBytes});
  CHECK(whole == "1(0OK)5(0ERR no)3(-42)2(0ab\r\nc)0(0)0(0)2(0)4(04(03(1)2(0x))5(0LOADING it))");
  for (std::size_t at = 0; at <= kBytes.size(); ++at) {
    CHECK(read_in({kBytes.substr(0, at), kBytes.substr(at)}) == whole);
  }
}

TEST_CASE("what is no RESP is an error") {
  ReplyReader reader;
  REQUIRE(reader.feed("HTTP/1.1 400 Bad Request\r\n").has_value());
  const auto reply = reader.next();
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().code == ErrorCode::Malformed);
}

}  // namespace
}  // namespace ssequel::redis
