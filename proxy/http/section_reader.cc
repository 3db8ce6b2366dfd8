#include "http/section_reader.h"

#include <algorithm>
#include <cstring>

namespace ssequel::http {

namespace {
constexpr std::size_t kKeptBytes = 1024;  // Of memory, between messages.
}

LineReader::Outcome LineReader::next(std::string_view& input, std::size_t limit) {
  if (is_kept_given_) {
    kept_.clear();
    is_kept_given_ = false;
  }
  raw_ = {};
  if (input.empty()) return Outcome::NeedMore;  // memchr() takes no null pointer.
  const std::size_t room = limit - std::min(limit, kept_.size());
  const std::size_t reach = std::min(room, input.size());
  const void* found = std::memchr(input.data(), '\n', reach);
  const std::size_t taken =
      found == nullptr ? reach : static_cast<std::size_t>(static_cast<const char*>(found) - input.data()) + 1;
  if (found != nullptr && kept_.empty()) {
    raw_ = input.substr(0, taken);
  } else {
    kept_.append(input.substr(0, taken));
  }
  if (found == nullptr && input.size() <= room) {
    input = {};
    return Outcome::NeedMore;
  }
  if (!kept_.empty()) {
    raw_ = kept_;
    is_kept_given_ = true;
  }
  if (found == nullptr) return Outcome::TooLong;
  input.remove_prefix(taken);
  if (raw_.size() < 2 || raw_[raw_.size() - 2] != '\r') return Outcome::BareLf;
  return Outcome::Line;
}

std::string_view LineReader::line() const {
  std::string_view line = raw_;
  if (line.ends_with("\r\n")) line.remove_suffix(2);
  return line;
}

std::string_view LineReader::unfinished() const { return is_kept_given_ ? std::string_view{} : kept_; }

void LineReader::reset() {
  if (kept_.capacity() > kKeptBytes) {
    kept_ = {};
  } else {
    kept_.clear();
  }
  is_kept_given_ = false;
  raw_ = {};
}

SectionReader::Outcome SectionReader::refuse(const Refusal& refusal) {
  refusal_ = refusal;
  return Outcome::Refused;
}

SectionReader::Outcome SectionReader::next_line(std::string_view& input) {
  switch (lines_.next(input, limits_.header_bytes - bytes_)) {
    case LineReader::Outcome::NeedMore:
      return Outcome::NeedMore;
    case LineReader::Outcome::Line:
      bytes_ += lines_.raw().size();
      return Outcome::Done;
    case LineReader::Outcome::BareLf:
      return refuse({400, "a line ends in LF without CR"});
    case LineReader::Outcome::TooLong:
      is_over_limit_ = true;
      return refuse({431, "the header section is too large"});
  }
  return Outcome::Refused;
}

SectionReader::Outcome SectionReader::read_fields(std::string_view& input, Fields& fields, LlhttpJudge& judge) {
  while (true) {
    const Outcome outcome = next_line(input);
    if (outcome != Outcome::Done) return outcome;
    const std::string_view line = lines_.line();
    if (!line.empty()) {
      Field field;
      if (const Refusal refusal = parse_field_line(line, field)) return refuse(refusal);
      if (fields.size() == limits_.fields) return refuse({431, "too many fields"});
      fields.add(field.name, field.value);
    }
    if (!judge.feed(lines_.raw())) return refuse({400, judge.reason()});
    if (line.empty()) return outcome;
  }
}

void SectionReader::reset() {
  lines_.reset();
  bytes_ = 0;
  is_over_limit_ = false;
  refusal_ = {};
}

}  // namespace ssequel::http
