#include "http/message.h"

#include <doctest/doctest.h>

using namespace ssequel::http;

TEST_CASE("path and query are parted at the first question mark") {
  RequestHead head;
  head.origin_form = "/a/b?c?d";
  CHECK(head.path() == "/a/b");
  CHECK(head.query() == "c?d");
  head.origin_form = "/a";
  CHECK(head.path() == "/a");
  CHECK(head.query() == "");
  head.origin_form = "";
  CHECK(head.path() == "");
}

TEST_CASE("reason phrases are those of RFC 9110, or none") {
  CHECK(reason_phrase(200) == "OK");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(505) == "HTTP Version Not Supported");
  CHECK(reason_phrase(299) == "");
}
