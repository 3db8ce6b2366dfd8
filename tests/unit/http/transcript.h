// A message's steps written down as text, to compare what different cuts of the same bytes give.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace ssequel::http {

// Pieces in memory of exactly their size, each gone before the next comes: an address sanitizer sees every view that
// reaches past an end or lives too long.
class Piece {
 public:
  explicit Piece(std::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), bytes.size());
  }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

struct Transcript {
  std::string steps;  // Heads, trailers and the end, with all that they hold.
  std::string content;
  std::string rest;
  Step last = Step::NeedMore;
  int status = 0;      // Of a failure.
  std::string reason;  // Differs between cuts at a limit, and between versions of llhttp.

  friend bool operator==(const Transcript& a, const Transcript& b) {
    return a.steps == b.steps && a.content == b.content && a.rest == b.rest && a.last == b.last && a.status == b.status;
  }
};

inline std::string describe(const Framing& framing) {
  switch (framing.kind) {
    case Framing::Kind::None:
      return "none";
    case Framing::Kind::Length:
      return fmt::format("length {}", framing.length);
    case Framing::Kind::Chunked:
      return "chunked";
    case Framing::Kind::UntilClose:
      return "until close";
  }
  return {};
}

inline std::string describe(const Fields& fields) {
  std::string out;
  fields.for_each([&](const Field& field) { out += fmt::format("[{}]=[{}] ", field.name, field.value); });
  return out;
}

inline std::string describe(const RequestHead& head) {
  return fmt::format("{} {} 1.{} host={} form={} path={} query={} {} keep={} continue={} upgrade={} {}\n", head.method,
                     head.target, head.minor_version, head.host, head.origin_form, head.path(), head.query(),
                     describe(head.framing), head.keep_alive, head.expects_continue, head.is_upgrade,
                     describe(head.fields));
}

inline std::string describe(const ResponseHead& head) {
  return fmt::format("{} {} 1.{} {} keep={} {}\n", head.status, head.reason, head.minor_version, describe(head.framing),
                     head.keep_alive, describe(head.fields));
}

inline std::vector<std::string_view> whole(std::string_view bytes) { return {bytes}; }
inline std::vector<std::string_view> split_at(std::string_view bytes, std::size_t at) {
  return {bytes.substr(0, at), bytes.substr(at)};
}
inline std::vector<std::string_view> byte_by_byte(std::string_view bytes) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
  return pieces;
}

// Reads one message up to its end or failure, or to the end of the pieces.
template <class Parser>
Transcript read_message(Parser& parser, const std::vector<std::string_view>& pieces) {
  Transcript out;
  for (const auto bytes : pieces) {
    if (out.last == Step::Complete) {
      out.rest += bytes;
      continue;
    }
    const Piece piece(bytes);
    std::string_view input = piece.view();
    do {
      out.last = parser.step(input);
      if (out.last == Step::Head) out.steps += describe(parser.head());
      if (out.last == Step::Content) out.content += parser.content();
      if (out.last == Step::Trailers) out.steps += "trailers " + describe(parser.trailers());
    } while (out.last != Step::NeedMore && out.last != Step::Complete && out.last != Step::Failed);
    if (out.last == Step::Failed) {
      out.status = parser.error().status;
      out.reason = parser.error().reason;
      break;
    }
    if (out.last == Step::NeedMore) {
      if (!input.empty()) out.steps += "input left over!";
    } else {
      out.rest += input;
    }
  }
  return out;
}

}  // namespace ssequel::http
