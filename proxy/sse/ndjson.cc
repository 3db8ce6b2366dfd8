#include "sse/ndjson.h"

#include "sse/buffer.h"

namespace ssequel::sse {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r";  // RFC 8259 §2, less the LF that ends a line.
constexpr std::string_view kData = "data: ";

bool is_blank(std::string_view text) { return text.find_first_not_of(kWhiteSpace) == std::string_view::npos; }

}  // namespace

NdjsonParser::NdjsonParser(ParserListener& listener, std::size_t max_event_bytes)
    : listener_(&listener), max_event_bytes_(max_event_bytes) {}

std::size_t NdjsonParser::feed(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t end = bytes.find('\n', at);
    if (end == std::string_view::npos) {
      keep_unfinished(bytes.substr(at));
      return bytes.size();
    }
    std::string_view line = bytes.substr(at, end - at);
    at = end + 1;
    if (line_bytes_ != 0) {
      keep_unfinished(line);
      line = line_;
    } else {
      line_bytes_ = line.size();
    }
    const Flow flow = end_line(line, line_bytes_ + 1);
    if (flow == Flow::Pause) return at;
  }
  return bytes.size();
}

void NdjsonParser::end() {
  if (line_bytes_ != 0) end_line(line_, line_bytes_);
  is_first_line_ = true;
}

void NdjsonParser::keep_unfinished(std::string_view piece) {
  line_bytes_ += piece.size();
  if (line_bytes_ <= max_event_bytes_) {
    line_.append(piece);
    return;
  }
  has_content_ = has_content_ || !is_blank(line_) || !is_blank(piece);
  clear(line_);
}

ParserListener::Flow NdjsonParser::end_line(std::string_view line, std::uint64_t received_bytes) {
  const bool is_whole = line_bytes_ <= max_event_bytes_;
  if (is_whole && is_first_line_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  is_first_line_ = false;
  Flow flow = Flow::Go;
  if (has_content_ || !is_blank(line)) {
    if (is_whole && received_bytes <= max_event_bytes_ && split_at_cr(line)) {
      flow = listener_->on_event({.lines = lines_, .id = {}, .last_event_id = {}, .received_bytes = received_bytes});
    } else {
      flow = listener_->on_oversized({.id = {}, .last_event_id = {}, .received_bytes = received_bytes});
    }
  }
  clear(lines_);
  clear(line_);
  line_bytes_ = 0;
  has_content_ = false;
  return flow;
}

// Each CR becomes six bytes more: the growth is stopped here, so that a line cannot swell the log sevenfold.
bool NdjsonParser::split_at_cr(std::string_view line) {
  if (line.back() == '\r') line.remove_suffix(1);
  for (;;) {
    const std::size_t end = line.find('\r');
    lines_.append(kData).append(line.substr(0, end)).push_back('\n');
    if (lines_.size() - kData.size() > max_event_bytes_) return false;
    if (end == std::string_view::npos) return true;
    line.remove_prefix(end + 1);
  }
}

}  // namespace ssequel::sse
