// Responses to GET, HEAD and CONNECT, ended by the connection: no crash, and the same steps whole and cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/http/transcript.h"
#include "http/parser.h"
#include "pieces.h"

using namespace ssequel::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

Transcript read_response(std::string_view method, const std::vector<std::string_view>& pieces) {
  ResponseParser parser({.header_bytes = 512, .target_bytes = 64, .fields = 16, .chunk_extension_bytes = 32});
  parser.expect(method);
  Transcript read = read_message(parser, pieces);
  if (!read.steps.empty()) {
    const ResponseHead& head = parser.head();
    if (read.last == Step::Complete) require(head.status >= 101 && head.status <= 599);
    require(!(head.framing.kind == Framing::Kind::UntilClose && head.keep_alive && head.status >= 200));
  }
  if (read.last == Step::NeedMore) {
    read.last = parser.end();
    if (read.last == Step::Failed) require(parser.error().status == 502 && !parser.error().reason.empty());
  }
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  for (const char* method : {"GET", "HEAD", "CONNECT"}) {
    const Transcript read = read_response(method, whole(all));
    const Transcript cut = read_response(method, cut_by(all, all));
    require(cut.last == read.last && cut.status == read.status && cut.content == read.content);
    require(cut.steps == read.steps);
    if (read.last == Step::Complete) require(cut.rest == read.rest);
  }
  return 0;
}
