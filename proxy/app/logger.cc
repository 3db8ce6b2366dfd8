#include "app/logger.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/ascii.h"
#include "base/utf8.h"

namespace ssequel::app {
namespace {

constexpr std::string_view kCutText = " cut=true";
constexpr std::string_view kCutJson = ",\"cut\":true";

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warn:
      return "warn";
    case LogLevel::Error:
      return "error";
  }
  return "error";
}

std::string timestamp(std::int64_t unix_micros) {
  const auto millis = unix_micros / 1000 - (unix_micros % 1000 < 0 ? 1 : 0);
  const auto part = ((millis % 1000) + 1000) % 1000;
  const time_t seconds = static_cast<time_t>((millis - part) / 1000);
  tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, part);
}

// What a terminal or a viewer would act on instead of showing: controls, line and paragraph separators, and the marks
// that turn the direction of the text around.
bool is_active(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 || code == 0x061C ||
         code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
         code == 0xFEFF;
}

// The inside of a JSON string (RFC 8259 §7), of at most kLogValueMax bytes. Logfmt takes the same escapes.
std::string escaped(std::string_view text) {
  constexpr std::string_view kEllipsis = "…";
  std::string out;
  std::string one;
  std::size_t cut = 0;  // Up to where there is room for the ellipsis.
  while (!text.empty()) {
    const auto character = utf8::decode(text);
    one.clear();
    if (!character.is_valid) {
      one = "\\ufffd";
    } else if (character.code == '"' || character.code == '\\') {
      one = {'\\', text.front()};
    } else if (character.code == '\n') {
      one = "\\n";
    } else if (character.code == '\t') {
      one = "\\t";
    } else if (is_active(character.code)) {
      one = fmt::format("\\u{:04x}", static_cast<unsigned>(character.code));
    } else {
      one = text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
    if (out.size() + one.size() > kLogValueMax) {
      out.resize(cut);
      return out += kEllipsis;
    }
    out += one;
    if (out.size() + kEllipsis.size() <= kLogValueMax) cut = out.size();
  }
  return out;
}

bool is_bare(std::string_view escaped_text) {
  if (escaped_text.empty()) return false;
  for (const char c : escaped_text) {
    if (c == ' ' || c == '=' || c == '"' || c == '\\') return false;
  }
  return true;
}

void append_text(std::string& out, std::string_view key, std::string_view value) {
  const auto inside = escaped(value);
  if (!out.empty()) out += ' ';
  out.append(key).append("=");
  if (is_bare(inside)) {
    out += inside;
  } else {
    out.append("\"").append(inside).append("\"");
  }
}

// JSON has no nan or inf.
bool is_json_number(std::string_view value) {
  for (const char c : value) {
    if (!ascii::is_digit(c) && c != '-' && c != '.') return false;
  }
  return !value.empty();
}

void append_json(std::string& out, std::string_view key, std::string_view value, bool quoted) {
  out.append(out.empty() ? "{\"" : ",\"").append(escaped(key)).append("\":");
  if (!quoted && is_json_number(value)) {
    out += value;
  } else {
    out.append("\"").append(escaped(value)).append("\"");
  }
}

}  // namespace

std::string log_line(LogFormat format, std::int64_t unix_micros, LogLevel level, std::string_view message,
                     std::initializer_list<LogPair> pairs) {
  const bool json = format == LogFormat::Json;
  std::string line, next;
  const auto append = [&](std::string& out, std::string_view key, std::string_view value, bool quoted) {
    json ? append_json(out, key, value, quoted) : append_text(out, key, value);
  };
  append(line, "ts", timestamp(unix_micros), true);
  append(line, "level", name_of(level), true);
  append(line, "msg", message, true);
  const auto cut = json ? kCutJson : kCutText;
  constexpr std::size_t kEnd = 2;  // "}\n"
  for (const auto& pair : pairs) {
    const auto before = line.size();
    append(line, pair.key(), pair.value(), pair.is_quoted());
    if (line.size() + cut.size() + kEnd <= kLogLineMax) continue;
    line.resize(before);
    line += cut;
    break;
  }
  return line += json ? "}\n" : "\n";
}

std::string recent_text(std::string_view message, std::initializer_list<LogPair> pairs) {
  std::string text = escaped(message);
  for (const auto& pair : pairs) {
    if (!is_shown(pair.key()) || pair.value().empty()) continue;
    const auto value = pair.value();
    append_text(text, pair.key(), value.substr(0, value.find('?')));
  }
  return text;
}

void FdLogger::write(LogLevel level, std::string_view message, std::initializer_list<LogPair> pairs) {
  const auto now = clock_.unix_micros();
  if (level >= LogLevel::Warn) recent_.add(level, now / 1000, recent_text(message, pairs));
  const auto line = log_line(format_.load(std::memory_order_relaxed), now, level, message, pairs);
  ssize_t sent = 0;
  do {
    sent = ::write(fd_, line.data(), line.size());
  } while (sent < 0 && errno == EINTR);
  // A part of a line is no line: the rest would come after another thread's.
  if (sent != static_cast<ssize_t>(line.size())) dropped_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ssequel::app
