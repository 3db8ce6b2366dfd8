// One llhttp parser for one message: the second opinion. It is shown what our own rules have accepted, line by line and
// chunk by chunk, and has to agree, about the bytes and about the framing. What either refuses is refused.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace ssequel::http {

class LlhttpJudge {
 public:
  LlhttpJudge() = default;
  LlhttpJudge(const LlhttpJudge&) = delete;  // llhttp keeps a pointer to us.
  LlhttpJudge& operator=(const LlhttpJudge&) = delete;

  // A new message.
  void begin_request();
  void begin_response();

  // False if llhttp refuses the bytes; reason() then says why.
  [[nodiscard]] bool feed(std::string_view bytes);
  [[nodiscard]] const char* reason() const;

  // After the head's empty line: that llhttp read the same framing from it.
  [[nodiscard]] bool agrees(const Framing& framing) const;

  // Of the chunked coding, each true or set from the feed() in which it was seen to the next one.
  [[nodiscard]] bool is_chunk_header() const { return seen_.chunk_header; }
  [[nodiscard]] std::uint64_t chunk_bytes() const { return seen_.chunk_bytes; }
  [[nodiscard]] std::size_t content_bytes() const { return seen_.content_bytes; }
  [[nodiscard]] bool is_chunk_end() const { return seen_.chunk_end; }
  [[nodiscard]] bool is_message_end() const { return seen_.message_end; }

 private:
  struct Seen {
    bool chunk_header = false;
    bool chunk_end = false;
    bool message_end = false;
    std::uint64_t chunk_bytes = 0;
    std::size_t content_bytes = 0;
  };
  static const llhttp_settings_t* settings();
  static LlhttpJudge& of(llhttp_t* parser) { return *static_cast<LlhttpJudge*>(parser->data); }
  void begin(llhttp_type_t type);

  llhttp_t parser_{};
  Seen seen_;
  bool head_end_ = false;
  std::uint16_t flags_ = 0;           // As they were at the end of the head; llhttp forgets them.
  std::uint64_t content_length_ = 0;  // Likewise.
};

}  // namespace ssequel::http
