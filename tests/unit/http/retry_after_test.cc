#include "http/retry_after.h"

#include <doctest/doctest.h>

using ssequel::http::parse_http_date;
using ssequel::http::parse_retry_after;
using std::chrono::seconds;

namespace {

constexpr std::int64_t kNow = 784'111'777;  // The example's date, RFC 9110 §5.6.7.

}  // namespace

TEST_CASE("the three formats of a date are one moment") {
  for (const auto* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    INFO(text);
    CHECK(parse_http_date(text) == kNow);
  }
  CHECK(parse_http_date("Wed, 01 Jan 2025 00:00:00 GMT") == 1'735'689'600);
  CHECK(parse_http_date("Wednesday, 01-Jan-25 00:00:00 GMT") == 1'735'689'600);
}

TEST_CASE("what is no date is none") {
  for (const auto* text :
       {"", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:-1 GMT",
        "Sun Nov  6 08:49:37 1994 and more", "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMTSun, 06 Nov 1994 08:49:37 GMT"}) {
    INFO(text);
    CHECK_FALSE(parse_http_date(text));
  }
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT\0"sv));
}

TEST_CASE("Retry-After is a number of seconds or a moment") {
  CHECK(parse_retry_after("120", kNow) == seconds(120));
  CHECK(parse_retry_after("0", kNow) == seconds(0));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", kNow) == seconds(10));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kNow + 5) == seconds(0));
  for (const auto* text : {"", "-1", "+1", "1.5", "1 ", "tomorrow"}) {
    INFO(text);
    CHECK_FALSE(parse_retry_after(text, kNow));
  }
}

TEST_CASE("a number that fits nowhere is the greatest, not none") {
  const auto longest = parse_retry_after("99999999999999999999999999", kNow);
  REQUIRE(longest);
  CHECK(*longest >= seconds(1'000'000'000));
  CHECK(parse_retry_after("9999999999999", kNow) == longest);
}
