#include "app/config_substitute.h"

#include <doctest/doctest.h>

#include "config_support.h"

using namespace ssequel;
using namespace ssequel::app;
using namespace ssequel::app::config;

namespace {

const Environment kEnv = environment({{"A", "x"}, {"EMPTY", ""}, {"_b2", "y"}, {"DOLLAR", "${A}"}});

std::string filled(std::string_view text) { return substitute(text, kEnv).value().text; }
std::string refused(std::string_view text) {
  const auto result = substitute(text, kEnv);
  return result ? "not refused" : result.error().context;
}

}  // namespace

TEST_CASE("variables are filled in wherever they stand") {
  CHECK(filled("") == "");
  CHECK(filled("plain") == "plain");
  CHECK(filled("${A}") == "x");
  CHECK(filled("a${A}b${_b2}c") == "axbyc");
  CHECK(filled("${EMPTY}") == "");
}

TEST_CASE("a default stands in for an unset and for an empty variable") {
  CHECK(filled("${NONE:-d}") == "d");
  CHECK(filled("${NONE:-}") == "");
  CHECK(filled("${EMPTY:-d}") == "d");
  CHECK(filled("${A:-d}") == "x");
  CHECK(filled("${NONE:-http://h:1/?a=b}") == "http://h:1/?a=b");
  CHECK(filled("${NONE:-a:-b}") == "a:-b");
}

TEST_CASE("two dollars before a brace are a literal one, other dollars are themselves") {
  CHECK(filled("$${A}") == "${A}");
  CHECK(filled("$$${A}") == "$${A}");
  CHECK(filled("$A $ $$ }{") == "$A $ $$ }{");
  CHECK(filled("cost: 5$") == "cost: 5$");
}

TEST_CASE("what a variable holds is not looked at again") { CHECK(filled("${DOLLAR}") == "${A}"); }

TEST_CASE("an unset variable is named, a badly written one explained") {
  CHECK(has(refused("${NONE}"), "variable NONE is not set"));
  CHECK(has(refused("${A"), "without its }"));
  CHECK(has(refused("${}"), "without a variable's name"));
  CHECK(has(refused("${1A}"), "without a variable's name"));
  CHECK(has(refused("${A-d}"), "without a variable's name"));
  CHECK(has(refused("${A }"), "without a variable's name"));
  CHECK(has(refused("${NONE:-${A}}"), "in the default"));
}

TEST_CASE("it is told whether anything came from outside") {
  CHECK(substitute("${A}", kEnv)->has_variable);
  CHECK(substitute("${NONE:-1}", kEnv)->has_variable);
  CHECK_FALSE(substitute("$${A}", kEnv)->has_variable);
  CHECK_FALSE(substitute("A", kEnv)->has_variable);
}

TEST_CASE("an escaped text comes back as it was") {
  for (const std::string_view text : {"", "a", "${A}", "$${A}", "$$${", "${", "$", "$$", "{$}", "${${A}}"}) {
    CAPTURE(text);
    CHECK(filled(escape_variables(text)) == text);
  }
}
