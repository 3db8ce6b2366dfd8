#include "replay/event_id.h"

#include <doctest/doctest.h>

#include <random>

#include "base/ascii.h"
#include "unit/replay/fixture.h"

namespace ssequel::replay {
namespace {

using Kind = ParsedId::Kind;

std::string spelled(const IdForm& form, Number number, std::string_view origin = {}) {
  std::string out;
  append_id(out, form, number, origin);
  return out;
}

TEST_CASE("an id without a tag is its number and nothing else") {
  CHECK(spelled({}, 0) == "0");
  CHECK(spelled({}, 1'753'000'000'000'000) == "1753000000000000");
  CHECK(spelled({}, kMaxNumber) == "9223372036854775807");
  CHECK(spelled({.tag = "", .carries_origin = true}, 7, "origin") == "7");
}

TEST_CASE("an id with a tag carries the origin id only where its form says so") {
  CHECK(spelled({.tag = kTag}, 7, "abc") == kTag + "-7");
  CHECK(spelled({.tag = kTag, .carries_origin = true}, 7) == kTag + "-7");
  const auto id = spelled({.tag = kTag, .carries_origin = true}, 7, "abc");
  CHECK(id.starts_with(kTag + "-7-"));
  CHECK(id.size() > kTag.size() + 3);
}

TEST_CASE("a ULID is 26 digits of Crockford's base 32, ordered as its number is") {
  const IdForm ulid{.spelling = Spelling::Ulid};
  CHECK(spelled(ulid, 1) == "00000000000000000000000001");
  CHECK(spelled(ulid, ~Number{0}) == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  // The specification's example: its first ten digits are the time 1469918176385.
  const auto example = parse_number("01ARYZ6S41TSV4RRFFQ69G5FAV", Spelling::Ulid);
  REQUIRE(example);
  CHECK(static_cast<std::uint64_t>(*example >> 80) == 1469918176385);
  CHECK(spelled(ulid, *example) == "01ARYZ6S41TSV4RRFFQ69G5FAV");
  CHECK(spelled({.tag = kTag, .spelling = Spelling::Ulid}, *example) == kTag + "-01ARYZ6S41TSV4RRFFQ69G5FAV");
  std::mt19937_64 random(7);
  std::string last;
  for (Number number = 1; number != 0 && number < ~Number{0} / 3; number = number * 3 + random() % 3) {
    const auto id = spelled(ulid, number);
    CHECK(id > last);
    const auto parsed = parse_id(id);
    CHECK(parsed.fits(ulid));
    CHECK_FALSE(parsed.fits({}));
    CHECK((parsed.number == number));
    last = id;
  }
}

TEST_CASE("no entry is zero, which both spellings write alike") {
  for (const auto spelling : {Spelling::Decimal, Spelling::Ulid}) {
    const IdForm form{.tag = kTag, .spelling = spelling};
    CHECK(spelled(form, 0) == kTag + "-0");
    CHECK(parse_id(kTag + "-0").fits(form));
  }
  CHECK(parse_id("00000000000000000000000000").kind == Kind::Foreign);
}

TEST_CASE("texts that only resemble a ULID are foreign") {
  for (const auto* text : {"01ARYZ6S41TSV4RRFFQ69G5FA", "01ARYZ6S41TSV4RRFFQ69G5FAVV", "81ARYZ6S41TSV4RRFFQ69G5FAV",
                           "01aryz6s41tsv4rrffq69g5fav", "01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FIL"}) {
    CAPTURE(text);
    CHECK(parse_id(text).kind == Kind::Foreign);
    CHECK_FALSE(parse_number(text, Spelling::Ulid));
  }
  CHECK(has_ulid_form("01aryz6s41tsv4rrffq69g5fav"));
  CHECK(has_ulid_form("91ARYZ6S41TSV4RRFFQ69G5FAV"));
  CHECK_FALSE(has_ulid_form("01ARYZ6S41TSV4RRFFQ69G5FAU"));
  CHECK_FALSE(has_ulid_form("01ARYZ6S41TSV4RRFFQ69G5FA"));
}

TEST_CASE("append_id appends") {
  std::string out = "id: ";
  append_id(out, {}, 5, {});
  CHECK(out == "id: 5");
}

TEST_CASE("an origin id of 48 bytes is carried, one of 49 is not") {
  CHECK(spelled({.tag = kTag, .carries_origin = true}, 1, std::string(48, 'o')).size() > kTag.size() + 3);
  CHECK(spelled({.tag = kTag, .carries_origin = true}, 1, std::string(49, 'o')) == kTag + "-1");
}

TEST_CASE("every id we spell stays under 128 bytes of letters, digits and dashes") {
  for (const std::string& origin : {std::string(48, '\xff'), std::string(48, '\0'), std::string("a\r\nb: \"<>")}) {
    const auto id = spelled({.tag = kTag, .carries_origin = true}, kMaxNumber, origin);
    CHECK(id.size() < 128);
    for (const char c : id) CHECK((ascii::is_alnum(c) || c == '-'));
  }
}

TEST_CASE("parse_id reads back whatever append_id spelled") {
  std::mt19937_64 random(20240601);
  for (int i = 0; i < 2000; ++i) {
    const IdForm form{i % 3 == 0 ? std::string() : kTag, i % 3 == 2};
    const auto number = (random() >> (random() % 64)) & kMaxNumber;
    std::string origin(random() % (kMaxCarriedOrigin + 1), '\0');
    for (char& c : origin) c = static_cast<char>(i % 2 == 0 ? random() % 3 : random());
    const auto text = spelled(form, number, origin);
    CAPTURE(text);
    const auto id = parse_id(text);
    REQUIRE(id.kind == (form.tag.empty() ? Kind::Plain : Kind::Tagged));
    REQUIRE(id.number == number);
    if (id.kind == Kind::Tagged) REQUIRE(id.tag == kTag);
    if (form.carries_origin && !origin.empty()) {
      REQUIRE(id.origin == origin);
    } else {
      REQUIRE_FALSE(id.origin.has_value());
    }
  }
}

TEST_CASE("numbers that we would not write are foreign") {
  for (const char* text :
       {"", "00", "01", "007", "+1", "-1", " 1", "1 ", "1\t", "0x1", "1.0", "1e3", "1_000", "١", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "99999999999999999999", "1\n2"}) {
    CAPTURE(text);
    CHECK(parse_id(text).kind == Kind::Foreign);
  }
  CHECK(parse_id(std::string_view("1\0", 2)).kind == Kind::Foreign);
  CHECK(parse_id("0").kind == Kind::Plain);
  CHECK(parse_id("9223372036854775807").number == kMaxNumber);
}

TEST_CASE("texts that only resemble a tagged id are foreign") {
  const std::string carried = spelled({.tag = kTag, .carries_origin = true}, 5, "abc").substr(kTag.size() + 3);
  for (const auto& text : {kTag, kTag + "-", kTag + "--5", kTag + "-05", kTag + "-5-", kTag + "-5--" + carried,
                           kTag + "-5-" + carried + "-", kTag + "-5-" + carried + " ", kTag + "-5-!", kTag + "-x",
                           kTag + "-9223372036854775808", kTag.substr(1) + "-5", kTag + "x-5", " " + kTag + "-5",
                           std::string("550e8400-e29b-41d4-a716-446655440000"), kTag + "-5-" + std::string(200, 'z'),
                           kTag + "-5-" + std::string(90, 'z')}) {
    CAPTURE(text);
    CHECK(parse_id(text).kind == Kind::Foreign);
  }
}

TEST_CASE("a carried origin id longer than we would carry is foreign") {
  // 66 digits hold 49 bytes.
  CHECK(parse_id(kTag + "-5-" + std::string(66, 'z')).kind == Kind::Foreign);
}

TEST_CASE("a tag's form is told by its length, its alphabet and the dash") {
  CHECK(has_tag_form(kTag + "-"));
  CHECK(has_tag_form(kTag + "-anything at all"));
  CHECK_FALSE(has_tag_form(kTag));
  CHECK_FALSE(has_tag_form(""));
  CHECK_FALSE(has_tag_form("Tag_000000000000000000-1"));
  CHECK_FALSE(has_tag_form("x" + kTag + "-1"));
}

TEST_CASE("a number's form is digits only, leading zeros too") {
  CHECK(has_number_form("0"));
  CHECK(has_number_form("007"));
  CHECK(has_number_form(std::string(500, '9')));
  CHECK_FALSE(has_number_form(""));
  CHECK_FALSE(has_number_form("1a"));
  CHECK_FALSE(has_number_form("-1"));
  CHECK_FALSE(has_number_form("1 "));
}

}  // namespace
}  // namespace ssequel::replay
