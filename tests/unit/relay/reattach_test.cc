#include "relay/reattach.h"

#include <doctest/doctest.h>

#include <set>

using namespace ssequel;
using namespace ssequel::relay;

namespace {

struct Asked {
  std::string method = "POST", host = "a", target = "/x", identity, last_event_id, content;
  std::vector<std::pair<std::string, std::string>> fields = {{"Idempotency-Key", "k"}};
};

std::string digest(const Asked& asked, const Route& route, std::size_t cut = 0) {
  http::RequestHead head;
  head.method = asked.method;
  head.host = asked.host;
  head.origin_form = asked.target;
  for (const auto& [name, value] : asked.fields) head.fields.add(name, value);
  ReattachDigest out(route, head, asked.identity, asked.last_event_id);
  out.add(std::string_view(asked.content).substr(0, cut));
  out.add(std::string_view(asked.content).substr(cut));
  return out.finish();
}

Route route_with(std::vector<std::string> fields) {
  Route route;
  route.name = "chat";
  route.reattach = std::move(fields);
  return route;
}

}  // namespace

TEST_CASE("the same request has the same digest, however its content came and its fields are spelt") {
  const auto route = route_with({"Idempotency-Key"});
  Asked asked{.content = "question"};
  for (std::size_t cut = 0; cut <= asked.content.size(); ++cut) {
    CHECK(digest(asked, route, cut) == digest(asked, route));
  }
  auto other = asked;
  other.host = "A";
  other.target = "/x?lastEventId=";
  other.fields = {{"User-Agent", "u"}, {"idempotency-key", "k"}};
  CHECK(digest(other, route) == digest(asked, route));
  CHECK(digest(asked, route).size() == 32);
}

TEST_CASE("whatever makes it another request makes another digest, and parts never run into each other") {
  const auto route = route_with({"Idempotency-Key", "X-Turn"});
  const std::vector<Asked> all = {
      {.content = "c"},
      {.content = "C"},
      {.content = ""},
      {.method = "PUT", .content = "c"},
      {.host = "b", .content = "c"},
      {.target = "/y", .content = "c"},
      {.target = "/x?q", .content = "c"},
      {.identity = "i", .content = "c"},
      {.identity = "ic"},
      {.last_event_id = "7", .content = "c"},
      {.content = "c", .fields = {{"Idempotency-Key", "l"}}},
      {.content = "c", .fields = {{"Idempotency-Key", "k"}, {"Idempotency-Key", "k"}}},
      {.content = "c", .fields = {{"Idempotency-Key", "k, k"}}},
      {.content = "c", .fields = {{"Idempotency-Key", "k"}, {"X-Turn", ""}}},
      {.content = "c", .fields = {{"X-Turn", "k"}}},
      {.content = "c", .fields = {{"Idempotency-Key", "k"}, {"Origin", "http://o"}}},
  };
  std::set<std::string> digests;
  for (const auto& asked : all) digests.insert(digest(asked, route));
  CHECK(digests.size() == all.size());
  auto renamed = route;
  renamed.name = "other";
  CHECK(digest(all[0], renamed) != digest(all[0], route));
}

TEST_CASE("a request with at least one of the fields can be repeated") {
  http::RequestHead head;
  CHECK_FALSE(has_reattach_field(route_with({"Idempotency-Key"}), head));
  head.fields.add("idempotency-KEY", "");
  CHECK(has_reattach_field(route_with({"X-Turn", "Idempotency-Key"}), head));
  CHECK_FALSE(has_reattach_field(route_with({"X-Turn"}), head));
  CHECK_FALSE(has_reattach_field(route_with({}), head));
}
