#include "redis/slots.h"

#include <doctest/doctest.h>

namespace ssequel::redis {
namespace {

Reply number(std::int64_t value) { return {.kind = Reply::Kind::Integer, .integer = value}; }
Reply text(std::string value) { return {.kind = Reply::Kind::String, .text = std::move(value)}; }
Reply list(std::vector<Reply> elements) { return {.kind = Reply::Kind::Array, .elements = std::move(elements)}; }

const HostPort kAsked{"asked", 7000};

TEST_CASE("the map of slots is read, and what is not understood left out") {
  const auto master = list({text("10.0.0.1"), number(7001), text("id"), list({})});
  const auto replica = list({text("10.0.0.2"), number(7002), text("id")});
  const auto unnamed = list({Reply{}, number(7003), text("id")});
  const auto ranges =
      parse_slots(list({list({number(0), number(99), master, replica}), list({number(100), number(16383), unnamed}),
                        list({number(5), number(16384), master}), list({number(5), number(4), master}),
                        list({number(1), number(2), list({text("x"), number(0)})}), list({number(1), number(2)}),
                        text("nonsense")}),
                  kAsked);
  CHECK(ranges == std::vector<SlotRange>{{0, 99, {"10.0.0.1", 7001}}, {100, 16383, {"asked", 7003}}});
  CHECK(parse_slots(text("nonsense"), kAsked).empty());
}

TEST_CASE("redirections are read") {
  CHECK(parse_redirection("MOVED 3999 127.0.0.1:6381", kAsked) == Redirection{false, 3999, {"127.0.0.1", 6381}});
  CHECK(parse_redirection("ASK 16383 ::1:6381", kAsked) == Redirection{true, 16383, {"::1", 6381}});
  CHECK(parse_redirection("MOVED 1 :6381", kAsked) == Redirection{false, 1, {"asked", 6381}});
  for (const auto* wrong : {"MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a:", "MOVED 1 a:0",
                            "ERR 1 a:1", "MOVED 1 a:99999", "ASK  a:1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_redirection(wrong, kAsked).has_value());
  }
}

}  // namespace
}  // namespace ssequel::redis
