// A shared channel in a few words: the first subscriber and the origin's stream that it opened.
#pragma once

#include <doctest/doctest.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "support/proxy_fixture.h"

namespace ssequel::test {

// The key without an identity: one channel for all who name the same path.
[[nodiscard]] inline relay::Route public_route(std::string path = "/events/**") {
  auto route = shared_route(std::move(path));
  route.key = {{relay::KeyPart::Kind::Path, ""}, {relay::KeyPart::Kind::Query, ""}};
  return route;
}

[[nodiscard]] inline gateway::Options with_route(relay::Route route) {
  gateway::Options options;
  options.routes.push_back(std::move(route));
  return options;
}

struct SharedStory {
  explicit SharedStory(relay::Route route, std::string_view fields = {})
      : SharedStory(with_route(std::move(route)), fields) {}
  explicit SharedStory(gateway::Options options, std::string_view fields = {})
      : proxy(std::move(options)), first(proxy.get_stream("/events/a", fields)), upstream(proxy.origin.next()) {
    upstream->begin_stream();
    REQUIRE(first.await_head());
  }

  // The origin says these, one block each; the first subscriber has them.
  void say(std::string_view data) {
    upstream->chunk("data: " + std::string(data) + "\n\n");
    REQUIRE(first.await_content("data: " + std::string(data) + "\n\n"));
  }
  // Another subscriber of the same channel, with its head.
  [[nodiscard]] TestClient join(std::string_view fields = {}) {
    auto client = proxy.get_stream("/events/a", fields);
    REQUIRE(client.await_head());
    return client;
  }
  [[nodiscard]] TestClient join_after(std::string_view id, std::string_view fields = {}) {
    return join("Last-Event-ID: " + std::string(id) + "\r\n" + std::string(fields));
  }
  // The id of the event with this data, as the first subscriber got it.
  [[nodiscard]] std::string id_of(std::string_view data) {
    for (const auto& event : first.events()) {
      if (event.data == data) return event.id;
    }
    FAIL("no such event: ", std::string(data));
    return {};
  }
  // The upstream connection ends; the proxy comes back.
  void reconnect() {
    upstream->end_stream();
    upstream->close();
    upstream = proxy.origin.next();
  }

  ProxyFixture proxy;
  TestClient first;
  OriginConnection* upstream;
};

[[nodiscard]] inline std::uint64_t number_of(std::string_view id) {
  std::uint64_t number = 0;
  const auto dash = id.rfind('-');
  if (dash != std::string_view::npos) id.remove_prefix(dash + 1);
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  REQUIRE_MESSAGE((error == std::errc() && end == id.data() + id.size()), "a number: ", std::string(id));
  return number;
}

// What sync-required says, without caring for the rest of its data.
[[nodiscard]] inline bool says(const ReceivedEvent& event, std::string_view reason) {
  return event.event == "sync-required" &&
         event.data.find("\"reason\":\"" + std::string(reason) + "\"") != std::string::npos;
}

}  // namespace ssequel::test
