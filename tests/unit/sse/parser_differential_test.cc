// The parser against a reference that follows the standard word by word, on streams made at random.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "random_stream.h"
#include "recorder.h"
#include "reference_parser.h"
#include "sse/frame.h"
#include "sse/parser.h"

namespace ssequel::sse {
namespace {

std::vector<std::string_view> random_pieces(RandomStreams& random, std::string_view stream) {
  std::vector<std::string_view> pieces;
  const std::size_t most = 1 + random.below(40);
  while (!stream.empty()) {
    pieces.push_back(stream.substr(0, 1 + random.below(most)));
    stream.remove_prefix(pieces.back().size());
  }
  return pieces;
}

TEST_CASE("random streams give what the reference parser gives, at any split, limit and pause") {
  const auto seed = RandomStreams::seed();
  CAPTURE(seed);
  RandomStreams random(seed);
  for (int i = 0; i < 30'000; ++i) {
    const std::string stream = random.next();
    const std::size_t limit = random.below(3) == 0 ? random.below(120) : 1'000'000;
    const auto expected = reference::reports_of(stream, limit);
    const bool pauses = random.below(4) == 0;
    const auto whole = reports_of<Parser>({stream}, limit, pauses);
    const auto split = reports_of<Parser>(random_pieces(random, stream), limit, pauses);
    if (whole == expected && split == expected) continue;
    CAPTURE(printable(stream));
    CAPTURE(limit);
    REQUIRE(whole == expected);
    REQUIRE(split == expected);
  }
}

// Frames every event anew, with ids 1, 2, 3 ...
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

TEST_CASE("a client of the frames dispatches the same events as a client of the stream, but for the ids") {
  const auto seed = RandomStreams::seed();
  CAPTURE(seed);
  RandomStreams random(seed);
  std::size_t events = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string stream = random.next();
    Reframer reframer(i % 2 == 0 ? IdPlace::First : IdPlace::Last);
    Parser parser(reframer, 1'000'000);
    for (const auto piece : random_pieces(random, stream)) feed_all(parser, piece);
    auto expected = reference::dispatched_by(stream);
    for (std::size_t n = 0; n < expected.size(); ++n) expected[n].last_event_id = std::to_string(n + 1);
    events += expected.size();
    if (reference::dispatched_by(reframer.out) == expected) continue;
    CAPTURE(printable(stream));
    CAPTURE(printable(reframer.out));
    REQUIRE(reference::dispatched_by(reframer.out) == expected);
  }
  CHECK(events > 5'000);  // Else the streams would prove nothing.
}

}  // namespace
}  // namespace ssequel::sse
