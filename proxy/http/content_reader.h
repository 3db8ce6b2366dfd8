// Content without its framing (RFC 9112 §6.3, §7.1), and the trailer section behind it. Pieces are views of the input.
//
//   begin ─► Plain ───────────────────────────────────────────────────────────────────────────► Over
//        └─► ChunkLine ─size─► ChunkData ─all of it─► ChunkEnd ─CRLF─► ChunkLine
//                     └─zero─► Trailers ─empty line─► (Trailers told, if any) ────────────────► Over
#pragma once

#include <cstdint>
#include <string_view>

#include "http/fields.h"
#include "http/llhttp_judge.h"
#include "http/parser.h"
#include "http/section_reader.h"

namespace ssequel::http {

class ContentReader {
 public:
  // All must outlive the reader. judge: has been shown the head, and agrees. section: behind the head.
  ContentReader(const ParserLimits& limits, SectionReader& section, LlhttpJudge& judge)
      : limits_(limits), section_(section), judge_(judge) {}

  void begin(const Framing& framing);
  // NeedMore, Content, Trailers, Complete or Failed. Content delimited by close never completes here.
  Step step(std::string_view& input);

  [[nodiscard]] std::string_view content() const { return content_; }
  [[nodiscard]] Fields& trailers() { return trailers_; }
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

 private:
  enum class State { Plain, ChunkLine, ChunkData, ChunkEnd, Trailers, Over };

  Step plain(std::string_view& input);
  Step chunk_line(std::string_view& input);
  Step chunk_data(std::string_view& input);
  Step chunk_end(std::string_view& input);
  Step trailer_section(std::string_view& input);
  Step refuse(const Refusal& refusal);
  Step refuse_by_judge() { return refuse({400, judge_.reason()}); }

  const ParserLimits& limits_;
  SectionReader& section_;
  LlhttpJudge& judge_;
  State state_ = State::Over;
  std::uint64_t left_ = 0;           // Plain, ChunkData: bytes to come.
  bool is_until_close_ = false;      // Plain: there is no end to count down to.
  std::size_t extension_bytes_ = 0;  // Of all chunks so far.
  std::string_view content_;
  Fields trailers_;
  Refusal refusal_;
};

}  // namespace ssequel::http
