// Words that stories about session routes have in common.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/proxy_fixture.h"

namespace ssequel::test {

using Strings = std::vector<std::string>;

inline std::string tag_of(const std::string& id) { return id.substr(0, id.find('-')); }

// POST with content and Accept: text/event-stream. fields: lines with CRLF.
inline std::string post(std::string_view target, std::string_view content, std::string_view fields = {}) {
  std::string bytes = "POST ";
  bytes.append(target).append(" HTTP/1.1\r\nHost: example.test\r\nAccept: text/event-stream\r\n").append(fields);
  bytes.append("Content-Length: ").append(std::to_string(content.size())).append("\r\n\r\n").append(content);
  return bytes;
}

inline std::string last_event_id(std::string_view id) { return std::string("Last-Event-ID: ").append(id) + "\r\n"; }

// A session route that takes POST too.
inline relay::Route post_route() {
  auto route = session_route();
  route.match.methods = {"GET", "POST"};
  return route;
}

// A session with its upstream stream begun and some events sent.
struct Session {
  explicit Session(ProxyFixture& proxy, std::string_view events = "data: one\n\n", std::string_view fields = {},
                   std::string_view target = "/events/a")
      : client(proxy.get_stream(target, fields)), origin(proxy.origin.next()) {
    begin(events);
  }
  // By another request.
  Session(ProxyFixture& proxy, TestClient opened, std::string_view events = "data: one\n\n")
      : client(std::move(opened)), origin(proxy.origin.next()) {
    begin(events);
  }
  // The client is gone, which the proxy has noticed.
  void drop(ProxyFixture& proxy) {
    id = client.last_id();
    client.close();
    REQUIRE(proxy.run_until([&] { return proxy.worker().sessions() == 0; }));
  }
  TestClient client;
  OriginConnection* origin;
  std::string id;  // The last one received.

 private:
  void begin(std::string_view events) {
    origin->begin_stream();
    origin->chunk(events);
    REQUIRE(client.await_events(1));
    id = client.last_id();
  }
};

}  // namespace ssequel::test
