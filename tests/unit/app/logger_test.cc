#include "app/logger.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

using namespace ssequel;
using namespace ssequel::app;

namespace {

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Millis now() const override { return Millis(0); }
  [[nodiscard]] std::int64_t unix_micros() const override { return 1'700'000'000'123'456; }
};

constexpr std::int64_t kTime = 1'700'000'000'123'456;
constexpr std::string_view kTextHead = "ts=2023-11-14T22:13:20.123Z level=info msg=";

std::string text(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
  return log_line(LogFormat::Text, kTime, LogLevel::Info, message, pairs);
}
std::string json(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
  return log_line(LogFormat::Json, kTime, LogLevel::Info, message, pairs);
}

// A pipe whose ends close with it.
struct Pipe {
  Pipe() { REQUIRE(pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == 0); }
  ~Pipe() {
    for (const int end : ends) close(end);
  }
  [[nodiscard]] std::string read_all() const {
    std::string out;
    std::array<char, 65536> buffer;
    ssize_t got = 0;
    while ((got = read(ends[0], buffer.data(), buffer.size())) > 0)
      out.append(buffer.data(), static_cast<std::size_t>(got));
    return out;
  }
  std::array<int, 2> ends{};
};

}  // namespace

TEST_CASE("a line of text is logfmt") {
  CHECK(text("ready") == std::string(kTextHead) + "ready\n");
  CHECK(text("listening on", {{"address", "127.0.0.1:80"}, {"threads", 2}, {"empty", ""}}) ==
        std::string(kTextHead) + "\"listening on\" address=127.0.0.1:80 threads=2 empty=\"\"\n");
}

TEST_CASE("a line of JSON is one object, in which numbers are numbers") {
  CHECK(json("listening on", {{"address", "a b"}, {"threads", 2}, {"rate", 0.5}, {"text", std::string_view("7")}}) ==
        R"({"ts":"2023-11-14T22:13:20.123Z","level":"info","msg":"listening on","address":"a b","threads":2,)"
        R"("rate":0.500000,"text":"7"})"
        "\n");
  CHECK(json("m", {{"rate", 1.0 / 0.0}}).find(R"("rate":"inf")") != std::string::npos);
}

TEST_CASE("a time before 1970 and the first one are shown right") {
  CHECK(log_line(LogFormat::Text, 0, LogLevel::Warn, "m", {}).starts_with("ts=1970-01-01T00:00:00.000Z level=warn"));
  CHECK(log_line(LogFormat::Text, -1, LogLevel::Error, "m", {}).starts_with("ts=1969-12-31T23:59:59.999Z level=error"));
}

TEST_CASE("nothing in a value ends the line, the value, or the terminal's good manners") {
  using namespace std::string_literals;
  const auto hostile = "a\nlevel=error msg=x\r\t\"\\\x1B[31m\0b\x7F"s + "\xC2\x9B \xE2\x80\xAE";
  for (const auto& line : {text(hostile, {{"k", hostile}}), json(hostile, {{"k", hostile}})}) {
    CAPTURE(line);
    CHECK(line.find('\n') == line.size() - 1);
    for (const char c : line.substr(0, line.size() - 1)) CHECK(static_cast<unsigned char>(c) >= 0x20);
    CHECK(line.find('\x7F') == std::string::npos);
    CHECK(line.find("\xC2\x9B") == std::string::npos);
    CHECK(line.find("\xE2\x80\xAE") == std::string::npos);
    CHECK(line.find(R"(a\nlevel=error msg=x\u000d\t\"\\\u001b[31m\u0000b\u007f\u009b \u202e)") != std::string::npos);
  }
}

TEST_CASE("a value with an equals sign or a blank is quoted, one with letters of any script is not") {
  CHECK(text("m", {{"k", "a=b"}}).ends_with(" k=\"a=b\"\n"));
  CHECK(text("m", {{"k", "a b"}}).ends_with(" k=\"a b\"\n"));
  CHECK(text("m", {{"k", "grün/日本"}}).ends_with(" k=grün/日本\n"));
}

