// Any bytes, split anywhere, with any limit and any pauses: the parser reports what the reference parser reports, keeps
// no more than it may, and its frames dispatch what the stream does. The same for JSON lines, against themselves fed
// whole. The first four bytes choose the limit, the pauses and the splits; the rest is the stream.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "../unit/sse/recorder.h"
#include "../unit/sse/reference_parser.h"
#include "sse/frame.h"
#include "sse/ndjson.h"
#include "sse/parser.h"

namespace {

using namespace ssequel::sse;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Splits the stream by a small generator, in pieces of at most `most` bytes.
std::vector<std::string_view> pieces_of(std::string_view stream, unsigned seed, std::size_t most) {
  std::vector<std::string_view> pieces;
  std::uint32_t state = seed;
  while (!stream.empty()) {
    state = state * 1664525 + 1013904223;
    pieces.push_back(stream.substr(0, 1 + (state >> 16) % most));
    stream.remove_prefix(pieces.back().size());
  }
  return pieces;
}

class Reframer final : public ParserListener {
 public:
  explicit Reframer(IdPlace place) : place_(place) {}
  std::string out;

  Flow on_event(const Event& event) override {
    append_frame(out, std::to_string(++frames_), event.lines, event.id, {}, place_);
    return Flow::Go;
  }
  Flow on_oversized(const OversizedEvent&) override { return Flow::Go; }
  void on_last_event_id(std::string_view) override {}
  void on_comment(std::string_view) override {}
  void on_retry(std::uint64_t) override {}

 private:
  IdPlace place_;
  int frames_ = 0;
};

void check_frames(const std::string& stream, IdPlace place) {
  Reframer reframer(place);
  Parser parser(reframer, stream.size() + 1);
  feed_all(parser, stream);
  auto expected = reference::dispatched_by(stream);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i].last_event_id = std::to_string(i + 1);
  require(reference::dispatched_by(reframer.out) == expected, "frames dispatch what the stream does");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 4) return 0;
  const std::size_t limit = bytes[0] < 128 ? bytes[0] : 1'000'000;
  const bool pauses = bytes[1] % 2 == 1;
  const auto place = bytes[1] % 4 < 2 ? IdPlace::First : IdPlace::Last;
  const std::size_t most = 1 + bytes[2] % 64;
  const std::string stream(reinterpret_cast<const char*>(bytes) + 4, size - 4);
  const auto pieces = pieces_of(stream, bytes[3], most);

  const auto expected = reference::reports_of(stream, limit);
  require(reports_of<Parser>({stream}, limit, pauses) == expected, "the whole stream gives the reference's reports");
  require(reports_of<Parser>(pieces, limit, pauses) == expected, "a split stream gives the reference's reports");
  require(reports_of<NdjsonParser>({stream}, limit) == reports_of<NdjsonParser>(pieces, limit, pauses),
          "split JSON lines give what whole ones give");

  Recorder recorder;
  Parser parser(recorder, limit);
  for (const auto piece : pieces) {
    parser.feed(piece);
    require(parser.buffered_bytes() <= 2 * limit + 6, "what is kept is bounded");
  }
  check_frames(stream, place);
  return 0;
}
