// The parser against WHATWG HTML §9.2.5 (the grammar) and §9.2.6 (its interpretation): one table of streams, each fed
// whole, in two pieces split at every place, and byte by byte.
#include "sse/parser.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "recorder.h"
#include "reference_parser.h"

using namespace std::literals;

namespace ssequel::sse {
namespace {

constexpr std::size_t kNoLimit = 1024 * 1024;

struct Case {
  std::string name;
  std::string stream;
  Reports reports;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"an event ends with an empty line", "data: a\n\n", {R"(event data: a\n no id last= bytes=9)"}},
      {"lines end with LF, CR or CRLF, and what is passed on with LF",
       "data: a\r\ndata: b\rdata: c\n\r\n",
       {R"(event data: a\ndata: b\ndata: c\n no id last= bytes=26)"}},
      {"a line's bytes stay as they are",
       "data:x\ndata:  y\ndata\n\n",
       {R"(event data:x\ndata:  y\ndata\n no id last= bytes=22)"}},
      {"data without a value is dispatched", "data\n\n", {R"(event data\n no id last= bytes=6)"}},
      {"data with an empty value is dispatched", "data:\n\n", {R"(event data:\n no id last= bytes=7)"}},
      {"one byte order mark at the start is taken away",
       "\xEF\xBB\xBF"
       "data: a\n\n",
       {R"(event data: a\n no id last= bytes=9)"}},
      {"a second byte order mark is the start of a field name",
       "\xEF\xBB\xBF\xEF\xBB\xBF"
       "data: a\n\ndata: b\n\n",
       {R"(event data: b\n no id last= bytes=9)"}},
      {"a byte order mark later on is the start of a field name",
       "data: a\n\n\xEF\xBB\xBF"
       "data: b\n\n",
       {R"(event data: a\n no id last= bytes=9)"}},
      {"the first bytes of a byte order mark alone are the start of a field name",
       "\xEF\xBB"
       "data: a\n\ndata\n\n",
       {R"(event data\n no id last= bytes=6)"}},
      {"a byte order mark before an empty line leaves an empty line", "\xEF\xBB\xBF\n\n", {}},
      {"unknown fields stay, whatever they are",
       "foo: bar\nevent: e\nbaz\ndata: a\n: c\nx:\n\n",
       {R"(comment  c)", R"(event foo: bar\nevent: e\nbaz\ndata: a\nx:\n no id last= bytes=38)"}},
      {"field names are case-sensitive and not trimmed", "Data: a\n data: b\ndata : c\nID: 1\nDATA\n\n", {}},
      {"longer names that begin like ours are other fields",
       "database: x\nidx: 1\nretrying: 5\ndata: a\n\n",
       {R"(event database: x\nidx: 1\nretrying: 5\ndata: a\n no id last= bytes=40)"}},
      {"an id is taken out and sticks to later events",
       "id: 1\ndata: a\n\ndata: b\n\n",
       {R"(event data: a\n id=1 last=1 bytes=15)", R"(event data: b\n no id last=1 bytes=9)"}},
      {"the last id of a block counts, wherever it stands",
       "id: 1\ndata: a\nid: 2\ndata: b\nid:3\n\n",
       {R"(event data: a\ndata: b\n id=3 last=3 bytes=34)"}},
      {"only one space is taken from a value", "id:  1\ndata: a\n\n", {R"(event data: a\n id= 1 last= 1 bytes=16)"}},
      {"an empty id clears the last event ID string",
       "id: 1\ndata: a\n\nid\ndata: b\n\nid:\ndata: c\n\n",
       {R"(event data: a\n id=1 last=1 bytes=15)", R"(event data: b\n id= last= bytes=12)",
        R"(event data: c\n id= last= bytes=13)"}},
      {"an id with NUL is ignored", "id: 1\nid: a\0b\ndata: a\n\n"s, {R"(event data: a\n id=1 last=1 bytes=23)"}},
      {"a block of an id alone sets the last event ID string",
       "id: 1\n\ndata: a\n\n",
       {"last event id 1", R"(event data: a\n no id last=1 bytes=9)"}},
      {"a block without data is dropped",
       "event: e\nfoo: bar\n\ndata: a\n\n",
       {R"(event data: a\n no id last= bytes=9)"}},
      {"retry is reported and taken out",
       "retry: 3000\ndata: a\n\n",
       {"retry 3000", R"(event data: a\n no id last= bytes=21)"}},
      {"retry needs digits only, and at least one",
       "retry: 1x\nretry: -1\nretry: 1 \nretry\nretry:\nretry:  1\nretry: 0\ndata: a\n\n",
       {"retry 0", R"(event data: a\n no id last= bytes=71)"}},
      {"retry saturates",
       "retry: 9007199254740991\nretry: 9007199254740993\nretry: 99999999999999999999999\n\n",
       {"retry 9007199254740991", "retry 9007199254740992", "retry 9007199254740992"}},
      {"retry may stand outside of events and has leading zeros", "retry:0010\n\n", {"retry 10"}},
      {"comments are reported without their colon",
       ":\n: a\n:b\r\n::c\n\n",
       {"comment ", "comment  a", "comment b", "comment :c"}},
      {"comments before an event do not count as bytes of it",
       ": hello\n\n: hello\r\n:\rdata: a\n\n",
       {"comment  hello", "comment  hello", "comment ", R"(event data: a\n no id last= bytes=9)"}},
      {"comments inside a block count as bytes of it",
       "data: a\n: hello\r\n\n",
       {"comment  hello", R"(event data: a\n no id last= bytes=18)"}},
      {"empty lines alone are nothing", "\n\r\n\r\r\n\n\n", {}},
      {"CR CR ends an event",
       "data: a\r\rdata: b\r\r",
       {R"(event data: a\n no id last= bytes=9)", R"(event data: b\n no id last= bytes=9)"}},
      {"LF CR ends an event",
       "data: a\n\rdata: b\n\r",
       {R"(event data: a\n no id last= bytes=9)", R"(event data: b\n no id last= bytes=9)"}},
      {"an unfinished block at the end is dropped",
       "data: a\n\nid: 5\ndata: b\n",
       {R"(event data: a\n no id last= bytes=9)"}},
      {"an unfinished line at the end is dropped", "data: a\n\ndata: b", {R"(event data: a\n no id last= bytes=9)"}},
      {"invalid UTF-8 and NUL pass as they came",
       "data: \xFF\0\xC3\nf\xE9: x\n\n"s,
       {R"(event data: \xff\x00\xc3\nf\xe9: x\n no id last= bytes=17)"}},
      {"a colon belongs to the value from the second on",
       "data::a\ndata: b: c\nid: 1:2\n\n",
       {R"(event data::a\ndata: b: c\n id=1:2 last=1:2 bytes=28)"}},
      {"a line that is a colon and a space is a comment",
       ": \ndata\n\n",
       {"comment  ", R"(event data\n no id last= bytes=6)"}},
  };
  return kCases;
}

