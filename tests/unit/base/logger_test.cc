#include "base/logger.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ssequel;

namespace {

class Recorder final : public Logger {
 public:
  explicit Recorder(LogLevel level) : level_(level) {}
  [[nodiscard]] bool is_enabled(LogLevel level) const override { return level >= level_; }
  void write(LogLevel, std::string_view message, std::initializer_list<LogPair> pairs) override {
    lines.emplace_back(message);
    for (const auto& pair : pairs) {
      lines.back().append(" ").append(pair.key()).append(pair.is_quoted() ? ":" : "=").append(pair.value());
    }
  }
  std::vector<std::string> lines;

 private:
  LogLevel level_;
};

}  // namespace

TEST_CASE("lines below the level are not written") {
  Recorder logger(LogLevel::Warn);
  logger.debug("debug");
  logger.info("info");
  logger.warn("warn");
  logger.error("error");
  CHECK(logger.lines == std::vector<std::string>{"warn", "error"});
}

TEST_CASE("a pair knows texts from numbers") {
  Recorder logger(LogLevel::Debug);
  logger.info("m", {{"route", "a"}, {"status", 200}, {"big", UINT64_MAX}, {"text", std::string_view("7")}});
  CHECK(logger.lines.front() == "m route:a status=200 big=18446744073709551615 text:7");
}

TEST_CASE("a logger that says nothing has no level enabled") {
  NullLogger logger;
  CHECK_FALSE(logger.is_enabled(LogLevel::Error));
  logger.error("nothing");
}
