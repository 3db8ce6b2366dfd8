#include "base/utf8.h"

#include <doctest/doctest.h>

#include <string>

using namespace ssequel;

TEST_CASE("characters of every length are decoded") {
  CHECK(utf8::decode("a").code == U'a');
  CHECK(utf8::decode("é!").code == U'é');
  CHECK(utf8::decode("€!").code == U'€');
  CHECK(utf8::decode("😀!").code == U'😀');
  CHECK(utf8::decode("😀!").size == 4);
  CHECK(utf8::decode("\xF4\x8F\xBF\xBF").code == 0x10FFFF);
  CHECK(utf8::decode(std::string_view("\0", 1)).is_valid);
}

TEST_CASE("what RFC 3629 forbids is no character, and one byte is stepped over") {
  for (const std::string_view text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80",
                                      "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF",
                                      "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CAPTURE(text);
    CHECK_FALSE(utf8::decode(text).is_valid);
    CHECK(utf8::decode(text).size == 1);
    CHECK_FALSE(utf8::is_valid(text));
    CHECK_FALSE(utf8::is_valid("ok" + std::string(text)));
  }
  CHECK(utf8::is_valid("añ€😀"));
  CHECK(utf8::is_valid(""));
}

TEST_CASE("a prefix ends at a character's boundary") {
  CHECK(utf8::prefix("añ€", 10) == "añ€");
  CHECK(utf8::prefix("añ€", 6) == "añ€");
  CHECK(utf8::prefix("añ€", 5) == "añ");
  CHECK(utf8::prefix("añ€", 4) == "añ");
  CHECK(utf8::prefix("añ€", 3) == "añ");
  CHECK(utf8::prefix("añ€", 2) == "a");
  CHECK(utf8::prefix("añ€", 0) == "");
  CHECK(utf8::prefix("😀", 3) == "");
}

TEST_CASE("a prefix of what is not UTF-8 is not cut to nothing") {
  CHECK(utf8::prefix(std::string(10, '\x80'), 5).size() == 5);
}