TEST_CASE("streams give the events of the standard, however they are split") {
  for (const auto& [name, stream, reports] : cases()) {
    CAPTURE(name);
    CHECK(reports_of<Parser>({stream}, kNoLimit) == reports);
    CHECK(reports_of<Parser>(one_by_one(stream), kNoLimit) == reports);
    for (std::size_t i = 1; i < stream.size(); ++i) {
      CAPTURE(i);
      const std::string_view whole = stream;
      CHECK(reports_of<Parser>({whole.substr(0, i), whole.substr(i)}, kNoLimit) == reports);
    }
  }
}

TEST_CASE("the reference parser agrees with the table") {
  for (const auto& [name, stream, reports] : cases()) {
    CAPTURE(name);
    CHECK(reference::reports_of(stream, kNoLimit) == reports);
  }
}

TEST_CASE("a CR ends its line at once, without waiting for the next byte") {
  Recorder recorder;
  Parser parser(recorder, kNoLimit);
  parser.feed("data: x\r\r");
  CHECK(recorder.reports == Reports{R"(event data: x\n no id last= bytes=9)"s});
  parser.feed("\n");  // The other half of a CRLF: no line of its own, and no empty block.
  parser.feed("data: y\n");
  parser.feed("\r");
  CHECK(recorder.reports.size() == 2);
}

