#include "redis/reply_reader.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"

namespace ssequel::redis {
namespace {

Reply convert(const redisReply& raw) {
  Reply reply;
  if (raw.str != nullptr) reply.text.assign(raw.str, static_cast<std::size_t>(raw.len));
  switch (raw.type) {
    case REDIS_REPLY_STATUS:
      reply.kind = Reply::Kind::Status;
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = Reply::Kind::Error;
      break;
    case REDIS_REPLY_INTEGER:
      reply.kind = Reply::Kind::Integer;
      reply.integer = raw.integer;
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::Array;
      reply.elements.reserve(static_cast<std::size_t>(raw.elements));
      for (std::size_t i = 0; i < static_cast<std::size_t>(raw.elements); ++i) {
        reply.elements.push_back(convert(*raw.element[i]));
      }
      break;
    case REDIS_REPLY_NIL:
      break;
    default:  // A string, or one of RESP3's kinds, which nobody asks for.
      reply.kind = Reply::Kind::String;
      break;
  }
  return reply;
}

tl::unexpected<Error> malformed(const redisReader& reader) {
  return fail(ErrorCode::Malformed, std::string("the answer is no RESP: ") + reader.errstr);
}

}  // namespace

void ReplyReader::Free::operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }

ReplyReader::ReplyReader() : reader_(redisReaderCreate()) { SSEQUEL_ASSERT(reader_ != nullptr, "memory for a parser"); }

Result<void> ReplyReader::feed(std::string_view bytes) {
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) return malformed(*reader_);
  return {};
}

Result<std::optional<Reply>> ReplyReader::next() {
  void* raw = nullptr;
  if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) return malformed(*reader_);
  if (raw == nullptr) return std::nullopt;
  const std::unique_ptr<redisReply, void (*)(void*)> owned(static_cast<redisReply*>(raw), freeReplyObject);
  return convert(*owned);
}

}  // namespace ssequel::redis
