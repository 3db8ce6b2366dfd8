#include "relay/last_event_id.h"

#include <doctest/doctest.h>

#include "base/percent.h"
#include "relay/route.h"
#include "unit/relay/requests.h"

namespace ssequel::relay {
namespace {

const std::vector<std::string> kParameters = Route().last_event_id_query;

LastEventId read(const http::RequestHead& head) { return last_event_id_of(head, kParameters); }

TEST_CASE("a request without field and parameters has none") {
  CHECK_FALSE(read(request("/e")).is_present);
  CHECK_FALSE(read(request("/e?id=7&last=8")).is_present);
}

TEST_CASE("the field's value is taken as it came") {
  for (const char* value : {"7", "a b", "\xff\xfe", "%41", "Tag0000000000000000000-5"}) {
    const auto id = read(request("/e", {{"last-event-ID", value}}));
    CHECK(id.is_present);
    CHECK(id.is_readable);
    CHECK_FALSE(id.from_query);
    CHECK(id.value == value);
  }
}

TEST_CASE("an empty field counts as none, so that a parameter may stand for it") {
  CHECK_FALSE(read(request("/e", {{"Last-Event-ID", ""}})).is_present);
  const auto id = read(request("/e?lastEventId=5", {{"Last-Event-ID", ""}}));
  CHECK(id.from_query);
  CHECK(id.value == "5");
}

TEST_CASE("two fields are there, but cannot be read, equal or not") {
  for (const auto& list : {FieldList{{"Last-Event-ID", "7"}, {"Last-Event-ID", "7"}},
                           FieldList{{"Last-Event-ID", "7"}, {"last-event-id", "8"}},
                           FieldList{{"Last-Event-ID", ""}, {"Last-Event-ID", "8"}},
                           FieldList{{"Last-Event-ID", ""}, {"Last-Event-ID", ""}}}) {
    const auto id = read(request("/e?lastEventId=9", list));
    CHECK(id.is_present);
    CHECK_FALSE(id.is_readable);
    CHECK(id.value == "");
  }
}

TEST_CASE("the parameters count where the field is missing") {
  for (const char* name : {"lastEventId", "last_event_id", "lastEventID", "last-event-id"}) {
    const auto id = read(request("/e?a=1&" + std::string(name) + "=5"));
    CHECK(id.is_present);
    CHECK(id.is_readable);
    CHECK(id.from_query);
    CHECK(id.value == "5");
  }
  CHECK(read(request("/e?lastEventId=5", {{"Last-Event-ID", "7"}})).value == "7");
  CHECK_FALSE(read(request("/e?LASTEVENTID=5")).is_present);
}

TEST_CASE("an empty parameter counts as none, the next one is looked at") {
  CHECK_FALSE(read(request("/e?lastEventId=")).is_present);
  CHECK_FALSE(read(request("/e?lastEventId")).is_present);
  CHECK(read(request("/e?lastEventId=&last_event_id=6")).value == "6");
}

TEST_CASE("a parameter is percent-decoded once, and a plus stays") {
  struct Row {
    const char* raw;
    const char* value;
  };
  for (const auto& [raw, value] : {Row{"a%2Fb", "a/b"}, Row{"a%2fb", "a/b"}, Row{"%2541", "%41"}, Row{"a+b", "a+b"},
                                   Row{"a%20b", "a b"}, Row{"100%", "100%"}, Row{"%4", "%4"}, Row{"%zz", "%zz"},
                                   Row{"%4%41", "%4A"}, Row{"a=b", "a=b"}, Row{"%C3%A4", "\xc3\xa4"}}) {
    CHECK(read(request("/e?lastEventId=" + std::string(raw))).value == value);
    CHECK(percent_decode(raw) == value);
  }
}

TEST_CASE("a parameter that cannot stand in a field is there, but cannot be read") {
  for (const char* raw : {"%00", "5%0d%0aX:%20y", "%0A", "a%7Fb", "%01"}) {
    const auto id = read(request("/e?lastEventId=" + std::string(raw)));
    CHECK(id.is_present);
    CHECK_FALSE(id.is_readable);
    CHECK(id.from_query);
    CHECK(id.value == "");
  }
}

TEST_CASE("without parameters to look for, queries say nothing") {
  CHECK_FALSE(last_event_id_of(request("/e?lastEventId=5"), {}).is_present);
}

TEST_CASE("a query without those parameters keeps the others byte for byte") {
  struct Row {
    const char* query;
    const char* rest;
  };
  for (const auto& [query, rest] : {
           Row{"", ""},
           Row{"a=1", "a=1"},
           Row{"lastEventId=5", ""},
           Row{"lastEventId", ""},
           Row{"a=1&lastEventId=5", "a=1"},
           Row{"lastEventId=5&a=1", "a=1"},
           Row{"b=2&last_event_id=5&a=1&last-event-id=&a=1", "b=2&a=1&a=1"},
           Row{"a=%41+&&b", "a=%41+&&b"},
           Row{"a&", "a&"},
           Row{"&", "&"},
           Row{"&a", "&a"},
           Row{"a=1&&lastEventId=5&", "a=1&&"},
           Row{"xlastEventId=5&lastEventIdx=6", "xlastEventId=5&lastEventIdx=6"},
           Row{"last%45ventId=5", "last%45ventId=5"},
           Row{"a=lastEventId=5", "a=lastEventId=5"},
       }) {
    CAPTURE(query);
    CHECK(query_without(query, kParameters) == rest);
  }
}

TEST_CASE("a query's parameter is the first of its name, raw") {
  CHECK(query_parameter("a=1&b=%20&a=2", "a") == "1");
  CHECK(query_parameter("a=1&b=%20", "b") == "%20");
  CHECK(query_parameter("a&b", "a") == "");
  CHECK_FALSE(query_parameter("ab=1", "a").has_value());
  CHECK_FALSE(query_parameter("", "a").has_value());
}

TEST_CASE("a cookie is found among others, with white space around it or not") {
  CHECK(cookie("a=1; b=2", "b") == "2");
  CHECK(cookie("a=1;b=2", "b") == "2");
  CHECK(cookie(" b = 2 ;a=1", "b") == "2");
  CHECK(cookie("b=x=y", "b") == "x=y");
  CHECK(cookie("b", "b") == "");
  CHECK(cookie(";;b=1;;", "b") == "1");
  CHECK_FALSE(cookie("bb=1; B=2", "b").has_value());
  CHECK_FALSE(cookie("", "b").has_value());
}

}  // namespace
}  // namespace ssequel::relay
