#include "app/window_size.h"

#include <doctest/doctest.h>

#include <sstream>

#include "app/config.h"
#include "app/window_command.h"

using namespace ssequel;
using namespace ssequel::app;
using namespace std::chrono_literals;

namespace {

WindowNeed need(std::uint64_t rate, Millis retry, Millis disconnect, std::uint64_t event_bytes) {
  return {.rate = {rate, 1s}, .retry = retry, .disconnect = disconnect, .event_bytes = event_bytes, .channels = 1};
}

struct Told {
  int code;
  std::string out;
  std::string err;
};
Told window(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int code = run_window_command(arguments, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace

TEST_CASE("a window holds twice the longest gap at the peak rate") {
  const auto size = window_size(need(10, 30s, 60s, 400));
  REQUIRE(size);
  CHECK(size->gap == 60s);
  CHECK(size->events == 1200);
  CHECK(size->bytes >= 1200 * (400 + kFrameBytes));
  CHECK(size->bytes <= 1200 * (400 + kFrameBytes) * 9 / 8 + 1024);
  CHECK(size->memory > size->bytes);
  CHECK(window_size(need(10, 90s, 60s, 400))->events == 1800);
}

TEST_CASE("rates by other units are rounded up, never down to nothing") {
  auto slow = need(5, 3s, 60s, 400);
  slow.rate.per = 1h;
  CHECK(window_size(slow)->events == 1);
  slow.rate = {7, 60s};
  slow.disconnect = 61s;
  CHECK(window_size(slow)->events == 15);  // 14.23
  CHECK(window_size(need(10, 0s, 0s, 400))->events == 1);
}

TEST_CASE("a window is never younger than twice the gap, nor too small for two events") {
  CHECK(window_size(need(1, 3s, 60s, 400))->age == 1h);
  CHECK(window_size(need(1, 3s, 2h, 400))->age == 4h);
  CHECK(window_size(need(1, 1ms, 1ms, 1'000'000))->bytes >= 2'000'000);
}

TEST_CASE("channels multiply memory and nothing else") {
  auto one = need(10, 30s, 60s, 400);
  const auto single = window_size(one);
  one.channels = 50;
  const auto many = window_size(one);
  CHECK(many->bytes == single->bytes);
  CHECK(many->memory == 50 * single->memory);
}

TEST_CASE("what the configuration could not hold is an error that says the bound") {
  const auto events = window_size(need(1'000'000'000, 3s, 1h, 1));
  REQUIRE(!events);
  CHECK(events.error().context.find("2147483648") != std::string::npos);
  const auto bytes = window_size(need(1000, 3s, 24h, 1ull << 30));
  REQUIRE(!bytes);
  CHECK(bytes.error().context.find("1024GiB") != std::string::npos);
  CHECK(!window_size(need(1, 3s, 361h, 1)));
}

TEST_CASE("what is printed can be pasted: its numbers are those of the words, and the configuration takes it") {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--rate", "10/s", "--retry", "30s", "--disconnect-p99", "60s", "--event-bytes", "400"},
        std::vector<std::string>{"--rate=1/h", "--event-bytes=1"},
        std::vector<std::string>{"--rate", "5000/s", "--event-bytes", "64KiB", "--disconnect-p99", "10m"}}) {
    const auto told = window(arguments);
    REQUIRE_MESSAGE(told.code == 0, told.err);
    CHECK(told.err.empty());
    const auto at = told.out.find("window: {");
    REQUIRE(at != std::string::npos);
    const auto limits = told.out.find("limits: {");
    std::string yaml;
    if (limits != std::string::npos) yaml += told.out.substr(limits, told.out.find('\n', limits) - limits) + "\n";
    yaml += "routes:\n  - name: feed\n    mode: shared\n    " + told.out.substr(at);
    const auto config = parse_config(yaml, "pasted.yaml", [](const std::string&) { return std::nullopt; });
    const std::string problem = config ? "" : config.error().context;
    CAPTURE(yaml);
    CHECK(problem.empty());
  }
  CHECK(window({"--rate", "10/s", "--retry", "30s", "--disconnect-p99", "60s", "--event-bytes", "400"})
            .out.find("window: {events: 1200, ") != std::string::npos);
}

TEST_CASE("each wrong argument exits 2 and says what is allowed") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{}, "--rate"},
      {{"--rate"}, "10/s"},
      {{"--rate", "10"}, "10/s"},
      {{"--rate", "0/s"}, "10/s"},
      {{"--rate", "-1/s"}, "10/s"},
      {{"--rate", "10/d"}, "10/s"},
      {{"--rate", "10/"}, "10/s"},
      {{"--rate", "10/0s"}, "10/s"},
      {{"--rate", "10/s", "--retry", "30"}, "250ms"},
      {{"--rate", "10/s", "--disconnect-p99", "400h"}, "360h"},
      {{"--rate", "10/s", "--event-bytes", "0"}, "1GiB"},
      {{"--rate", "10/s", "--event-bytes", "4kb"}, "1GiB"},
      {{"--rate", "10/s", "--channels", "0"}, "1000000"},
      {{"--rate", "10/s", "--windows", "3"}, "--event-bytes"},
  };
  for (const auto& [arguments, word] : wrong) {
    const auto told = window(arguments);
    CHECK(told.code == 2);
    CHECK(told.out.empty());
    CHECK_MESSAGE(told.err.find(word) != std::string::npos, told.err);
  }
}
