// What the program tells its operator: one line a fact, as text (logfmt) or JSON, on standard error. Values are escaped
// here, whatever they hold; no caller passes a credential, an id or a query string. Nothing logs once per event.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace ssequel {

enum class LogLevel { Debug, Info, Warn, Error };
enum class LogFormat { Text, Json };

// A pair of a key and a value; numbers stay numbers in JSON.
class LogPair {
 public:
  LogPair(std::string_view key, std::string_view value) : key_(key), value_(value), quoted_(true) {}
  LogPair(std::string_view key, const char* value) : LogPair(key, std::string_view(value)) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  LogPair(std::string_view key, T value) : key_(key), value_(std::to_string(value)), quoted_(false) {}

  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] std::string_view value() const { return value_; }
  [[nodiscard]] bool is_quoted() const { return quoted_; }

 private:
  std::string_view key_;  // A literal of the caller's.
  std::string value_;
  bool quoted_;
};

// All functions may be called from any thread.
class Logger {
 public:
  virtual ~Logger() = default;
  [[nodiscard]] virtual bool is_enabled(LogLevel level) const = 0;
  // message: what happened and, for errors, what happens now. Values are cut at 1 KiB.
  virtual void write(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) = 0;

  void debug(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    log(LogLevel::Debug, message, pairs);
  }
  void info(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    log(LogLevel::Info, message, pairs);
  }
  void warn(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    log(LogLevel::Warn, message, pairs);
  }
  void error(std::string_view message, std::initializer_list<LogPair> pairs = {}) {
    log(LogLevel::Error, message, pairs);
  }

 private:
  void log(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) {
    if (is_enabled(level)) write(level, message, pairs);
  }
};

class NullLogger final : public Logger {
 public:
  [[nodiscard]] bool is_enabled(LogLevel) const override { return false; }
  void write(LogLevel, std::string_view, std::initializer_list<LogPair>) override {}
};

}  // namespace ssequel
