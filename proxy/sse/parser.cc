#include "sse/parser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/ascii.h"
#include "base/seeded_bug.h"
#include "sse/buffer.h"

namespace ssequel::sse {
namespace {

constexpr std::uint64_t kMaxReconnectionTime = std::uint64_t{1} << 53;
// Of an over-long line: enough to tell its field ("retry:" is the longest we ask for).
constexpr std::size_t kFieldPrefix = 6;

enum class Field { Comment, Data, Id, Retry, Other };

bool is_field(std::string_view line, std::string_view name) {
  return line.substr(0, name.size()) == name && (line.size() == name.size() || line[name.size()] == ':');
}

// Of a line that is not empty; its first kFieldPrefix bytes decide. Field names are compared literally, with no change
// of case (§9.2.6).
Field field_of(std::string_view line) {
  switch (line.front()) {
    case ':':
      return Field::Comment;
    case 'd':
      return is_field(line, "data") ? Field::Data : Field::Other;
    case 'i':
      return is_field(line, "id") ? Field::Id : Field::Other;
    case 'r':
      return is_field(line, "retry") ? Field::Retry : Field::Other;
  }
  return Field::Other;
}

// §9.2.6: what follows the colon, less one space; a line without a colon is a field with an empty value.
std::string_view field_value(std::string_view line, std::string_view name) {
  line.remove_prefix(std::min(name.size() + 1, line.size()));
  if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return line;
}

// Finds line ends. It remembers the next LF, so that a stream of CRs is not searched to its end for each of its lines.
class LineEnds {
 public:
  explicit LineEnds(std::string_view bytes) : bytes_(bytes) {}

  // The first CR or LF at or behind from, or the input's end.
  std::size_t find(std::size_t from) {
    if (next_lf_ < from || !is_known_) {
      next_lf_ = search('\n', from, bytes_.size());
      is_known_ = true;
    }
    return search('\r', from, next_lf_);
  }

 private:
  std::size_t search(char c, std::size_t from, std::size_t to) const {
    if (from == to) return to;
    const void* const at = std::memchr(bytes_.data() + from, c, to - from);
    return at == nullptr ? to : static_cast<std::size_t>(static_cast<const char*>(at) - bytes_.data());
  }

  std::string_view bytes_;
  std::size_t next_lf_ = 0;
  bool is_known_ = false;
};

}  // namespace

Parser::Parser(ParserListener& listener, std::size_t max_event_bytes)
    : listener_(&listener), max_event_bytes_(max_event_bytes) {}

std::size_t Parser::feed(std::string_view bytes) {
  if (seeded_bug("split-crlf")) skip_lf_ = false;
  std::size_t at = bom_matched_ < kByteOrderMark.size() ? skip_byte_order_mark(bytes) : 0;
  LineEnds line_ends(bytes);
  while (at < bytes.size()) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (bytes[at] == '\n') {
        ++at;
        is_crlf_ = true;
        if (block_bytes_ != 0) count(1);
        continue;
      }
    }
    const std::size_t end = line_ends.find(at);
    const std::string_view piece = bytes.substr(at, end - at);
    if (end == bytes.size()) {
      flush_run();
      keep_unfinished(piece);
      return bytes.size();
    }
    at = end + 1;
    skip_lf_ = bytes[end] == '\r';
    Flow flow = Flow::Go;
    if (line_bytes_ == 0) {
      flow = end_line(piece, piece.size(), !skip_lf_);
    } else {
      keep_unfinished(piece);
      flow = end_line(line_, line_bytes_, false);
      line_bytes_ = 0;
      clear(line_);
    }
    if (flow == Flow::Pause) {
      if (skip_lf_ && at < bytes.size()) {
        skip_lf_ = false;
        if (bytes[at] == '\n') ++at;
      }
      return at;
    }
  }
  flush_run();
  return bytes.size();
}

bool Parser::end() {
  const bool had_data = has_data_ || (line_bytes_ != 0 && field_of(line_) == Field::Data);
  reset_block();
  line_bytes_ = 0;
  bom_matched_ = 0;
  skip_lf_ = false;
  for (auto* buffer : {&block_, &line_, &id_buffer_}) std::string().swap(*buffer);  // It may have been the last stream.
  return had_data;
}

// The UTF-8 decode algorithm takes one byte order mark away, at the very start only. Bytes that turn out to be none are
// the first of the first line.
std::size_t Parser::skip_byte_order_mark(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && bom_matched_ < kByteOrderMark.size()) {
    if (bytes[at] == kByteOrderMark[bom_matched_]) {
      ++at;
      ++bom_matched_;
    } else {
      keep_unfinished(kByteOrderMark.substr(0, bom_matched_));
      bom_matched_ = kByteOrderMark.size();
    }
  }
  return at;
}

