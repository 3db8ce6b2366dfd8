// A listener that writes down what a parser reports, one line of text a report, so that tests compare and print it. It
// pauses when told to.
#pragma once

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "sse/parser.h"

namespace ssequel::sse {

// Control and non-ASCII bytes as \xNN; a failed test prints what differs.
inline std::string printable(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte > 0x7E) {
      (out += "\\x") += {kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

// What a parser reported, in order; prints one report a line.
struct Reports : std::vector<std::string> {
  using vector::vector;
  friend std::ostream& operator<<(std::ostream& out, const Reports& reports) {
    for (const auto& report : reports) out << "\n    " << report;
    return out;
  }
};

// The lines that a Recorder writes, so that tests and the reference parser can make them too.
inline std::string described_ids(std::optional<std::string_view> id, std::string_view last_event_id) {
  return (id.has_value() ? " id=" + printable(*id) : " no id") + " last=" + printable(last_event_id);
}
inline std::string described_event(std::string_view lines, std::optional<std::string_view> id,
                                   std::string_view last_event_id, std::uint64_t bytes) {
  return "event " + printable(lines) + described_ids(id, last_event_id) + " bytes=" + std::to_string(bytes);
}
inline std::string described_oversized(std::optional<std::string_view> id, std::string_view last_event_id,
                                       std::uint64_t bytes) {
  return "oversized" + described_ids(id, last_event_id) + " bytes=" + std::to_string(bytes);
}
inline std::string described_last_event_id(std::string_view id) { return "last event id " + printable(id); }
inline std::string described_comment(std::string_view text) { return "comment " + printable(text); }
inline std::string described_retry(std::uint64_t time) { return "retry " + std::to_string(time); }

class Recorder final : public ParserListener {
 public:
  Reports reports;
  bool pauses_always = false;
  std::size_t pauses = 0;

  Flow on_event(const Event& event) override {
    reports.push_back(described_event(event.lines, event.id, event.last_event_id, event.received_bytes));
    return answer();
  }
  Flow on_oversized(const OversizedEvent& event) override {
    reports.push_back(described_oversized(event.id, event.last_event_id, event.received_bytes));
    return answer();
  }
  void on_last_event_id(std::string_view id) override { reports.push_back(described_last_event_id(id)); }
  void on_comment(std::string_view text) override { reports.push_back(described_comment(text)); }
  void on_retry(std::uint64_t time) override { reports.push_back(described_retry(time)); }

 private:
  Flow answer() {
    if (!pauses_always) return Flow::Go;
    ++pauses;
    return Flow::Pause;
  }
};

// Feeds a copy on the heap of exactly these bytes, so that a sanitizer sees a read beyond them, again and again until
// all are taken.
template <class Parser>
void feed_all(Parser& parser, std::string_view bytes) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  std::string_view rest(copy.data(), copy.size());
  while (!rest.empty()) rest.remove_prefix(parser.feed(rest));
}

// What is reported of a stream that comes in these pieces.
template <class Parser>
Reports reports_of(const std::vector<std::string_view>& pieces, std::size_t max_event_bytes, bool pauses = false) {
  Recorder recorder;
  recorder.pauses_always = pauses;
  Parser parser(recorder, max_event_bytes);
  for (const auto piece : pieces) feed_all(parser, piece);
  parser.end();
  return recorder.reports;
}

inline std::vector<std::string_view> one_by_one(std::string_view bytes) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
  return pieces;
}

}  // namespace ssequel::sse
