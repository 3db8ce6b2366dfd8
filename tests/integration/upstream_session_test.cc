// An upstream session by itself: what is held back while it is paused comes before what is read later.
#include "gateway/upstream_session.h"

#include <doctest/doctest.h>

#include "support/proxy_fixture.h"
#include "support/shared_story.h"

using namespace ssequel;
using namespace ssequel::test;

namespace {

// Pauses at each piece, and goes on when what was read is over.
class Hesitant final : public gateway::UpstreamListener {
 public:
  gateway::UpstreamSession* session = nullptr;
  std::string content;
  std::string failure;
  bool is_complete = false;

  void on_upstream_interim(http::ResponseHead&) override {}
  void on_upstream_head(http::ResponseHead&) override {}
  void on_upstream_content(std::string_view piece) override {
    content += piece;
    session->pause();
  }
  void on_upstream_read_over() override { session->resume(); }
  void on_upstream_complete(const http::Fields&) override { is_complete = true; }
  void on_upstream_upgraded(std::string_view) override {}
  void on_upstream_failed(gateway::UpstreamFailure, const Error& error) override { failure = error.context; }
  void on_upstream_writable() override {}
};

}  // namespace

TEST_CASE("pausing at every piece and going on right behind it changes nothing of what is read") {
  ProxyFixture proxy(public_route());
  Hesitant reader;
  gateway::UpstreamSession session(proxy.worker().pool(), reader);
  reader.session = &session;
  gateway::UpstreamSession::Request request;
  request.method = "GET";
  request.head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  session.start(std::move(request), Millis(5000));
  auto* origin = proxy.origin.next();
  origin->begin_stream();
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string piece(3000, static_cast<char>('a' + i % 26));
    expected += piece;
    origin->chunk(piece);
  }
  origin->end_stream();
  CHECK(proxy.run_until([&] { return reader.is_complete || !reader.failure.empty(); }));
  CHECK(reader.failure == "");
  CHECK(reader.content == expected);
}
