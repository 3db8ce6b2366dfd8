// What a message must look like, line by line and as a whole: pure functions, stricter than llhttp in every version, so
// that no two readers of a message can find different ends in it (RFC 9112 §11.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace ssequel::http {

// Why something is refused: a status for a client and a line of text, a literal. False if it is not.
struct Refusal {
  int status = 0;
  std::string_view reason;
  explicit operator bool() const { return status != 0; }
};

// All lines come without their CRLF.

// method SP request-target SP HTTP/1.x (RFC 9112 §3), each space alone. Sets method, target, minor_version,
// origin_form, and host for absolute-form.
[[nodiscard]] Refusal parse_request_line(std::string_view line, std::size_t target_bytes, RequestHead& head);
// HTTP/1.x SP status [SP reason] (RFC 9112 §4). The space before an empty reason may be missing: many leave it out.
[[nodiscard]] Refusal parse_status_line(std::string_view line, ResponseHead& head);
// name ":" OWS value OWS (RFC 9112 §5). The views are parts of line.
[[nodiscard]] Refusal parse_field_line(std::string_view line, Field& field);

// When all fields are there: host, framing, keep_alive, expects_continue, is_upgrade. For absolute-form targets the
// Host field becomes the target's authority (RFC 9112 §3.2.2).
[[nodiscard]] Refusal finish_request(RequestHead& head);
// is_head: answers a HEAD; is_connect: answers a CONNECT.
struct Answered {
  bool is_head = false;
  bool is_connect = false;
};
// message: the framing that the fields declare. head.framing is what is on the wire, None for some whatever is
// declared.
[[nodiscard]] Refusal finish_response(ResponseHead& head, Answered answered, Framing& declared);

// Fields of a trailer section that would have changed how the message is delimited, routed or connected (RFC 9110
// §6.5.1).
[[nodiscard]] Refusal check_trailers(const Fields& trailers);

// chunk-size [chunk-ext] (RFC 9112 §7.1), without white space outside of quoted strings. extension_bytes: of this line.
[[nodiscard]] Refusal parse_chunk_line(std::string_view line, std::uint64_t& size, std::size_t& extension_bytes);
inline constexpr std::size_t kChunkSizeDigits = 16;  // At most; 64 bits.

}  // namespace ssequel::http
