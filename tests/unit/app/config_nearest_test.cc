#include "app/config_nearest.h"

#include <doctest/doctest.h>

using namespace ssequel::app::config;

TEST_CASE("the distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("window", "window") == 0);
  CHECK(edit_distance("windw", "window") == 1);
  CHECK(edit_distance("windoow", "window") == 1);
  CHECK(edit_distance("wimdow", "window") == 1);
  CHECK(edit_distance("widnow", "window") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("case and hyphens make no difference") {
  CHECK(edit_distance("Header-Bytes", "header_bytes") == 0);
  CHECK(edit_distance("headerBytes", "header_bytes") == 1);
}

TEST_CASE("the nearest word is found up to two mistakes, or a third of the length") {
  CHECK(nearest("hartbet", {"heartbeat", "retain"}) == "heartbeat");
  CHECK(nearest("upstream_connetcoins", {"connections", "upstream_connections"}) == "upstream_connections");
  CHECK(nearest("timeout", {"delay", "retry_spread"}) == "");
}

TEST_CASE("a word of which nothing is left is not near") {
  CHECK(nearest("ab", {"xy"}) == "");
  CHECK(nearest("a", {"b"}) == "");
  CHECK(nearest("", {"a"}) == "");
  CHECK(nearest("keys", {"key"}) == "key");
}

TEST_CASE("the first of equally near words is taken") { CHECK(nearest("mix", {"max", "min"}) == "max"); }

TEST_CASE("a very long word is nobody's typing mistake") { CHECK(nearest(std::string(100'000, 'a'), {"a"}) == ""); }
