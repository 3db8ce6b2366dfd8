// WHATWG HTML §9.2.5 and §9.2.6 written down as slowly and plainly as possible, over a stream that is there as a whole:
// what the fast parser is compared with. It shares no code with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recorder.h"

namespace ssequel::sse::reference {

struct Line {
  std::string text;
  std::string end;  // "\n", "\r" or "\r\n"
};

// The lines of a stream, less its byte order mark; what follows the last line end is no line.
inline std::vector<Line> lines_of(std::string stream) {
  if (stream.rfind("\xEF\xBB\xBF", 0) == 0) stream.erase(0, 3);
  std::vector<Line> lines;
  std::string text;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (stream[i] == '\r' && i + 1 < stream.size() && stream[i + 1] == '\n') {
      lines.push_back({text, "\r\n"});
      text.clear();
      ++i;
    } else if (stream[i] == '\r' || stream[i] == '\n') {
      lines.push_back({text, std::string(1, stream[i])});
      text.clear();
    } else {
      text += stream[i];
    }
  }
  return lines;
}

struct Field {
  std::string name;  // Empty for a comment.
  std::string value;
};

inline Field field_of(const std::string& line) {
  const auto colon = line.find(':');
  if (colon == std::string::npos) return {line, ""};
  std::string value = line.substr(colon + 1);
  if (!value.empty() && value[0] == ' ') value.erase(0, 1);
  return {line.substr(0, colon), value};
}

inline bool is_digits(const std::string& text) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty();
}

inline std::uint64_t reconnection_time(const std::string& digits) {
  const auto first = digits.find_first_not_of('0');
  if (first == std::string::npos) return 0;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 53;
  if (digits.size() - first > 18) return kMost;
  const std::uint64_t value = std::stoull(digits.substr(first));
  return value < kMost ? value : kMost;
}

// What a Recorder has to have written down after this stream.
inline Reports reports_of(const std::string& stream, std::size_t max_event_bytes) {
  Reports reports;
  std::string last_event_id;
  std::string lines;
  std::optional<std::string> id;
  bool has_data = false;
  bool has_begun = false;
  std::uint64_t bytes = 0;
  std::string last_end;
  for (const auto& [line, end] : lines_of(stream)) {
    if (line.empty()) {
      // Dispatched at its CR: whether an LF follows is told by the line before.
      bytes += end != "\n" && last_end == "\r\n" ? 2 : 1;
      last_end.clear();
      if (has_begun && id.has_value()) last_event_id = *id;
      if (has_data && bytes > max_event_bytes) {
        reports.push_back(described_oversized(id, last_event_id, bytes));
      } else if (has_data) {
        reports.push_back(described_event(lines, id, last_event_id, bytes));
      } else if (id.has_value()) {
        reports.push_back(described_last_event_id(last_event_id));
      }
      lines.clear();
      id.reset();
      has_data = has_begun = false;
      bytes = 0;
      continue;
    }
    last_end = end;
    const Field field = field_of(line);
    const bool is_whole = line.size() <= max_event_bytes;
    if (line[0] == ':') {
      if (is_whole) reports.push_back(described_comment(line.substr(1)));
      if (has_begun) bytes += line.size() + end.size();
      continue;
    }
    has_begun = true;
    bytes += line.size() + end.size();
    if (field.name == "id") {
      if (is_whole && field.value.find('\0') == std::string::npos) id = field.value;
    } else if (field.name == "retry") {
      if (is_whole && is_digits(field.value)) reports.push_back(described_retry(reconnection_time(field.value)));
    } else {
      if (field.name == "data") has_data = true;
      lines += line + "\n";
    }
  }
  return reports;
}

// What a client makes of a stream: the events that it dispatches (§9.2.6).
struct Dispatched {
  std::string type;
  std::string data;
  std::string last_event_id;
  friend bool operator==(const Dispatched&, const Dispatched&) = default;
};

inline std::vector<Dispatched> dispatched_by(const std::string& stream) {
  std::vector<Dispatched> events;
  std::string type;
  std::string data;
  std::string last_event_id;
  for (const auto& [line, end] : lines_of(stream)) {
    if (line.empty()) {
      if (!data.empty()) {
        data.pop_back();
        events.push_back({type.empty() ? "message" : type, data, last_event_id});
      }
      type.clear();
      data.clear();
      continue;
    }
    if (line[0] == ':') continue;
    const Field field = field_of(line);
    if (field.name == "event") type = field.value;
    if (field.name == "data") data += field.value + "\n";
    if (field.name == "id" && field.value.find('\0') == std::string::npos) last_event_id = field.value;
  }
  return events;
}

}  // namespace ssequel::sse::reference
