// gzip and deflate to bytes, with a cap: for upstreams that compress an event stream in spite of
// `Accept-Encoding: identity`. zlib does the work; output comes as soon as the input allows (sync flush).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace ssequel::http {

enum class ContentCoding { Identity, Gzip, Deflate };
// The codings we can undo, from a Content-Encoding value (x-gzip too; a list of one); nullopt for anything else.
[[nodiscard]] std::optional<ContentCoding> content_coding(std::string_view content_encoding);

class Inflater {
 public:
  explicit Inflater(ContentCoding coding);  // Gzip or Deflate (zlib or, as some send it, raw).
  ~Inflater();
  Inflater(Inflater&&) noexcept;
  Inflater& operator=(Inflater&&) noexcept;

  // Calls sink(bytes) with pieces of at most 16 KiB; memory stays bounded whatever the ratio. Several gzip members in a
  // row are one content (RFC 1952 §2.2). Malformed if the coding is broken or bytes follow its end.
  Result<void> feed(std::string_view bytes, const std::function<void(std::string_view)>& sink);
  // True if the content may end here: at the end of a member, or before the first byte.
  [[nodiscard]] bool is_at_end() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ssequel::http
