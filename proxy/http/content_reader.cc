#include "http/content_reader.h"

#include <algorithm>

#include "http/rules.h"

namespace ssequel::http {

void ContentReader::begin(const Framing& framing) {
  state_ = framing.kind == Framing::Kind::Chunked ? State::ChunkLine : State::Plain;
  left_ = framing.kind == Framing::Kind::Length ? framing.length : 0;
  is_until_close_ = framing.kind == Framing::Kind::UntilClose;
  extension_bytes_ = 0;
  content_ = {};
  if (!trailers_.empty()) trailers_ = {};  // They are rare: an idle parser keeps no memory for them.
  refusal_ = {};
}

Step ContentReader::refuse(const Refusal& refusal) {
  refusal_ = refusal;
  state_ = State::Over;
  return Step::Failed;
}

Step ContentReader::step(std::string_view& input) {
  content_ = {};
  while (true) {
    // A chunk's line and its end are no steps of their own: they say NeedMore to mean "go on" while there is input.
    Step step = Step::NeedMore;
    const State before = state_;
    switch (state_) {
      case State::Plain:
        step = plain(input);
        break;
      case State::ChunkLine:
        step = chunk_line(input);
        break;
      case State::ChunkData:
        step = chunk_data(input);
        break;
      case State::ChunkEnd:
        step = chunk_end(input);
        break;
      case State::Trailers:
        step = trailer_section(input);
        break;
      case State::Over:
        return Step::Complete;
    }
    if (step != Step::NeedMore || state_ == before) return step;
  }
}

Step ContentReader::plain(std::string_view& input) {
  if (!is_until_close_ && left_ == 0) {
    state_ = State::Over;
    return Step::Complete;
  }
  if (input.empty()) return Step::NeedMore;
  const std::size_t size =
      is_until_close_ ? input.size() : static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  content_ = input.substr(0, size);
  input.remove_prefix(size);
  if (!is_until_close_) left_ -= size;
  return Step::Content;
}

Step ContentReader::chunk_line(std::string_view& input) {
  constexpr std::size_t kLineEnd = 2;
  const std::size_t extension_room = limits_.chunk_extension_bytes - extension_bytes_;
  switch (section_.next_chunk_line(input, kChunkSizeDigits + extension_room + kLineEnd)) {
    case LineReader::Outcome::NeedMore:
      return Step::NeedMore;
    case LineReader::Outcome::Line:
      break;
    case LineReader::Outcome::TooLong:
      return refuse({400, "the chunk extensions are too long"});
    case LineReader::Outcome::BareLf:
      return refuse({400, "a chunk's line ends in LF without CR"});
  }
  const std::string_view line = section_.lines().line();
  std::uint64_t size = 0;
  std::size_t extension_bytes = 0;
  if (const Refusal refusal = parse_chunk_line(line, size, extension_bytes)) return refuse(refusal);
  if (extension_bytes > extension_room) return refuse({400, "the chunk extensions are too long"});
  extension_bytes_ += extension_bytes;
  // Extensions were checked above and mean nothing to us; llhttp 8.1 stumbles over well-formed ones (a=b;c=d).
  const bool is_seen = judge_.feed(line.substr(0, line.size() - extension_bytes)) && judge_.feed("\r\n");
  if (!is_seen || !judge_.is_chunk_header() || judge_.chunk_bytes() != size) return refuse_by_judge();
  left_ = size;
  if (size == 0) {
    section_.reset();
    state_ = State::Trailers;
  } else {
    state_ = State::ChunkData;
  }
  return Step::NeedMore;
}

Step ContentReader::chunk_data(std::string_view& input) {
  if (input.empty()) return Step::NeedMore;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  content_ = input.substr(0, size);
  if (!judge_.feed(content_) || judge_.content_bytes() != size) return refuse_by_judge();
  input.remove_prefix(size);
  left_ -= size;
  if (left_ == 0) state_ = State::ChunkEnd;
  return Step::Content;
}

Step ContentReader::chunk_end(std::string_view& input) {
  switch (section_.next_chunk_line(input, 2)) {
    case LineReader::Outcome::NeedMore:
      return Step::NeedMore;
    case LineReader::Outcome::Line:
      break;
    case LineReader::Outcome::TooLong:
    case LineReader::Outcome::BareLf:
      return refuse({400, "a chunk does not end in CRLF"});
  }
  if (!judge_.feed(section_.lines().raw()) || !judge_.is_chunk_end()) return refuse_by_judge();
  state_ = State::ChunkLine;
  return Step::NeedMore;
}

Step ContentReader::trailer_section(std::string_view& input) {
  switch (section_.read_fields(input, trailers_, judge_)) {
    case SectionReader::Outcome::NeedMore:
      return Step::NeedMore;
    case SectionReader::Outcome::Refused:
      return refuse(section_.refusal());
    case SectionReader::Outcome::Done:
      break;
  }
  if (!judge_.is_message_end()) return refuse_by_judge();
  if (const Refusal refusal = check_trailers(trailers_)) return refuse(refusal);
  state_ = State::Over;
  return trailers_.empty() ? Step::Complete : Step::Trailers;
}

}  // namespace ssequel::http
