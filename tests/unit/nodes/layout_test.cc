// Names, and what is understood of what lies in Redis: anybody may have written there.
#include "nodes/layout.h"

#include <doctest/doctest.h>

#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

using redis::Reply;

Reply text(std::string value) { return {.kind = Reply::Kind::String, .text = std::move(value)}; }
Reply array(std::vector<Reply> elements) { return {.kind = Reply::Kind::Array, .elements = std::move(elements)}; }
Reply element(std::string id, std::vector<std::string> words) {
  std::vector<Reply> fields;
  for (auto& word : words) fields.push_back(text(std::move(word)));
  return array({text(std::move(id)), array(std::move(fields))});
}

replay::LogRecord record() {
  return {.key = std::string("feed\0/events?token=secret\0sig", 29),
          .route = "feed",
          .signature = "sig",
          .form = {},
          .first_number = 1795296399962061,
          .has_start = true};
}

std::string slot_of(const std::string& key) { return key.substr(key.find('{'), key.find('}') - key.find('{') + 1); }

TEST_CASE("all keys of a log share one hash slot, and say nothing of what a client sent") {
  const auto names = names_of("ssequel", record());
  for (const auto& key : {names.log, names.meta, names.nodes, names.given}) {
    CHECK(slot_of(key) == slot_of(names.log));
    CHECK(redis::hash_slot(key) == redis::hash_slot(names.log));
    CHECK(key.find("secret") == std::string::npos);
    CHECK(key.starts_with("ssequel:{"));
  }
  CHECK(names.slot < kSlots);
  CHECK(redis::hash_slot(wake_key("ssequel", names.slot, "node")) == redis::hash_slot(names.log));
}

TEST_CASE(
    "another key, signature, route or prefix is another log, but the numbers of a start belong to the key alone") {
  const auto names = names_of("ssequel", record());
  auto other = record();
  other.key = std::string("feed\0/events?token=secret\0gis", 29);
  other.signature = "gis";
  CHECK(names_of("ssequel", other).log != names.log);
  CHECK(names_of("ssequel", other).given_field == names.given_field);
  CHECK(names_of("ssequel", other).given == names.given);
  other = record();
  other.route = "news";
  CHECK(names_of("ssequel", other).log != names.log);
  CHECK(names_of("other", record()).log != names.log);
  auto counted = record();
  counted.has_start = false;
  CHECK(names_of("ssequel", counted).given_field.empty());
}

TEST_CASE("a session is found by its tag") {
  replay::LogRecord session{.key = "Tag0000000000000000000", .route = "chat", .is_session = true};
  session.signature = "sig";
  CHECK(names_of_session("p", "chat", session.key).log == names_of("p", session).log);
}

TEST_CASE("what a log is comes back as it went") {
  replay::LogRecord session{.key = "",
                            .route = "chat",
                            .signature = "sig",
                            .form = {.tag = "Tag0000000000000000000", .carries_origin = true},
                            .first_number = 1,
                            .strategy = "sequence",
                            .is_session = true,
                            .method = "POST",
                            .target = "/chat?a",
                            .host = "h",
                            .identity = "digest",
                            .path = "/chat",
                            .origin = "https://a.example",
                            .reattach = "again"};
  auto ulid = record();
  ulid.key.clear();
  ulid.signature.clear();
  ulid.form.spelling = replay::Spelling::Ulid;
  ulid.first_number = (replay::Number{1} << 100) + 7;
  auto unknown = record();
  unknown.key.clear();
  unknown.signature.clear();
  unknown.first_number = 0;
  for (const auto& one : {session, ulid, unknown}) {
    Hash meta;
    for (const auto& [name, value] : fields_of(one)) meta.emplace(name, value);
    const auto again = record_of(meta);
    REQUIRE(again);
    CHECK(*again == one);
  }
}

TEST_CASE("a hash of somebody else's is no log") {
  CHECK_FALSE(record_of({}));
  CHECK_FALSE(record_of({{"first", "-1"}}));
  CHECK_FALSE(record_of({{"first", "1"}, {"tag", "not a tag"}}));
}

