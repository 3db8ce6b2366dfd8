#include "replay/resume.h"

#include <doctest/doctest.h>

#include "unit/replay/fixture.h"

namespace ssequel::replay {
namespace {

using enum sse::SyncReason;
using Kind = Resume::Kind;

void check_suffix(const Resume& answer, Place place) {
  CHECK(answer.kind == Kind::Suffix);
  CHECK(answer.place == place);
}

void check_sync(const Resume& answer, sse::SyncReason reason) {
  CHECK(answer.kind == Kind::Sync);
  CHECK(answer.reason == reason);
}

constexpr std::uint64_t kTime = 1'753'000'000'000'000;  // Where numbers begin that come from the time.

TEST_CASE("an id in the window resumes right behind it") {
  Story story({.events = 3});
  for (int i = 0; i < 5; ++i) story.emit("x");  // 102..104 are in the window.
  check_suffix(resume(story.log, "102"), 3);
  check_suffix(resume(story.log, "103"), 4);
  check_suffix(resume(story.log, "104"), 5);  // The newest: nothing is missing, nothing is replayed.
}

TEST_CASE("the last id that left the window resumes at the oldest entry") {
  Story story({.events = 3});
  for (int i = 0; i < 5; ++i) story.emit("x");
  check_suffix(resume(story.log, "101"), 2);
}

TEST_CASE("the base of a log resumes at its first entry, also before there is one") {
  Story story;
  check_suffix(resume(story.log, "99"), 0);
  story.emit("x");
  check_suffix(resume(story.log, "99"), 0);
}

TEST_CASE("an older id, a newer one and a stranger each get their reason") {
  Story story({.events = 3});
  for (int i = 0; i < 6; ++i) story.emit("x");  // 100..105
  check_sync(resume(story.log, "101"), Window);
  check_sync(resume(story.log, "99"), Window);  // The base, after entries have gone.
  check_sync(resume(story.log, "106"), Ahead);
  check_sync(resume(story.log, "9223372036854775807"), Ahead);
  check_sync(resume(story.log, "98"), Unknown);
  check_sync(resume(story.log, "0"), Unknown);
}

TEST_CASE("what is no id of any log is unknown") {
  Story story;
  story.emit("x");
  check_sync(resume(story.log, std::nullopt), Unknown);
  for (const auto& text :
       {std::string("0100"), std::string("100 "), std::string("+100"), std::string("100,100"), std::string("abc"),
        kTag + "-100", std::string("\0", 1), std::string("\xff\xfe"), std::string(1025, '1')}) {
    CAPTURE(text);
    check_sync(resume(story.log, text), Unknown);
  }
}

TEST_CASE("an id between two ids is unknown") {
  Story story;
  story.emit_numbers({100, 110});
  check_sync(resume(story.log, "105"), Unknown);
}

TEST_CASE("a tagged log knows its own tag only") {
  Story story({}, 1, {kTag, false});
  story.emit("x");
  const auto stranger = "X" + kTag.substr(1);
  check_suffix(resume(story.log, kTag + "-0"), 0);
  check_suffix(resume(story.log, kTag + "-1"), 1);
  check_sync(resume(story.log, kTag + "-2"), Ahead);
  check_sync(resume(story.log, stranger + "-1"), Unknown);
  check_sync(resume(story.log, stranger + "-2"), Unknown);
  check_sync(resume(story.log, "1"), Unknown);
}

TEST_CASE("an id that carries an origin id must carry the right one") {
  Story story({}, 1, {kTag, true});
  story.emit("x", "abc");
  std::string right, wrong;
  append_id(right, story.log.form(), 1, "abc");
  append_id(wrong, story.log.form(), 1, "abd");
  check_suffix(resume(story.log, right), 1);
  check_sync(resume(story.log, wrong), Unknown);
  check_sync(resume(story.log, kTag + "-1"), Unknown);
  check_suffix(resume(story.log, kTag + "-0"), 0);
}

TEST_CASE("an origin id in the window resumes behind its newest entry") {
  Story story({.events = 3}, kTime);
  story.emit("1", "uuid-a");
  story.emit("2", "uuid-b");
  story.emit("3", "uuid-a");
  const auto answer = resume(story.log, "uuid-a");
  check_suffix(answer, 3);
  CHECK(answer.by_origin);
  CHECK_FALSE(resume(story.log, std::to_string(kTime)).by_origin);
  story.emit("4");
  story.emit("5");
  check_sync(resume(story.log, "uuid-b"), Unknown);
}

TEST_CASE("numeric origin ids are read as such where our own numbers come from the time") {
  Story story({}, kTime);
  story.emit("1", "17");
  story.emit("2", "18");
  const auto answer = resume(story.log, "17");
  check_suffix(answer, 1);
  CHECK(answer.by_origin);
  CHECK_FALSE(answer.ambiguous);
  check_suffix(resume(story.log, std::to_string(kTime)), 1);
}

TEST_CASE("an origin id above all our ids is found before we say ahead") {
  Story story({}, 100);
  story.emit("1", "5000000000000000");
  const auto answer = resume(story.log, "5000000000000000");
  check_suffix(answer, 1);
  CHECK(answer.by_origin);
  check_sync(resume(story.log, "5000000000000001"), Ahead);
}

TEST_CASE("where both readings are possible neither is guessed") {
  Story story({.events = 5}, 100);
  for (int i = 0; i < 7; ++i) story.emit("x", std::to_string(101 + i));
  for (const char* id : {"100", "101", "102", "106"}) {
    CAPTURE(id);
    const auto answer = resume(story.log, id);
    check_sync(answer, Unknown);
    CHECK(answer.ambiguous);
  }
  const auto only_theirs = resume(story.log, "107");  // Above every id of ours.
  check_suffix(only_theirs, 7);
  CHECK(only_theirs.by_origin);
}

TEST_CASE("small ids are unambiguous as soon as the last numeric origin id has left the window") {
  Story story({.events = 2}, 100);
  story.emit("x", "101");
  CHECK(resume(story.log, "100").ambiguous);
  story.emit("x", "uuid-a");
  story.emit("x", "uuid-b");
  check_suffix(resume(story.log, "101"), 2);
}

TEST_CASE("tagged ids are never ambiguous") {
  Story story({}, 1, {kTag, false});
  story.emit("x", "1");
  check_suffix(resume(story.log, kTag + "-1"), 1);
  CHECK(resume(story.log, "1").by_origin);
}

}  // namespace
}  // namespace ssequel::replay
