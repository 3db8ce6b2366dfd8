#include "app/config_units.h"

#include <doctest/doctest.h>

using namespace ssequel;
using namespace ssequel::app::config;
using namespace std::chrono_literals;

TEST_CASE("durations have a unit, but for nothing") {
  CHECK(parse_duration("0") == 0ms);
  CHECK(parse_duration("0s") == 0ms);
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("15s") == 15s);
  CHECK(parse_duration("10m") == 10min);
  CHECK(parse_duration("1h") == 1h);
  for (const auto text :
       {"", "15", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1d", "1h30m", "ms", "0x1s", "1e3s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("what does not fit a duration or size is refused, not wrapped") {
  CHECK(parse_duration("9223372036854775807ms")->count() == INT64_MAX);
  CHECK_FALSE(parse_duration("9223372036854775808ms"));
  CHECK_FALSE(parse_duration("9223372036854776s"));
  CHECK_FALSE(parse_duration("99999999999999999999h"));
  CHECK(parse_size("18446744073709551615") == UINT64_MAX);
  CHECK_FALSE(parse_size("18446744073709551616"));
  CHECK_FALSE(parse_size("17179869184GiB"));
  CHECK(parse_size("17179869183GiB") == 17179869183ULL << 30);
}

TEST_CASE("durations are printed in the largest exact unit") {
  CHECK(print_duration(0ms) == "0");
  CHECK(print_duration(250ms) == "250ms");
  CHECK(print_duration(1500ms) == "1500ms");
  CHECK(print_duration(15s) == "15s");
  CHECK(print_duration(60s) == "60s");
  CHECK(print_duration(90s) == "90s");
  CHECK(print_duration(2min) == "2m");
  CHECK(print_duration(60min) == "1h");
  CHECK(print_duration(90min) == "90m");
  CHECK(print_duration(720h) == "720h");
}

TEST_CASE("sizes are bytes, or have a binary unit") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("1000") == 1000);
  CHECK(parse_size("64KiB") == 65536);
  CHECK(parse_size("16MiB") == 16u << 20);
  CHECK(parse_size("2GiB") == 2ULL << 30);
  for (const auto text : {"", "KiB", "64KB", "64K", "64kib", "64k", "1.5MiB", "-1", "1 KiB", "1TiB", "1B"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("what is printed reads as the same") {
  for (std::uint64_t value : {0ULL, 1ULL, 999ULL, 1000ULL, 1024ULL, 1025ULL, 60'000ULL, 61'000ULL, 3'600'000ULL,
                              65536ULL, 1ULL << 20, (1ULL << 20) + 1, 1ULL << 30, 5ULL << 40}) {
    CHECK(parse_size(print_size(value)) == value);
    CHECK(parse_duration(print_duration(Millis(value))) == Millis(value));
  }
}