TEST_CASE("positions in a stream") {
  CHECK(parse_stream_id("3-1") == StreamId{3, 1});
  CHECK(to_string({3, 1}) == "3-1");
  CHECK(StreamId{3, 1} < StreamId{4, 0});
  for (const auto* wrong : {"", "3", "-", "3-", "-1", "a-1", "3-1x", "99999999999999999999-0"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_stream_id(wrong));
  }
}

TEST_CASE("entries and what is said between them") {
  const auto entry = element("8-0", {"inc", "17", "fence", "2", "number", "1001", "origin", "e-7", "last", "e-7", "at",
                                     "1795296400079", "frame", "id: 1001\ndata: a\n\n"});
  const auto item = item_of(entry, replay::Spelling::Decimal);
  REQUIRE(item);
  CHECK(item->is_entry());
  CHECK(item->place() == 7);
  CHECK(item->number == 1001);
  CHECK(item->origin == "e-7");
  CHECK(item->last_id == "e-7");
  CHECK(item->at_ms == 1795296400079);
  CHECK(item->frame == "id: 1001\ndata: a\n\n");
  const auto said = element("8-1", {"control", "end", "value", "1"});
  const auto control = item_of(said, replay::Spelling::Decimal);
  REQUIRE(control);
  CHECK_FALSE(control->is_entry());
  CHECK(control->control == "end");
  CHECK(control->value == "1");
}

TEST_CASE("what is no entry of ours is passed by") {
  for (const auto& wrong :
       {element("8-0", {}), element("8-0", {"number", "1001"}), element("8-0", {"frame", "x"}),
        element("8-0", {"number", "x", "frame", "f"}), element("0-0", {"number", "1", "frame", "f"}),
        element("8-0", {"number", "1", "frame", "f", "lines", "l"}), element("x", {"number", "1", "frame", "f"}),
        array({}), array({text("8-0")}), text("8-0")}) {
    CHECK_FALSE(item_of(wrong, replay::Spelling::Decimal));
  }
}

TEST_CASE("what is handed in goes on in another incarnation, whatever an upstream says") {
  std::vector<std::string> items = {"s",      "2",    "inc",   "kept", "e",   "6", "inc",     "1",
                                    "origin", "inc",  "lines", "e",    "c",   "4", "control", "inc",
                                    "value",  "kept", "e",     "4",    "inc", "",  "fence",   "3"};
  set_writer(items, "2", "1");
  CHECK(items == std::vector<std::string>{"s",      "2",    "inc",   "kept", "e",   "6", "inc",     "2",
                                          "origin", "inc",  "lines", "e",    "c",   "4", "control", "inc",
                                          "value",  "kept", "e",     "4",    "inc", "2", "fence",   "1"});
}

TEST_CASE("a pulse is understood as a whole or not at all") {
  std::vector<Reply> words = {text("ok")};
  for (const auto* word : {"lead", "3", "17", "5", "9", "2500", "1", "7", "1", "0"}) words.push_back(text(word));
  for (const auto* word : {"gone", "0", "0", "0", "0", "0", "0", "-1", "0", "1"}) words.push_back(text(word));
  const auto pulses = pulses_of(array(words), 2);
  REQUIRE(pulses);
  const auto& one = pulses->front();
  CHECK(one.word == Pulse::Word::Lead);
  CHECK(one.fence == "3");
  CHECK(one.incarnation == "17");
  CHECK(one.from == 5);
  CHECK(one.next == 9);
  CHECK(one.remaining == Millis(2500));
  CHECK(one.is_wanted);
  CHECK(one.foremost == 7);
  CHECK(one.has_lost);
  CHECK_FALSE(one.is_same_run);
  CHECK(pulses->back().word == Pulse::Word::Gone);
  CHECK(pulses->back().foremost == std::nullopt);
  CHECK_FALSE(pulses_of(array(words), 1));
  CHECK_FALSE(pulses_of(array(words), 3));
  CHECK_FALSE(pulses_of(text("OK"), 1));
}

}  // namespace
}  // namespace ssequel::nodes
