#include "app/config_texts.h"

#include <doctest/doctest.h>

using namespace ssequel::app::config;

TEST_CASE("path patterns have their stars as whole segments") {
  for (const auto text : {"/", "/**", "/events/**", "/a/*/b", "/a/**/b/*", "/a%20b", "/a//b", "/a;v=1/"}) {
    CAPTURE(text);
    CHECK(is_path_pattern(text));
  }
  for (const auto text : {"", "a", "/a*", "/***", "/a/b**", "/a?b", "/a#b", "/a b", "/é", "/a/{id}"}) {
    CAPTURE(text);
    CHECK_FALSE(is_path_pattern(text));
  }
}

TEST_CASE("targets may have a query, paths may not") {
  CHECK(is_target("/a?b=c&d=?/"));
  CHECK(is_target("/a?"));
  CHECK_FALSE(is_target("?a"));
  CHECK_FALSE(is_target("/a?b#c"));
  CHECK_FALSE(is_target("/a?b c"));
  CHECK_FALSE(is_path("/a?b"));
}

TEST_CASE("field names are tokens, and patterns of them end in a star at most") {
  CHECK(is_token("X-Api-Key"));
  CHECK_FALSE(is_token(""));
  CHECK_FALSE(is_token("a b"));
  CHECK_FALSE(is_token("a:"));
  CHECK(is_field_pattern("X-Auth-*"));
  CHECK(is_field_pattern("Cookie"));
  CHECK_FALSE(is_field_pattern("*"));
  CHECK_FALSE(is_field_pattern("X-*-Y"));
  CHECK_FALSE(is_field_pattern("X-**"));
  CHECK_FALSE(is_token(std::string(257, 'a')));
}

TEST_CASE("methods are in capitals, and those that are never proxied are none") {
  CHECK(is_method("GET"));
  CHECK(is_method("M-SEARCH"));
  CHECK_FALSE(is_method("get"));
  CHECK_FALSE(is_method("CONNECT"));
  CHECK_FALSE(is_method("TRACE"));
}

TEST_CASE("an origin id's field is none that event streams know") {
  CHECK(is_sse_field("origin-id"));
  for (const auto text : {"id", "event", "data", "retry", "", "a:b", "a b"}) CHECK_FALSE(is_sse_field(text));
}

TEST_CASE("sequences are identifiers, with a schema or without") {
  CHECK(is_sql_name("sse_event_seq"));
  CHECK(is_sql_name("app.seq"));
  for (const auto text : {"", "a.", ".a", "a.b.c", "1a", "a;drop", "a b", "\"a\""}) CHECK_FALSE(is_sql_name(text));
}

TEST_CASE("passwords in URLs are masked, however they are written") {
  CHECK(mask_url("redis://h:6379/0") == "redis://h:6379/0");
  CHECK(mask_url("redis://user@h/0") == "redis://user@h/0");
  CHECK(mask_url("redis://:pw@h:1/0") == "redis://:***@h:1/0");
  CHECK(mask_url("redis://user:pw@h:1/0") == "redis://user:***@h:1/0");
  CHECK(mask_url("redis://user:p@w@h/0") == "redis://user:***@h/0");
  CHECK(mask_url("redis://user:p/w@h/0") == "redis://user:***@h/0");
  CHECK(mask_url("redis://user:p?w@h/0") == "redis://user:***@h/0");
  CHECK(mask_url("postgresql://u:pw@h/app?sslmode=x&password=pw2#f") ==
        "postgresql://u:***@h/app?sslmode=x&password=***#f");
  CHECK(mask_url("postgresql://h/app?password=pw") == "postgresql://h/app?password=***");
  CHECK(mask_url("unix:/run/redis.sock") == "unix:/run/redis.sock");
}

TEST_CASE("fields that are likely credentials are known by name or value") {
  for (const auto name : {"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-auth-token",
                          "X-Amz-Security-Token", "X-Secret", "X-Goog-Api-Key", "X-Session-Id"}) {
    CAPTURE(name);
    CHECK(is_credential(name, "v"));
  }
  CHECK(is_credential("X-Other", "Bearer abc"));
  CHECK(is_credential("X-Other", "basic abc"));
  CHECK(is_credential("X-Other", "eyJhbGciOiJIUzI1NiJ9.e30.x"));
  CHECK_FALSE(is_credential("X-Tenant", "acme"));
  CHECK_FALSE(is_credential("Accept-Language", "de"));
}
