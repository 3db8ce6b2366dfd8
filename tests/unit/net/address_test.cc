#include "net/address.h"

#include <doctest/doctest.h>

#include <string>

using namespace ssequel;
using net::Address;
using net::parse_address;

TEST_CASE("addresses are read, and written back as they were") {
  struct Case {
    std::string text;
    Address address;
  };
  const Case cases[] = {
      {"127.0.0.1:8080", {Address::Kind::Tcp, "127.0.0.1", 8080, ""}},
      {"[::1]:8080", {Address::Kind::Tcp, "::1", 8080, ""}},
      {"[fe80::1%eth0]:1", {Address::Kind::Tcp, "fe80::1%eth0", 1, ""}},
      {"[::ffff:10.0.0.1]:80", {Address::Kind::Tcp, "::ffff:10.0.0.1", 80, ""}},
      {"some-name.example_1:80", {Address::Kind::Tcp, "some-name.example_1", 80, ""}},
      {"localhost:0", {Address::Kind::Tcp, "localhost", 0, ""}},
      {"localhost:65535", {Address::Kind::Tcp, "localhost", 65535, ""}},
      {"unix:/run/ssequel.sock", {Address::Kind::Unix, "", 0, "/run/ssequel.sock"}},
      {"unix:/" + std::string(106, 'x'), {Address::Kind::Unix, "", 0, "/" + std::string(106, 'x')}},
  };
  for (const auto& each : cases) {
    CAPTURE(each.text);
    const auto address = parse_address(each.text);
    REQUIRE(address);
    CHECK((*address == each.address));
    CHECK(address->to_string() == each.text);
  }
}

TEST_CASE("what is not clearly an address is refused, with the address in the error") {
  for (const std::string text : {"",
                                 "localhost",
                                 ":80",
                                 "127.0.0.1:",
                                 "127.0.0.1:65536",
                                 "127.0.0.1:-1",
                                 "127.0.0.1:+1",
                                 "127.0.0.1:8 0",
                                 "127.0.0.1: 80",
                                 "127.0.0.1:0x50",
                                 "::1:80",
                                 "[::1]",
                                 "[::1]80",
                                 "[::1:80",
                                 "[::1]:",
                                 "[name]:80",
                                 "[]:80",
                                 "[::1%]:80",
                                 "http://name:80",
                                 "na me:80",
                                 "name/:80",
                                 "*:80",
                                 "unix:",
                                 "unix:relative.sock"}) {
    CAPTURE(text);
    const auto address = parse_address(text);
    REQUIRE_FALSE(address);
    CHECK(address.error().code == ErrorCode::Malformed);
    CHECK(address.error().context.find("'" + text + "'") != std::string::npos);
  }
  CHECK_FALSE(parse_address("unix:/" + std::string(107, 'x')));
  CHECK_FALSE(parse_address(std::string("unix:/a\0b", 9)));
  CHECK_FALSE(parse_address(std::string(254, 'a') + ":80"));
}
