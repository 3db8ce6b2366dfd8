#include "http/hop_by_hop.h"

#include <doctest/doctest.h>

using namespace ssequel::http;

TEST_CASE("hop-by-hop fields are known without case") {
  for (const auto* name :
       {"Connection", "keep-alive", "PROXY-CONNECTION", "TE", "Transfer-Encoding", "upgrade", "HTTP2-Settings"}) {
    CAPTURE(name);
    CHECK(is_hop_by_hop(name));
  }
}

TEST_CASE("fields for the ends of the chain are not hop-by-hop") {
  for (const auto* name : {"Trailer", "Proxy-Authorization", "Proxy-Authenticate", "Content-Length", "Host", "ET",
                           "Upgrader", "Last-Event-ID", ""}) {
    CAPTURE(name);
    CHECK_FALSE(is_hop_by_hop(name));
  }
}

TEST_CASE("the Connection field names fields, on all its lines") {
  Fields fields;
  fields.add("Connection", "close, X-One ,keep-alive");
  fields.add("connection", "\tx-two");
  fields.add("Other", "x-three");
  const ConnectionOptions options(fields);
  CHECK_FALSE(options.empty());
  CHECK(options.names("x-one"));
  CHECK(options.names("X-TWO"));
  CHECK_FALSE(options.names("x-three"));
  CHECK_FALSE(options.names("close"));
  CHECK_FALSE(options.names("keep-alive"));
}

TEST_CASE("a Connection field of close and keep-alive names nothing") {
  Fields fields;
  fields.add("Connection", "Keep-Alive, CLOSE,,");
  CHECK(ConnectionOptions(fields).empty());
}
