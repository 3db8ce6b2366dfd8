// Requests in a row on one connection: no crash, the same steps whole and cut, and an accepted head survives being
// written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/http/transcript.h"
#include "http/parser.h"
#include "http/serializer.h"
#include "pieces.h"

using namespace ssequel::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_head(const RequestHead& head) {
  require(is_token(head.method) && !head.target.empty());
  require(head.minor_version == 0 || !head.host.empty());
  require(head.framing.kind != Framing::Kind::UntilClose);
  require(!(head.fields.has("Content-Length") && head.fields.has("Transfer-Encoding")));
  require(head.fields.count("Host") <= 1 && head.fields.get("Host").value_or("") == head.host);
  require(head.framing.kind != Framing::Kind::None || !head.fields.has("Content-Length"));

  std::string written;
  append_request_line(written, head.method, head.target);
  if (head.minor_version == 0) written.replace(written.find(" HTTP/1.1\r\n"), 11, " HTTP/1.0\r\n");
  head.fields.append_to(written);
  written += "\r\n";
  RequestParser again(ParserLimits{.header_bytes = 1 << 20});
  std::string_view input = written;
  require(again.step(input) == Step::Head);
  require(describe(again.head()) == describe(head));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const ParserLimits limits{.header_bytes = 512, .target_bytes = 64, .fields = 16, .chunk_extension_bytes = 32};
  RequestParser whole_parser(limits);
  RequestParser cut_parser(limits);
  std::string rest(all);
  while (!rest.empty()) {
    const Transcript read = read_message(whole_parser, whole(rest));
    const Transcript cut = read_message(cut_parser, cut_by(rest, all));
    if (read.last == Step::Failed) {
      require(cut.last == Step::Failed && cut.status == read.status && cut.content == read.content);
      require(read.status == 400 || read.status == 414 || read.status == 431 || read.status == 505);
      break;
    }
    require(cut == read);
    if (!read.steps.empty()) check_head(whole_parser.head());
    if (read.last == Step::NeedMore) break;
    require(read.last == Step::Complete);
    rest = read.rest;
    whole_parser.reset();
    cut_parser.reset();
  }
  return 0;
}
