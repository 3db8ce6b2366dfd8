#include "base/upstream_url.h"

#include <doctest/doctest.h>

using namespace ssequel;

TEST_CASE("an upstream is a host and a port, or a unix socket") {
  CHECK(*parse_upstream_url("http://127.0.0.1:3000") == UpstreamUrl{false, "127.0.0.1", 3000, ""});
  CHECK(*parse_upstream_url("http://feed.example/") == UpstreamUrl{false, "feed.example", 80, ""});
  CHECK(*parse_upstream_url("HTTP://Feed.Example:8080/") == UpstreamUrl{false, "feed.example", 8080, ""});
  CHECK(*parse_upstream_url("http://[::1]:9000") == UpstreamUrl{false, "::1", 9000, ""});
  CHECK(*parse_upstream_url("http://[2001:db8::1]") == UpstreamUrl{false, "2001:db8::1", 80, ""});
  CHECK(*parse_upstream_url("unix:/run/app.sock") == UpstreamUrl{true, "", 0, "/run/app.sock"});
}

TEST_CASE("what is no address of an upstream is refused, with a reason") {
  for (const std::string_view text : {"",
                                      "127.0.0.1:3000",
                                      "http:/x",
                                      "http://",
                                      "http:///",
                                      "http://:80",
                                      "http://x:",
                                      "http://x:0",
                                      "http://x:65536",
                                      "http://x:8o",
                                      "http://x:-1",
                                      "http://::1:80",
                                      "http://[::1",
                                      "http://[x]",
                                      "http://[::1]80",
                                      "http://[]:80",
                                      "http://a b",
                                      "http://x\r\ny",
                                      "unix:",
                                      "unix:run",
                                      "ftp://x",
                                      "http://x//"}) {
    CAPTURE(text);
    const auto url = parse_upstream_url(text);
    REQUIRE_FALSE(url);
    CHECK_FALSE(url.error().context.empty());
  }
  CHECK_FALSE(parse_upstream_url("http://" + std::string(254, 'a')));
  CHECK_FALSE(parse_upstream_url("unix:/" + std::string(107, 'a')));
  CHECK(parse_upstream_url("unix:/" + std::string(106, 'a')));
}

TEST_CASE("what is meant well but not spoken is refused as such, and no password is repeated") {
  for (const std::string_view text :
       {"https://x", "http://user:pa55@x:80", "http://x/path", "http://x?a=b", "http://x#f"}) {
    CAPTURE(text);
    const auto url = parse_upstream_url(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().code == ErrorCode::Unsupported);
    CHECK(url.error().context.find("pa55") == std::string::npos);
  }
}

TEST_CASE("the authority leaves out the default port and puts IPv6 into brackets") {
  CHECK(parse_upstream_url("http://a.example")->authority() == "a.example");
  CHECK(parse_upstream_url("http://a.example:8080")->authority() == "a.example:8080");
  CHECK(parse_upstream_url("http://[::1]")->authority() == "[::1]");
  CHECK(parse_upstream_url("http://[::1]:81")->authority() == "[::1]:81");
  CHECK(parse_upstream_url("unix:/x")->authority() == "localhost");
}

TEST_CASE("an upstream's text reads as the same upstream") {
  for (const std::string_view text : {"http://a.example", "http://a.example:8080", "http://[::1]:81", "unix:/x y"}) {
    const auto url = parse_upstream_url(text);
    CHECK(*parse_upstream_url(url->to_string()) == *url);
  }
}
