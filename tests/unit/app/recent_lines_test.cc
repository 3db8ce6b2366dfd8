#include "app/recent_lines.h"

#include <doctest/doctest.h>

#include "app/logger.h"

using namespace ssequel;
using namespace ssequel::app;

TEST_CASE("the latest lines are kept, a line that is said again once, with how often") {
  RecentLines recent;
  recent.add(LogLevel::Warn, 1, "a");
  recent.add(LogLevel::Error, 2, "b");
  recent.add(LogLevel::Warn, 3, "a");
  auto lines = recent.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].text == "a");
  CHECK(lines[0].times == 2);
  CHECK(lines[0].last_ms == 3);
  CHECK(lines[1].level == LogLevel::Error);
  for (int i = 0; i < 100; ++i) recent.add(LogLevel::Warn, 10 + i, "line " + std::to_string(i));
  lines = recent.lines();
  CHECK(lines.size() == RecentLines::kMaxLines);
  CHECK(lines.front().text == "line 99");
}

TEST_CASE("a long line is cut between characters") {
  RecentLines recent;
  std::string text(RecentLines::kMaxText - 1, 'x');
  recent.add(LogLevel::Warn, 1, text + "é and more");
  CHECK(recent.lines().front().text == text + "…");
}

TEST_CASE("a line shows its message and harmless values, without query strings") {
  CHECK(recent_text("no stream", {{"route", "a"}, {"status", 502}}) == "no stream route=a status=502");
  CHECK(recent_text("m", {{"path", "/x?token=secret"}}) == "m path=/x");
  CHECK(recent_text("m", {{"problems", "found \"password\""}, {"route", ""}}) == "m");
  CHECK(recent_text("bad \x01\xff", {}) == "bad \\u0001\\ufffd");
}

TEST_CASE("a logger keeps its warnings and errors, and nothing below") {
  const SystemClock clock;
  FdLogger logger(-1, clock);
  logger.info("i");
  logger.warn("w", {{"route", "r"}});
  logger.error("e");
  const auto lines = logger.recent().lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].text == "e");
  CHECK(lines[1].text == "w route=r");
}
