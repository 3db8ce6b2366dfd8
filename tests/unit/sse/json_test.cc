#include "sse/json.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace std::literals;

namespace ssequel::sse::json {
namespace {

std::string nested(std::size_t depth) {
  return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
}

TEST_CASE("objects of RFC 8259 are objects") {
  for (const auto text : {"{}"sv, " { } "sv, "\t{\t}"sv, R"({"a":1})"sv, R"({"":""})"sv, R"({ "a" : 1 , "b" : [ ] })"sv,
                          R"({"a":{"b":{"c":[[],{},[1,2,{"d":null}]]}},"e":true,"f":false})"sv,
                          R"({"n":[0,-0,1,10,-12.5,0.5,1e5,1E+5,1e-05,123456789012345678901234567890.5e999]})"sv,
                          R"({"s":"\"\\\/\b\f\n\r\t\u0041\uD834\udd1e \ud834"})"sv, "{\"s\":\"\x7F \xC3\xA9 \xFF\"}"sv,
                          R"({"a":1,"a":2})"sv, R"({"a":"}{"})"sv}) {
    CAPTURE(text);
    CHECK(is_object(text));
  }
}

TEST_CASE("everything else is no object") {
  for (const auto text : {""sv,
                          " "sv,
                          "[]"sv,
                          "1"sv,
                          "null"sv,
                          R"("{}")"sv,
                          "{"sv,
                          "}"sv,
                          "{}}"sv,
                          "{}{}"sv,
                          "{} x"sv,
                          "x{}"sv,
                          "{,}"sv,
                          R"({"a"})"sv,
                          R"({"a":})"sv,
                          R"({"a":1,})"sv,
                          R"({a:1})"sv,
                          R"({'a':1})"sv,
                          R"({"a" 1})"sv,
                          R"({"a":1 "b":2})"sv,
                          R"({"a":1)"sv,
                          R"({"a":[1})"sv,
                          R"({"a":[1,]})"sv,
                          R"({"a":[,1]})"sv,
                          R"({"a":1]})"sv,
                          R"({"a":[}])"sv,
                          R"({"a":01})"sv,
                          R"({"a":+1})"sv,
                          R"({"a":.5})"sv,
                          R"({"a":1.})"sv,
                          R"({"a":1e})"sv,
                          R"({"a":1e+})"sv,
                          R"({"a":-})"sv,
                          R"({"a":0x1})"sv,
                          R"({"a":NaN})"sv,
                          R"({"a":tru})"sv,
                          R"({"a":truex})"sv,
                          R"({"a":nul)"sv,
                          R"({"a":"x})"sv,
                          R"({"a":"\x"})"sv,
                          R"({"a":"\u12"})"sv,
                          R"({"a":"\u12G4"})"sv,
                          R"({"a":"\)"sv,
                          R"({"a":"\u12)"sv,
                          "{\"a\":\"\t\"}"sv,
                          "{\"a\":\"\0\"}"sv,
                          "{\"a\":1}\0"sv,
                          R"({"a":1} // c)"sv,
                          "\xEF\xBB\xBF{}"sv,
                          "\xC2\xA0{}"sv,
                          R"({"a"::1})"sv,
                          R"({1:1})"sv,
                          R"([{"a":1}])"sv}) {
    CAPTURE(text);
    CHECK_FALSE(is_object(text));
  }
}

TEST_CASE("every beginning of an object is none") {
  const std::string text = R"({"a":{"b":[1.5e3,"\u0041\n",true,null,false,{}]},"c":-0})";
  REQUIRE(is_object(text));
  for (std::size_t i = 0; i < text.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(is_object(std::string(text, 0, i)));
  }
}

TEST_CASE("the depth of an object is bounded") {
  CHECK(is_object(nested(kMaxDepth)));
  CHECK_FALSE(is_object(nested(kMaxDepth + 1)));
  CHECK_FALSE(is_object(nested(1'000'000)));
  CHECK_FALSE(is_object("{\"a\":" + std::string(1'000'000, '[')));
}

TEST_CASE("strings are written so that a JSON reader gets them back") {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_string(out, text);
    return out;
  };
  CHECK(quoted("") == R"("")");
  CHECK(quoted("a/b'c") == R"("a/b'c")");
  CHECK(quoted("\"\\") == R"("\"\\")");
  CHECK(quoted("\n\r\t\0\x1F\x7F"sv) == R"("\n\r\t\u0000\u001f\u007f")");
  CHECK(quoted("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

TEST_CASE("each byte that is not UTF-8 becomes U+FFFD") {
  const auto replaced = [](std::string_view text) {
    std::string out = cut_utf8(text, 1000);
    for (std::size_t at = 0; (at = out.find("\xEF\xBF\xBD", at)) != std::string::npos; ++at) out.replace(at, 3, "?");
    return out;
  };
  CHECK(replaced("a\xFFz") == "a?z");
  CHECK(replaced("\xC3(\xE2\x82") == "?(??");
  CHECK(replaced("\xC0\xAF\xED\xA0\x80") == "?????");
  CHECK(replaced("\xF0\x9F\xC3\xA9") == "??\xC3\xA9");
}

TEST_CASE("a text is cut at a character's boundary") {
  CHECK(cut_utf8("abcdef", 3) == "abc");
  CHECK(cut_utf8("ab\xC3\xA9", 3) == "ab");
  CHECK(cut_utf8("ab\xC3\xA9", 4) == "ab\xC3\xA9");
  CHECK(cut_utf8("a\xFF", 3) == "a");
  CHECK(cut_utf8("a\xFF", 4) == "a\xEF\xBF\xBD");
  CHECK(cut_utf8("abc", 0).empty());
}

}  // namespace
}  // namespace ssequel::sse::json
