#include "base/ascii.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ssequel;

namespace {

std::vector<std::string> elements(std::string_view list) {
  std::vector<std::string> out;
  ascii::for_each_element(list, [&](std::string_view element) { out.emplace_back(element); });
  return out;
}

}  // namespace

TEST_CASE("case is that of ASCII alone") {
  CHECK(ascii::lower('A') == 'a');
  CHECK(ascii::lower('Z') == 'z');
  CHECK(ascii::lower('[') == '[');
  CHECK(ascii::lower('@') == '@');
  CHECK(ascii::lower('\xC4') == '\xC4');
  CHECK(ascii::equals("Last-Event-ID", "last-event-id"));
  CHECK_FALSE(ascii::equals("last-event-id", "last-event-i"));
  CHECK_FALSE(ascii::equals("a\xC4", "a\xE4"));
  CHECK(ascii::to_lower("X-A[1]\xC4") == "x-a[1]\xC4");
}

TEST_CASE("a prefix is found whatever its case, and only if it is all there") {
  CHECK(ascii::starts_with("HTTP://x", "http://"));
  CHECK(ascii::starts_with("http", ""));
  CHECK_FALSE(ascii::starts_with("http:/", "http://"));
}

TEST_CASE("letters and digits are those of ASCII") {
  for (int i = -128; i < 128; ++i) {
    const char c = static_cast<char>(i);
    CHECK(ascii::is_digit(c) == (c >= '0' && c <= '9'));
    CHECK(ascii::is_alpha(c) == ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')));
    CHECK(ascii::is_alnum(c) == (ascii::is_digit(c) || ascii::is_alpha(c)));
  }
}

TEST_CASE("optional white space is space and HTAB, at the ends only") {
  CHECK(ascii::trim(" \t a b\t ") == "a b");
  CHECK(ascii::trim(" \t ") == "");
  CHECK(ascii::trim("") == "");
  CHECK(ascii::trim("\n a") == "\n a");
}

TEST_CASE("a list's empty elements do not count, and commas in quoted strings do not separate") {
  CHECK(elements("a, b ,c") == std::vector<std::string>{"a", "b", "c"});
  CHECK(elements(" , ,a,, ") == std::vector<std::string>{"a"});
  CHECK(elements("").empty());
  CHECK(elements(R"(x="a,b", c)") == std::vector<std::string>{R"(x="a,b")", "c"});
  CHECK(elements(R"(x="a\",b", c)") == std::vector<std::string>{R"(x="a\",b")", "c"});
  CHECK(elements(R"("never closed, b)") == std::vector<std::string>{R"("never closed, b)"});
  CHECK(elements(R"("ends with \)") == std::vector<std::string>{R"("ends with \)"});
}