TEST_CASE("the last event ID string outlives the stream, an unfinished block's id does not") {
  Recorder recorder;
  Parser parser(recorder, kNoLimit);
  parser.feed("id: 1\ndata: a\n\nid: 2\ndata: b\n");
  CHECK(parser.last_event_id() == "1");
  CHECK(parser.end());
  CHECK(parser.buffered_bytes() == 0);
  CHECK(parser.last_event_id() == "1");
  parser.feed(
      "\xEF\xBB\xBF"
      "data: c\n\n");
  CHECK(recorder.reports.back() == R"(event data: c\n no id last=1 bytes=9)");
}

TEST_CASE("a last event ID string from before is kept until the stream sets its own") {
  Recorder recorder;
  Parser parser(recorder, kNoLimit);
  parser.set_last_event_id("before");
  parser.feed("data: a\n\nid\n\n");
  CHECK(recorder.reports == Reports{R"(event data: a\n no id last=before bytes=9)"s, "last event id "s});
  CHECK(parser.last_event_id().empty());
}

TEST_CASE("end tells whether data was dropped, and the next stream starts afresh") {
  Recorder recorder;
  Parser parser(recorder, kNoLimit);
  CHECK_FALSE(parser.end());
  for (const auto& [stream, had_data] : std::vector<std::pair<std::string, bool>>{{"data: a\n", true},
                                                                                  {"data: a", true},
                                                                                  {"data", true},
                                                                                  {"dat", false},
                                                                                  {"event: x\nid: 1\n", false},
                                                                                  {": data: a", false},
                                                                                  {"data: a\n\n", false},
                                                                                  {"data: a\n\n\r", false},
                                                                                  {"\xEF\xBB", false}}) {
    CAPTURE(stream);
    parser.feed(stream);
    CHECK(parser.end() == had_data);
    recorder.reports.clear();
    parser.feed("\ndata: b\n\n");
    CHECK(recorder.reports == Reports{R"(event data: b\n no id last= bytes=9)"s});
  }
}

TEST_CASE("pausing after every event changes nothing in what is reported") {
  for (const auto& [name, stream, reports] : cases()) {
    CAPTURE(name);
    CHECK(reports_of<Parser>({stream}, kNoLimit, true) == reports);
    CHECK(reports_of<Parser>(one_by_one(stream), kNoLimit, true) == reports);
  }
}

TEST_CASE("a paused feed returns right behind the event's block") {
  Recorder recorder;
  recorder.pauses_always = true;
  Parser parser(recorder, kNoLimit);
  const std::string_view bytes = ": c\n\nid: 1\n\ndata: a\n\ndata: b\r\n\r\nretry: 5\ndata: c\r\rdata: d";
  std::size_t at = parser.feed(bytes);
  CHECK(bytes.substr(at).starts_with("data: b"));
  CHECK(recorder.reports.size() == 3);
  at += parser.feed(bytes.substr(at));
  CHECK(bytes.substr(at).starts_with("retry: 5"));  // Both bytes of the last CRLF belong to the block.
  at += parser.feed(bytes.substr(at));
  CHECK(bytes.substr(at) == "data: d");
  CHECK(parser.feed(bytes.substr(at)) == 7);
  CHECK(recorder.pauses == 3);
  CHECK(parser.buffered_bytes() == 7);
}

class ViewCheck final : public ParserListener {
 public:
  explicit ViewCheck(std::string_view input) : input_(input) {}
  std::size_t views = 0;
  std::size_t copies = 0;

  Flow on_event(const Event& event) override {
    const auto* const at = event.lines.data();
    (std::less_equal<>()(input_.data(), at) && std::less<>()(at, input_.data() + input_.size()) ? views : copies)++;
    return Flow::Go;
  }
  Flow on_oversized(const OversizedEvent&) override { return Flow::Go; }
  void on_last_event_id(std::string_view) override {}
  void on_comment(std::string_view) override {}
  void on_retry(std::uint64_t) override {}

 private:
  std::string_view input_;
};

TEST_CASE("an event that lies whole in the input is passed on without a copy") {
  const std::string input =
      "event: a\ndata: b\ndata: c\n\nid: 1\ndata: d\n\ndata: e\nid: 2\n\n: c\nretry: 1\nid: 3\ndata: f\n\n";
  ViewCheck listener(input);
  Parser parser(listener, kNoLimit);
  parser.feed(input);
  CHECK(listener.views == 4);
  CHECK(listener.copies == 0);
}

}  // namespace
}  // namespace ssequel::sse
