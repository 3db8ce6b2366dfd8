#include "sse/ndjson.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "recorder.h"

using namespace std::literals;

namespace ssequel::sse {
namespace {

struct Case {
  std::string name;
  std::size_t limit;
  std::string stream;
  Reports reports;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"each line is an event",
       100,
       "{\"a\":1}\n[2]\n",
       {R"(event data: {"a":1}\n no id last= bytes=8)", R"(event data: [2]\n no id last= bytes=4)"}},
      {"a CR before the LF is taken away",
       100,
       "1\r\n2\r\r\n",
       {R"(event data: 1\n no id last= bytes=3)", R"(event data: 2\ndata: \n no id last= bytes=4)"}},
      {"a CR inside is a line break of the data",
       100,
       "[1,\r2]\n\r3\n",
       {R"(event data: [1,\ndata: 2]\n no id last= bytes=7)", R"(event data: \ndata: 3\n no id last= bytes=3)"}},
      {"blank lines are skipped", 100, "\n \t\r\n\r\r\n1\n\n", {R"(event data: 1\n no id last= bytes=2)"}},
      {"white space around a value stays", 100, "  1 \n", {R"(event data:   1 \n no id last= bytes=5)"}},
      {"a last line needs no LF",
       100,
       "1\n2",
       {R"(event data: 1\n no id last= bytes=2)", R"(event data: 2\n no id last= bytes=1)"}},
      {"a last line may end with a CR", 100, "1\r", {R"(event data: 1\n no id last= bytes=2)"}},
      {"a last line that is blank is skipped", 100, "1\n  ", {R"(event data: 1\n no id last= bytes=2)"}},
      {"a byte order mark at the start is ignored, later ones are not",
       100,
       "\xEF\xBB\xBF"
       "1\n\xEF\xBB\xBF"
       "2\n",
       {R"(event data: 1\n no id last= bytes=5)", R"(event data: \xef\xbb\xbf2\n no id last= bytes=5)"}},
      {"a byte order mark alone is a blank line", 100, "\xEF\xBB\xBF\n1\n", {R"(event data: 1\n no id last= bytes=2)"}},
      {"what is no JSON passes as it came",
       100,
       "id: 1\n\xFF\0\n"s,
       {R"(event data: id: 1\n no id last= bytes=6)", R"(event data: \xff\x00\n no id last= bytes=3)"}},
      {"a line of the limit is whole, one more is too many",
       5,
       "1234\n12345\n1\n",
       {R"(event data: 1234\n no id last= bytes=5)", "oversized no id last= bytes=6",
        R"(event data: 1\n no id last= bytes=2)"}},
      {"an endless line is announced where it ends",
       5,
       std::string(50, 'x') + "\n1\n",
       {"oversized no id last= bytes=51", R"(event data: 1\n no id last= bytes=2)"}},
      {"an endless line is announced at the end", 5, std::string(50, 'x'), {"oversized no id last= bytes=50"}},
      {"an endless line of white space is skipped",
       5,
       std::string(50, ' ') + "\n1\n",
       {R"(event data: 1\n no id last= bytes=2)"}},
      {"an endless line of white space behind one of content is skipped",
       5,
       std::string(50, 'x') + "\n" + std::string(50, ' ') + "\n",
       {"oversized no id last= bytes=51"}},
      {"of an endless line a byte order mark is content",
       5,
       "\xEF\xBB\xBF" + std::string(50, ' ') + "\n",
       {"oversized no id last= bytes=54"}},
      {"white space first, then content", 5, std::string(50, ' ') + "x\n", {"oversized no id last= bytes=52"}},
      {"content first, then white space", 5, "x" + std::string(50, ' ') + "\n", {"oversized no id last= bytes=52"}},
      {"line breaks that make it grow beyond the limit",
       20,
       "1\r2\r3\n1\r2\r3\r4\n",
       {R"(event data: 1\ndata: 2\ndata: 3\n no id last= bytes=6)", "oversized no id last= bytes=8"}},
  };
  return kCases;
}

TEST_CASE("lines become events, however the bytes are split or paused") {
  for (const auto& [name, limit, stream, reports] : cases()) {
    CAPTURE(name);
    const std::string_view whole = stream;
    CHECK(reports_of<NdjsonParser>({whole}, limit) == reports);
    CHECK(reports_of<NdjsonParser>({whole}, limit, true) == reports);
    CHECK(reports_of<NdjsonParser>(one_by_one(whole), limit) == reports);
    CHECK(reports_of<NdjsonParser>(one_by_one(whole), limit, true) == reports);
    for (std::size_t i = 1; i < whole.size(); ++i) {
      CAPTURE(i);
      CHECK(reports_of<NdjsonParser>({whole.substr(0, i), whole.substr(i)}, limit) == reports);
    }
  }
}

TEST_CASE("a paused ndjson feed returns right behind the line") {
  Recorder recorder;
  recorder.pauses_always = true;
  NdjsonParser parser(recorder, 100);
  CHECK(parser.feed("\n1\n2\n") == 3);
  CHECK(parser.feed("2\n") == 2);
  CHECK(parser.feed("3") == 1);
  CHECK(recorder.reports.size() == 2);
}

TEST_CASE("what is kept of an endless line of JSON stays below the limit") {
  for (const auto& piece : {"xxxxxxxxxx"s, "     "s, "\r\r\r\r\r\r\r"s}) {
    Recorder recorder;
    NdjsonParser parser(recorder, 1000);
    std::size_t most = 0;
    for (int i = 0; i < 1000; ++i) {
      parser.feed(piece);
      most = std::max(most, parser.buffered_bytes());
    }
    CHECK(most <= 1000);
    parser.end();
    CHECK(recorder.reports.size() == (piece[0] == 'x' ? 1 : 0));
  }
}

TEST_CASE("the next stream begins with no line and may have a byte order mark again") {
  Recorder recorder;
  NdjsonParser parser(recorder, 100);
  parser.feed("1\n2");
  parser.end();
  parser.end();
  parser.feed(
      "\xEF\xBB\xBF"
      "3\n");
  CHECK(recorder.reports.size() == 3);
  CHECK(recorder.reports.back() == R"(event data: 3\n no id last= bytes=5)");
}

}  // namespace
}  // namespace ssequel::sse