TEST_CASE("bytes that are not UTF-8 become the replacement character's escape") {
  CHECK(json("m", {{"k", "a\xFF\xC3("}})
            .ends_with(R"("k":"a\ufffd\ufffd("})"
                       "\n"));
}

TEST_CASE("a long value is cut at a character, and says so") {
  const auto line = text("m", {{"k", std::string(kLogValueMax + 1, 'x')}, {"after", 1}});
  CHECK(line.find(" k=" + std::string(kLogValueMax - 3, 'x') + "… after=1\n") != std::string::npos);
  CHECK(text("m", {{"k", std::string(kLogValueMax, 'x')}}).find("…") == std::string::npos);
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "é";
  const auto cut = text(wide);
  CHECK(cut.size() < kLogValueMax + 100);
  CHECK(cut.ends_with("é…\n"));
  const auto escaped = json(std::string(2000, '\x01'));
  CHECK(escaped.ends_with("\\u0001…\"}\n"));
}

TEST_CASE("a line never passes the limit, and what is left out is told") {
  const std::string value(2000, 'x');
  for (const auto format : {LogFormat::Text, LogFormat::Json}) {
    const auto line =
        log_line(format, kTime, LogLevel::Info, value, {{"a", value}, {"b", value}, {"c", value}, {"d", 1}});
    CHECK(line.size() <= kLogLineMax);
    CHECK(line.ends_with(format == LogFormat::Text ? " cut=true\n" : ",\"cut\":true}\n"));
    CHECK(line.find("d=1") == std::string::npos);
  }
}

TEST_CASE("level and format change while the program runs") {
  const FixedClock clock;
  const Pipe pipe;
  FdLogger logger(pipe.ends[1], clock);
  CHECK_FALSE(logger.is_enabled(LogLevel::Debug));
  logger.debug("one");
  logger.set_level(LogLevel::Debug);
  logger.debug("two");
  logger.set_format(LogFormat::Json);
  logger.set_level(LogLevel::Error);
  logger.warn("three");
  logger.error("four");
  const auto out = pipe.read_all();
  CHECK(out.find("one") == std::string::npos);
  CHECK(out.find("msg=two\n") != std::string::npos);
  CHECK(out.find("three") == std::string::npos);
  CHECK(out.find("\"msg\":\"four\"") != std::string::npos);
}

TEST_CASE("lines of several threads do not mix") {
  const FixedClock clock;
  const Pipe pipe;
  FdLogger logger(pipe.ends[1], clock);
  constexpr int kThreads = 4, kLines = 4;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&logger, i] {
        const std::string value(900, static_cast<char>('a' + i));
        for (int line = 0; line < kLines; ++line) logger.info("m", {{"a", value}, {"b", value}, {"c", value}});
      });
    }
  }
  std::string out = pipe.read_all();
  int count = 0;
  while (!out.empty()) {
    const auto line = out.substr(0, out.find('\n') + 1);
    out.erase(0, line.size());
    const char letter = line.at(line.find(" a=") + 3);
    const std::string value(900, letter);
    CHECK(line.ends_with("msg=m a=" + value + " b=" + value + " c=" + value + "\n"));
    ++count;
  }
  CHECK(count == kThreads * kLines);
  CHECK(logger.dropped_lines() == 0);
}

TEST_CASE("a line that finds nobody is counted and dropped") {
  const FixedClock clock;
  const Pipe pipe;
  FdLogger full(pipe.ends[1], clock);
  for (int i = 0; i < 2000; ++i) full.info(std::string(1000, 'x'));
  CHECK(full.dropped_lines() > 0);
  FdLogger closed(-1, clock);
  closed.info("m");
  CHECK(closed.dropped_lines() == 1);
}
