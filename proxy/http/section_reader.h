// Lines, and sections of field lines (RFC 9112 §2.1, §5): what a message has besides content. Lines end in CRLF and in
// nothing else. A line that lies whole in the input is not copied.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "http/fields.h"
#include "http/llhttp_judge.h"
#include "http/parser.h"
#include "http/rules.h"

namespace ssequel::http {

class LineReader {
 public:
  enum class Outcome {
    NeedMore,  // The input is used up; the beginning of a line is kept.
    Line,      // line() is one.
    TooLong,   // The line does not end within the limit; line() is its beginning.
    BareLf     // It ends in LF alone.
  };

  // Takes the next line from the front of input. limit: bytes this line may have, its end included.
  Outcome next(std::string_view& input, std::size_t limit);

  // Valid until the next call or until the input it came from goes.
  [[nodiscard]] std::string_view line() const;                 // Without its end.
  [[nodiscard]] std::string_view raw() const { return raw_; }  // With it.
  [[nodiscard]] std::string_view unfinished() const;           // What is kept of a line to come.
  // Drops what is kept, and the memory too if it is more than a little.
  void reset();

 private:
  std::string kept_;
  bool is_kept_given_ = false;  // True exactly while raw_ is a view of kept_.
  std::string_view raw_;
};

// A section: first line (of a head), field lines, empty line; counted against the limits.
class SectionReader {
 public:
  enum class Outcome { NeedMore, Done, Refused };

  explicit SectionReader(const ParserLimits& limits) : limits_(limits) {}

  // Takes one line and counts it. What goes wrong is in refusal().
  Outcome next_line(std::string_view& input);
  [[nodiscard]] const LineReader& lines() const { return lines_; }
  // The line just taken does not count: empty lines before a message.
  void forget_line() { bytes_ -= lines_.raw().size(); }

  // Takes field lines up to and with the empty line, and shows each to the judge.
  Outcome read_fields(std::string_view& input, Fields& fields, LlhttpJudge& judge);

  [[nodiscard]] const Refusal& refusal() const { return refusal_; }
  [[nodiscard]] bool is_over_limit() const { return is_over_limit_; }
  // The next section.
  void reset();
  // A line of the chunked coding, which is no part of a section and has a limit of its own.
  LineReader::Outcome next_chunk_line(std::string_view& input, std::size_t limit) { return lines_.next(input, limit); }

 private:
  Outcome refuse(const Refusal& refusal);

  const ParserLimits& limits_;
  LineReader lines_;
  std::size_t bytes_ = 0;
  bool is_over_limit_ = false;  // True exactly when refusal_ speaks of header_bytes.
  Refusal refusal_;
};

}  // namespace ssequel::http
