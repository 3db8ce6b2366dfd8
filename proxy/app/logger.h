// Logger on a file descriptor, standard error as a rule. Text is logfmt, JSON is one object; both begin with ts (RFC
// 3339, UTC, milliseconds), level and msg. A line is one write(2) of at most kLogLineMax bytes, so that lines of
// several threads do not mix even in a pipe (PIPE_BUF); what finds no room is left out, and `cut=true` says so.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>

#include "app/recent_lines.h"
#include "base/clock.h"
#include "base/logger.h"

namespace ssequel::app {

inline constexpr std::size_t kLogLineMax = 4096;
inline constexpr std::size_t kLogValueMax = 1024;  // Of a value or message, as written.

// All functions may be called from any thread.
class FdLogger final : public Logger {
 public:
  // The descriptor stays the caller's, and is not closed; clock must outlive the logger. A write that fails is counted
  // and dropped: there is nobody left to tell.
  FdLogger(int fd, const Clock& clock, LogLevel level = LogLevel::Info, LogFormat format = LogFormat::Text)
      : fd_(fd), clock_(clock), level_(level), format_(format) {}

  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  void set_format(LogFormat format) { format_.store(format, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

  [[nodiscard]] const RecentLines& recent() const { return recent_; }

  [[nodiscard]] bool is_enabled(LogLevel level) const override {
    return level >= level_.load(std::memory_order_relaxed);
  }
  void write(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) override;

 private:
  int fd_;
  const Clock& clock_;
  std::atomic<LogLevel> level_;
  std::atomic<LogFormat> format_;
  std::atomic<std::uint64_t> dropped_{0};
  RecentLines recent_;
};

// One line with its LF, as write() sends it. unix_micros: the time to show.
[[nodiscard]] std::string log_line(LogFormat format, std::int64_t unix_micros, LogLevel level, std::string_view message,
                                   std::initializer_list<LogPair> pairs);
// What the status page shows of it: the message, and the values that is_shown() lets through, without query strings.
[[nodiscard]] std::string recent_text(std::string_view message, std::initializer_list<LogPair> pairs);

}  // namespace ssequel::app
