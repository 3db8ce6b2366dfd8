#include "app/config_json.h"

#include <doctest/doctest.h>

using namespace ssequel::app::config;

TEST_CASE("a JSON string escapes what JSON and YAML cannot hold") {
  CHECK(json_quote("") == R"("")");
  CHECK(json_quote(R"(a"b\c)") == R"("a\"b\\c")");
  CHECK(json_quote("a\nb\x01") == R"("a\u000ab\u0001")");
  CHECK(json_quote("é€😀") == "\"é€😀\"");
  CHECK(json_quote("\xC2\x85\xE2\x80\xA8\xEF\xBB\xBF") == R"("\u0085\u2028\ufeff")");
  CHECK(json_quote("\xFF") == R"("\ufffd")");
}

TEST_CASE("YAML leaves out quotes where no reader needs them") {
  CHECK(yaml_flow(R"("15s")") == "15s");
  CHECK(yaml_flow(R"("127.0.0.1:8080")") == "127.0.0.1:8080");
  CHECK(yaml_flow(R"("http://a:80")") == "http://a:80");
  CHECK(yaml_flow(R"("text/event-stream")") == "text/event-stream");
  CHECK(yaml_flow(R"(["GET","POST"])") == "[GET, POST]");
  CHECK(yaml_flow(R"({"last":5})") == "{last: 5}");
}

TEST_CASE("YAML keeps the quotes of what would be read as something else") {
  for (const auto text : {R"("")",     R"("no")",    R"("Null")", R"("true")",       R"("5")",        R"("1e5")",
                          R"("0x1F")", R"("12:30")", R"("1.5")",  R"("2001-01-01")", R"("*")",        R"("/**")",
                          R"("a b")",  R"("a: b")",  R"("a:")",   R"("- a")",        R"("[::1]:80")", R"("a#b")",
                          R"("{a}")",  R"("é")",     R"("a,b")",  R"("~")",          R"("y")"}) {
    CAPTURE(text);
    CHECK(yaml_flow(text) == text);
  }
}

TEST_CASE("YAML escapes what would be taken for a variable") {
  CHECK(yaml_flow(R"("a${B}")") == R"("a$${B}")");
  CHECK(yaml_flow(R"({"a":"$${B}"})") == R"({a: "$$${B}"})");
}

TEST_CASE("pretty JSON breaks what is long and leaves the rest on one line") {
  CHECK(json_pretty(R"({"a":[1,2],"b":{"c":"d:e,{"}})") == "{\"a\": [1, 2], \"b\": {\"c\": \"d:e,{\"}}\n");
  const std::string text(90, 'x');
  CHECK(json_pretty(R"({"a":[1,2],"b":")" + text + R"("})") == "{\n  \"a\": [1, 2],\n  \"b\": \"" + text + "\"\n}\n");
  CHECK(json_pretty(R"([{"a":")" + text + R"("}])") == "[\n  {\n    \"a\": \"" + text + "\"\n  }\n]\n");
}
