// The last warnings and errors, for the status page: a few lines, each once, with how often and when it was last said.
// What a line says is what the log says, but fewer of its values, without query strings, and cut short.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.h"

namespace ssequel::app {

// All functions may be called from any thread.
class RecentLines {
 public:
  static constexpr std::size_t kMaxLines = 20;
  static constexpr std::size_t kMaxText = 300;  // Bytes.

  struct Line {
    LogLevel level = LogLevel::Warn;
    std::int64_t last_ms = 0;  // Unix time.
    std::uint64_t times = 1;
    std::string text;  // UTF-8 without control characters.
  };
  void add(LogLevel level, std::int64_t unix_ms, std::string text);
  // The latest first.
  [[nodiscard]] std::vector<Line> lines() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Line> lines_;  // The latest last.
};

// True for a key whose value may be shown: it names a thing of the configuration or of the system.
[[nodiscard]] bool is_shown(std::string_view key);

}  // namespace ssequel::app
