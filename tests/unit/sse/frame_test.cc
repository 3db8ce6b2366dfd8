#include "sse/frame.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "recorder.h"
#include "reference_parser.h"

using namespace std::literals;
using Kind = ssequel::sse::OriginStyle::Kind;

namespace ssequel::sse {
namespace {

std::string frame(std::string_view lines, std::optional<std::string_view> origin, const OriginStyle& style,
                  IdPlace place = IdPlace::First) {
  std::string out = "before|";
  append_frame(out, "42", lines, origin, style, place);
  REQUIRE(out.starts_with("before|"));
  return out.substr(7);
}

TEST_CASE("a frame is the id line, the event's own lines and an empty line") {
  CHECK(frame("data: a\n", {}, {}) == "id: 42\ndata: a\n\n");
  CHECK(frame("event: e\ndata:a\nfoo\n", {}, {}) == "id: 42\nevent: e\ndata:a\nfoo\n\n");
  CHECK(frame("event: e\ndata:a\nfoo\n", {}, {}, IdPlace::Last) == "event: e\ndata:a\nfoo\nid: 42\n\n");
  CHECK(frame("data: a\n", "o", {}) == "id: 42\ndata: a\n\n");
}

TEST_CASE("a frame that would begin with a byte order mark begins with a comment, so that no client takes it away") {
  const auto lines =
      "\xEF\xBB\xBF"
      "data: no\ndata: a\n"sv;
  for (const IdPlace place : {IdPlace::First, IdPlace::Last}) {
    CHECK(reference::dispatched_by(frame(lines, {}, {}, place)) ==
          std::vector<reference::Dispatched>{{"message", "a", "42"}});
  }
}

TEST_CASE("the origin id as a comment stands right after our id line") {
  const OriginStyle comment{Kind::Comment, ""};
  CHECK(frame("data: a\n", "o:1", comment) == "id: 42\n: origin o:1\ndata: a\n\n");
  CHECK(frame("data: a\n", "o:1", comment, IdPlace::Last) == "data: a\nid: 42\n: origin o:1\n\n");
}

TEST_CASE("the origin id as a field is the event's last line") {
  const OriginStyle field{Kind::Field, "origin-id"};
  CHECK(frame("data: a\n", " o\xFF", field) == "id: 42\ndata: a\norigin-id:  o\xFF\n\n");
  CHECK(frame("data: a\n", "o", field, IdPlace::Last) == "data: a\norigin-id: o\nid: 42\n\n");
}

TEST_CASE("without an origin id, or with an empty one, there is nothing to send along") {
  for (const Kind kind : {Kind::None, Kind::Comment, Kind::Field, Kind::Json}) {
    for (const IdPlace place : {IdPlace::First, IdPlace::Last}) {
      const auto plain = frame("data: {}\n", {}, {}, place);
      CHECK(frame("data: {}\n", {}, {kind, "n"}, place) == plain);
      CHECK(frame("data: {}\n", "", {kind, "n"}, place) == plain);
    }
  }
}

TEST_CASE("the origin id as JSON is the first member of the data, the other bytes untouched") {
  const OriginStyle json{Kind::Json, "oid"};
  const auto with = [&](std::string_view lines) { return frame(lines, "7", json); };
  CHECK(with("data: {\"a\":1}\n") == "id: 42\ndata: {\"oid\":\"7\",\"a\":1}\n\n");
  CHECK(with("data:{\"a\":1}\n") == "id: 42\ndata:{\"oid\":\"7\",\"a\":1}\n\n");
  CHECK(with("data:  \t{ \"a\" : 1 } \n") == "id: 42\ndata:  \t{\"oid\":\"7\", \"a\" : 1 } \n\n");
  CHECK(with("data: {}\n") == "id: 42\ndata: {\"oid\":\"7\"}\n\n");
  CHECK(with("data: { }\n") == "id: 42\ndata: {\"oid\":\"7\" }\n\n");
  CHECK(with("event: e\ndata: {\"a\":{}}\nfoo: {\"b\":1}\n") ==
        "id: 42\nevent: e\ndata: {\"oid\":\"7\",\"a\":{}}\nfoo: {\"b\":1}\n\n");
  CHECK(with("database: {}\ndata: {}\n") == "id: 42\ndatabase: {}\ndata: {\"oid\":\"7\"}\n\n");
  CHECK(frame("data: {}\n", "7", json, IdPlace::Last) == "data: {\"oid\":\"7\"}\nid: 42\n\n");
}

TEST_CASE("data that is not one JSON object on one line stays as it is") {
  const OriginStyle json{Kind::Json, "oid"};
  for (const auto lines :
       {"data: [1]\n"sv, "data: 1\n"sv, "data\n"sv, "data:\n"sv, "data: \n"sv, "data: {\n"sv, "data: {}}\n"sv,
        "data: {\"a\":1,}\n"sv, "data: {'a':1}\n"sv, "data: {a}\n"sv, "data: \"{}\"\n"sv, "data: {}\ndata: {}\n"sv,
        "data: {\"a\":\ndata: 1}\n"sv, "data: {}\ndata\n"sv, "data: {}{}\n"sv, "data: \xEF\xBB\xBF{}\n"sv,
        "data: {} ...\nevent: {}\n"sv}) {
    CAPTURE(lines);
    CHECK(frame(lines, "7", json) == "id: 42\n" + std::string(lines) + "\n");
  }
}

TEST_CASE("origin ids and names of any bytes are written as JSON strings") {
  CHECK(frame("data: {}\n", "\"},\\\t\x01\xFF\xC3\xA9", {Kind::Json, "o\"n"}) ==
        "id: 42\ndata: {\"o\\\"n\":\"\\\"},\\\\\\t\\u0001\xEF\xBF\xBD\xC3\xA9\"}\n\n");
}

TEST_CASE("a client sees our id and the same event in every style and place") {
  for (const Kind kind : {Kind::None, Kind::Comment, Kind::Field}) {
    for (const IdPlace place : {IdPlace::First, IdPlace::Last}) {
      const auto events = reference::dispatched_by(frame("event: e\ndata: a\ndata:  b\n", "o", {kind, "name"}, place));
      CHECK(events == std::vector<reference::Dispatched>{{"e", "a\n b", "42"}});
    }
  }
}

TEST_CASE("sync-required data is one JSON object of strings and nulls") {
  CHECK(sync_required_data(SyncReason::Window, "5", "10", "20") ==
        R"({"reason":"window","requested":"5","oldest":"10","newest":"20"})");
  CHECK(sync_required_data(SyncReason::Dropped, {}, {}, {}) ==
        R"({"reason":"dropped","requested":null,"oldest":null,"newest":null})");
  CHECK(sync_required_data(SyncReason::Lagged, "", "1", "2", "snapshot: \"502\"") ==
        R"({"reason":"lagged","requested":"","oldest":"1","newest":"2","error":"snapshot: \"502\""})");
}

TEST_CASE("a hostile requested id is cut, replaced and escaped") {
  const auto requested = [](std::string_view id) {
    const std::string data = sync_required_data(SyncReason::Unknown, id, {}, {});
    CHECK(data.find_first_of("\r\n\0"sv) == std::string::npos);
    const auto start = data.find("\"requested\":\"") + 13;
    return data.substr(start, data.find("\",\"oldest\"") - start);
  };
  CHECK(requested("\",\"x\":\"\r\n\0\x1B"sv) == R"(\",\"x\":\"\r\n\u0000\u001b)");
  CHECK(requested(std::string(127, 'a') + "\xC3\xA9") == std::string(127, 'a'));
  CHECK(requested(std::string(126, 'a') + "\xC3\xA9z") == std::string(126, 'a') + "\xC3\xA9");
  CHECK(requested(std::string(1000, 'a')) == std::string(128, 'a'));
  std::string replacements;
  for (int i = 0; i < 42; ++i) replacements += "\xEF\xBF\xBD";
  CHECK(requested(std::string(1000, '\xFF')) == replacements);  // 126 bytes, not 384.
}

TEST_CASE("each reason has a word of its own") {
  using enum SyncReason;
  std::set<std::string_view> words;
  for (const auto reason : {Window, Ahead, Unknown, Lagged, Dropped, UpstreamGap, StoreGap, UpstreamLost}) {
    words.insert(to_string(reason));
  }
  CHECK(words == std::set<std::string_view>{"window", "ahead", "unknown", "lagged", "dropped", "upstream-gap",
                                            "store-gap", "upstream-lost"});
}

TEST_CASE("an event's own lines carry any data that an event stream can carry") {
  CHECK(event_lines("e", "a") == "event: e\ndata: a\n");
  CHECK(event_lines("", "") == "data: \n");
  CHECK(event_lines("e", "a\nb\r\nc\rd\n\ne") == "event: e\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n");
  CHECK(event_lines("e\nid: 1", "a") == "event: e\ndata: a\n");
  for (const auto data : {""sv, "\n"sv, "a\n"sv, "\na"sv, " a"sv, "a\n\n b"sv}) {
    CAPTURE(data);
    std::string out;
    append_frame(out, "1", event_lines("e", data), {}, {}, IdPlace::First);
    CHECK(reference::dispatched_by(out) == std::vector<reference::Dispatched>{{"e", std::string(data), "1"}});
  }
}

TEST_CASE("lines outside of frames dispatch nothing") {
  CHECK(priming_block("T-0") == "id: T-0\n\n");
  CHECK(retry_line(3000) == "retry: 3000\n");
  CHECK(kHeartbeat == ":\n");
  CHECK(reports_of<Parser>({priming_block("T-0") + retry_line(3000) + std::string(kHeartbeat)}, 100) ==
        Reports{"last event id T-0"s, "retry 3000"s, "comment "s});
}

}  // namespace
}  // namespace ssequel::sse
