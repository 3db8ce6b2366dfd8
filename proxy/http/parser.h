// HTTP/1.1 messages, bytes to heads and content: llhttp with a policy layer of our own before it, because what one hop
// reads as one message and the next as two is an attack (RFC 9112 §11.2). Both llhttp 8.1 (strict) and 9.2 accept
// things that we refuse: obs-fold, `gzip, chunked`, Transfer-Encoding in HTTP/1.0, no or two Hosts, odd versions,
// boundless fields, chunk extensions and trailers. Every line is checked by our rules (rules.h) and then shown to
// llhttp; what either refuses is refused, and both must find the same framing.
//
// Refused too, where RFC 9112 leaves a choice: lines that end in LF alone (§2.2), two equal Content-Length lines or a
// list of them (§6.3), every transfer coding but one `chunked` (§6.1), white space around a chunk's size and in its
// extensions (§7.1.1), framing, routing and hop-by-hop fields among the trailers (§7.1.2), and in responses minor
// versions above 1; in requests those are read as 1 (RFC 9110 §2.5).
//
// A pull parser: give it bytes, take one step at a time. Any split of the bytes gives the same steps, but for where
// Content is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ssequel::http {

struct ParserLimits {
  std::size_t header_bytes = 32 * 1024;      // Request line or status line and all fields; trailers again as much.
  std::size_t target_bytes = 16 * 1024;      // Within header_bytes; a longer target is 414 rather than 431.
  std::size_t fields = 1000;                 // Field lines in a section.
  std::size_t chunk_extension_bytes = 4096;  // All extensions of one message together.
};

enum class Step {
  NeedMore,  // The input is used up.
  Head,      // head() is complete. For responses also each interim (1xx) head but 101.
  Content,   // content() is a piece of the content, without transfer coding: a view of the input. Valid until the next
             // call, and no longer than the input's bytes.
  Trailers,  // trailers() is complete (chunked only, and only if there were any).
  Complete,  // The message is over; the next one's bytes stay in the input. For requests that asked to upgrade, and for
             // 101 and 2xx-CONNECT responses, what is left of the input is no longer HTTP.
  Failed     // error() says why. Nothing further is parsed on this connection.
};

struct ParseError {
  int status = 400;    // What to answer: 400, 414, 431, 505.
  std::string reason;  // One line of plain text without a full stop, never the peer's bytes.
};

// Used by one thread at a time. Between messages it holds about 3 KiB, and what a usual head takes.
class RequestParser {
 public:
  explicit RequestParser(const ParserLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // Consumes from the front of input up to the next step and shortens input accordingly. Complete and Failed are given
  // again, and nothing consumed, until reset(); from Failed there is no way back.
  Step step(std::string_view& input);

  // After Step::Head until the next message begins. May be moved from.
  [[nodiscard]] RequestHead& head();
  [[nodiscard]] std::string_view content() const;
  [[nodiscard]] Fields& trailers();
  [[nodiscard]] const ParseError& error() const;

  // True before the first byte of a message (leading empty lines do not count): between requests.
  [[nodiscard]] bool is_idle() const;
  // After Complete: ready for the next message on the connection.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  explicit ResponseParser(const ParserLimits& limits);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;

  // Before each response: what it answers decides about content (RFC 9112 §6.3). Bytes before the first call fail.
  void expect(std::string_view request_method);

  // Interim responses (1xx but 101) give Head and nothing else; then the next head follows. A 101 gives Head, Complete.
  Step step(std::string_view& input);
  // The connection ended. Complete for content delimited by close; NeedMore if not a byte of a response was under way
  // (an interim one counts); else Failed.
  Step end();

  [[nodiscard]] ResponseHead& head();
  [[nodiscard]] std::string_view content() const;
  [[nodiscard]] Fields& trailers();
  [[nodiscard]] const ParseError& error() const;  // status is always 502.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ssequel::http