void Parser::keep_unfinished(std::string_view piece) {
  if (piece.empty()) return;
  line_bytes_ += piece.size();
  if (line_bytes_ <= max_event_bytes_) {
    line_.append(piece);
  } else if (line_.size() > kFieldPrefix) {
    const std::string prefix = line_.substr(0, kFieldPrefix);
    clear(line_);
    line_.append(prefix);
  } else {
    line_.append(piece.substr(0, kFieldPrefix - line_.size()));
  }
  const bool is_counted = block_bytes_ != 0 || line_.front() != ':';
  if (is_counted && block_bytes_ + line_bytes_ > max_event_bytes_) drop_lines();
}

// line: all of it, or if line_bytes is over the limit, at least what tells its field. is_view: it lies in the input and
// is followed there by an LF.
ParserListener::Flow Parser::end_line(std::string_view line, std::uint64_t line_bytes, bool is_view) {
  if (line.empty()) return end_block();
  is_crlf_ = false;
  const bool is_whole = line_bytes <= max_event_bytes_;
  const Field field = field_of(line);
  if (field == Field::Comment) {
    if (is_whole) listener_->on_comment(line.substr(1));
    if (block_bytes_ != 0) count(line_bytes + 1);
    return Flow::Go;
  }
  count(line_bytes + 1);
  switch (field) {
    case Field::Data:
      has_data_ = true;
      keep_line(line, is_view);
      break;
    case Field::Id:
      if (is_whole) take_id(field_value(line, "id"));
      break;
    case Field::Retry:
      if (is_whole) take_retry(field_value(line, "retry"));
      break;
    case Field::Comment:
    case Field::Other:
      keep_line(line, is_view);
      break;
  }
  return Flow::Go;
}

// The empty line: "dispatch the event" of §9.2.6. The last event ID string is set before the data buffer is looked at.
ParserListener::Flow Parser::end_block() {
  if (block_bytes_ == 0) return Flow::Go;
  // The event is dispatched at the CR; whether an LF follows may not be known yet, but the line before tells.
  count(skip_lf_ && is_crlf_ ? 2 : 1);
  if (has_id_) std::swap(last_event_id_, id_buffer_);
  const auto id = has_id_ ? std::optional<std::string_view>(last_event_id_) : std::nullopt;
  Flow flow = Flow::Go;
  if (has_data_ && is_oversized_) {
    flow = listener_->on_oversized({.id = id, .last_event_id = last_event_id_, .received_bytes = block_bytes_});
  } else if (has_data_) {
    if (!block_.empty()) flush_run();
    flow = listener_->on_event({.lines = block_.empty() ? run_ : std::string_view(block_),
                                .id = id,
                                .last_event_id = last_event_id_,
                                .received_bytes = block_bytes_});
  } else if (has_id_) {
    listener_->on_last_event_id(last_event_id_);
  }
  reset_block();
  return flow;
}

void Parser::count(std::uint64_t bytes) {
  block_bytes_ += bytes;
  if (block_bytes_ > max_event_bytes_) drop_lines();
}

void Parser::keep_line(std::string_view line, bool is_view) {
  if (is_oversized_) return;
  if (is_view) {
    if (run_.data() + run_.size() == line.data()) {
      run_ = {run_.data(), run_.size() + line.size() + 1};
      return;
    }
    flush_run();
    run_ = {line.data(), line.size() + 1};
    return;
  }
  flush_run();
  block_.append(line).push_back('\n');
}

// An id with a NUL in it is ignored (§9.2.6), since it could not stand in a field of a request.
void Parser::take_id(std::string_view value) {
  if (value.find('\0') != std::string_view::npos) return;
  id_buffer_.assign(value);
  has_id_ = true;
}

void Parser::take_retry(std::string_view value) {
  if (value.empty()) return;
  std::uint64_t time = 0;
  for (const char c : value) {
    if (!ascii::is_digit(c)) return;
    time = std::min(time * 10 + static_cast<std::uint64_t>(c - '0'), kMaxReconnectionTime);
  }
  listener_->on_retry(time);
}

void Parser::flush_run() {
  block_.append(run_);
  run_ = {};
}

void Parser::drop_lines() {
  is_oversized_ = true;
  run_ = {};
  clear(block_);
}

void Parser::reset_block() {
  clear(block_);
  run_ = {};
  block_bytes_ = 0;
  has_id_ = has_data_ = is_oversized_ = false;
}

}  // namespace ssequel::sse
