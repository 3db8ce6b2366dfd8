#include "http/llhttp_judge.h"

namespace ssequel::http {

const llhttp_settings_t* LlhttpJudge::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_headers_complete = [](llhttp_t* parser) noexcept {
      LlhttpJudge& self = of(parser);
      self.head_end_ = true;
      self.flags_ = parser->flags;
      self.content_length_ = parser->content_length;
      return 0;
    };
    made.on_body = [](llhttp_t* parser, const char*, std::size_t length) noexcept {
      of(parser).seen_.content_bytes += length;
      return 0;
    };
    made.on_chunk_header = [](llhttp_t* parser) noexcept {
      of(parser).seen_.chunk_header = true;
      of(parser).seen_.chunk_bytes = parser->content_length;
      return 0;
    };
    made.on_chunk_complete = [](llhttp_t* parser) noexcept {
      of(parser).seen_.chunk_end = true;
      return 0;
    };
    made.on_message_complete = [](llhttp_t* parser) noexcept {
      of(parser).seen_.message_end = true;
      return 0;
    };
    return made;
  }();
  return &kSettings;
}

void LlhttpJudge::begin(llhttp_type_t type) {
  llhttp_init(&parser_, type, settings());
  parser_.data = this;
  seen_ = {};
  head_end_ = false;
}

void LlhttpJudge::begin_request() { begin(HTTP_REQUEST); }
void LlhttpJudge::begin_response() { begin(HTTP_RESPONSE); }

bool LlhttpJudge::feed(std::string_view bytes) {
  seen_ = {};
  const llhttp_errno_t verdict = llhttp_execute(&parser_, bytes.data(), bytes.size());
  // An upgrade's pause comes behind the last byte of the message, and we never show it more.
  return verdict == HPE_OK || (verdict == HPE_PAUSED_UPGRADE && seen_.message_end);
}

const char* LlhttpJudge::reason() const {
  const char* reason = llhttp_get_error_reason(&parser_);
  return reason != nullptr && *reason != '\0' ? reason : "malformed message";
}

bool LlhttpJudge::agrees(const Framing& framing) const {
  if (!head_end_) return false;
  const bool is_chunked = (flags_ & F_CHUNKED) != 0;
  const bool has_length = (flags_ & F_CONTENT_LENGTH) != 0;
  switch (framing.kind) {
    case Framing::Kind::Chunked:
      return is_chunked && !has_length;
    case Framing::Kind::Length:
      return !is_chunked && has_length && content_length_ == framing.length;
    case Framing::Kind::None:
    case Framing::Kind::UntilClose:
      return !is_chunked && !has_length;
  }
  return false;
}

}  // namespace ssequel::http
