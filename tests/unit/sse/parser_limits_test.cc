// Blocks, lines, ids and comments over max_event_bytes: what is reported of them, and how much is kept meanwhile.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "recorder.h"
#include "reference_parser.h"
#include "sse/parser.h"

using namespace std::literals;

namespace ssequel::sse {
namespace {

TEST_CASE("blocks over the limit are announced with their id, and the stream goes on behind them") {
  constexpr std::size_t kLimit = 20;
  const std::string x(30, 'x');
  struct Case {
    std::string name;
    std::string stream;
    Reports reports;
  };
  const std::vector<Case> cases = {
      {"a block of exactly the limit is whole",
       "data: 345678901234\n\ndata: 3456789012345\n\n",
       {R"(event data: 345678901234\n no id last= bytes=20)", "oversized no id last= bytes=21"}},
      {"many lines",
       "data: a\ndata: b\ndata: c\n\ndata\n\n",
       {"oversized no id last= bytes=25", R"(event data\n no id last= bytes=6)"}},
      {"one long line",
       "data: " + x + "\n\ndata\n\n",
       {"oversized no id last= bytes=38", R"(event data\n no id last= bytes=6)"}},
      {"a long line of another field, then data", "foo: " + x + "\ndata\n\n", {"oversized no id last= bytes=42"}},
      {"data, then a long line without a colon", "data\n" + x + "\n\n", {"oversized no id last= bytes=37"}},
      {"no data field: nothing", "foo: " + x + "\n\ndata\n\n", {R"(event data\n no id last= bytes=6)"}},
      {"no data field, but a name that begins like one", "datax" + x + "\n\n", {}},
      {"no data field: nothing but its id", "id: 1\nfoo: " + x + "\n\n", {"last event id 1"}},
      {"an id before",
       "id: 1\ndata: " + x + "\n\ndata\n\n",
       {"oversized id=1 last=1 bytes=44", R"(event data\n no id last=1 bytes=6)"}},
      {"an id behind", "data: " + x + "\nid: 2\n\n", {"oversized id=2 last=2 bytes=44"}},
      {"the last of two ids", "id: 1\ndata: " + x + "\nid: 2\n\n", {"oversized id=2 last=2 bytes=50"}},
      {"an over-long id is ignored", "id: 1\nid: " + x + "\ndata\n\n", {"oversized id=1 last=1 bytes=47"}},
      {"an over-long id alone is nothing", "id: " + x + "\n\ndata\n\n", {R"(event data\n no id last= bytes=6)"}},
      {"an over-long retry is ignored", "retry: " + std::string(30, '1') + "\n\n", {}},
      {"an over-long comment is dropped, the event is not",
       ":" + x + "\ndata: a\n\n",
       {R"(event data: a\n no id last= bytes=9)"}},
      {"an over-long comment inside a block makes it over-long",
       "data: a\n:" + x + "\n\n",
       {"oversized no id last= bytes=41"}},
      {"comments, retries and ids of an over-long block are still reported",
       "data: " + x + "\n: a\nretry: 5\nid: 6\n\n",
       {"comment  a", "retry 5", "oversized id=6 last=6 bytes=57"}},
      {"heartbeats between events never add up",
       ": heartbeat\n: heartbeat\n: heartbeat\ndata: a\n\n",
       {"comment  heartbeat", "comment  heartbeat", "comment  heartbeat", R"(event data: a\n no id last= bytes=9)"}},
      {"the LF of a CRLF counts inside a block",
       "data: a\r\ndata: b\r\n\r\n",
       {R"(event data: a\ndata: b\n no id last= bytes=20)"}},
      {"the LF of a CRLF may be the byte too many", "data: a\r\ndata: bc\r\n\r\n", {"oversized no id last= bytes=21"}},
      {"an empty line counts as the line before it ended",
       "data: a\r\r\ndata: b\n\rdata: c\r\n\ndata: d\r\n\r",
       {R"(event data: a\n no id last= bytes=9)", R"(event data: b\n no id last= bytes=9)",
        R"(event data: c\n no id last= bytes=10)", R"(event data: d\n no id last= bytes=11)"}},
      {"an unfinished one is dropped", "data: " + x + "\n", {}},
  };
  for (const auto& [name, stream, reports] : cases) {
    CAPTURE(name);
    const std::string_view whole = stream;
    CHECK(reports_of<Parser>({whole}, kLimit) == reports);
    CHECK(reports_of<Parser>({whole}, kLimit, true) == reports);
    CHECK(reports_of<Parser>(one_by_one(whole), kLimit) == reports);
    CHECK(reference::reports_of(stream, kLimit) == reports);
    for (std::size_t i = 1; i < whole.size(); ++i) {
      CAPTURE(i);
      CHECK(reports_of<Parser>({whole.substr(0, i), whole.substr(i)}, kLimit) == reports);
    }
  }
}

// The most that is buffered between reads of a stream without end made of one piece.
std::size_t most_buffered(std::string_view piece, std::size_t limit) {
  Recorder recorder;
  Parser parser(recorder, limit);
  std::size_t most = 0;
  for (std::size_t bytes = 0; bytes < 20 * limit; bytes += piece.size()) {
    feed_all(parser, piece);
    most = std::max(most, parser.buffered_bytes());
    recorder.reports.clear();
  }
  return most;
}

TEST_CASE("what is kept of an endless line or block stays below the limit") {
  constexpr std::size_t kLimit = 64 * 1024;
  const std::string blob(1000, 'x');
  for (const std::string& piece : {blob, "data: " + blob, "data: " + blob + "\n", "foo\n"s, "data\r"s, "data\r\n"s,
                                   ":" + blob, ": " + blob + "\n", "data: a\n:" + blob, "id: 1" + blob + "\n"}) {
    CAPTURE(piece.substr(0, 10));
    CHECK(most_buffered(piece, kLimit) <= kLimit);
  }
}

TEST_CASE("a block over the limit gives its bytes back at once") {
  Recorder recorder;
  Parser parser(recorder, 1000);
  const std::string line = "data: " + std::string(93, 'x') + "\n";  // 100 bytes
  for (int i = 0; i < 10; ++i) parser.feed(line);
  CHECK(parser.buffered_bytes() == 1000);
  parser.feed(line);
  CHECK(parser.buffered_bytes() == 0);
  parser.feed("id: 77\n");
  CHECK(parser.buffered_bytes() == 2);
  parser.feed("\n");
  CHECK(recorder.reports == Reports{"oversized id=77 last=77 bytes=1108"s});
  CHECK(parser.buffered_bytes() == 0);
}

TEST_CASE("an unfinished line that makes its block over-long gives the block's bytes back at once") {
  Recorder recorder;
  Parser parser(recorder, 1000);
  parser.feed("data: " + std::string(593, 'x') + "\nfoo: " + std::string(395, 'y'));
  CHECK(parser.buffered_bytes() == 1000);
  parser.feed("y");
  CHECK(parser.buffered_bytes() == 401);  // The line is still kept: it might be an id.
}

TEST_CASE("end tells of data in a dropped block and line too") {
  Recorder recorder;
  Parser parser(recorder, 10);
  parser.feed("data: 12345678901234567890\n");
  CHECK(parser.end());
  parser.feed("data: 12345678901234567890");
  CHECK(parser.end());
  parser.feed("datum: 12345678901234567890");
  CHECK_FALSE(parser.end());
}

TEST_CASE("limits smaller than a field name keep the structure") {
  for (std::size_t limit = 0; limit < 9; ++limit) {
    CAPTURE(limit);
    const std::string stream = "retry: 1\ndata\n\nid\n\n\ndata: a\n\nid: 1\ndata\r\r";
    CHECK(reports_of<Parser>({stream}, limit) == reference::reports_of(stream, limit));
    CHECK(reports_of<Parser>(one_by_one(stream), limit) == reference::reports_of(stream, limit));
  }
}

}  // namespace
}  // namespace ssequel::sse
