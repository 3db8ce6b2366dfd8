#include "net/connector.h"

#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "net/socket.h"
#include "support/raw_socket.h"
#include "support/temporary_folder.h"
#include "support/test_loop.h"

using namespace ssequel;
using namespace std::chrono_literals;
using net::Address;
using ssequel::test::RawSocket;
using ssequel::test::TemporaryFolder;
using ssequel::test::TestLoop;

namespace {

struct Caller final : net::ConnectListener, net::StreamListener {
  void on_connected(net::Owned<net::Stream> connected) override {
    ++successes;
    stream = std::move(connected);
    if (then) then();
  }
  void on_connect_failed(const Error& error) override {
    ++failures;
    last_error = error;
    if (then) then();
  }
  void on_read(std::string_view bytes) override { read += bytes; }
  void on_eof() override {}
  void on_drained() override {}
  void on_broken(const Error&) override {}
  [[nodiscard]] int calls() const { return successes + failures; }
  int successes = 0;
  int failures = 0;
  Error last_error;
  std::string read;
  net::Owned<net::Stream> stream;
  std::function<void()> then;
};

Address tcp(std::string host, std::uint16_t port) { return {Address::Kind::Tcp, std::move(host), port, ""}; }

// A port of 127.0.0.1 that takes no further connection and answers nothing: its backlog is full, and the kernel drops
// what comes.
struct SilentPort {
  SilentPort() : listening(RawSocket::listening(0)) {
    for (int i = 0; i < 4; ++i) {
      const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      const auto address = *net::literal_address("127.0.0.1", listening.port());
      static_cast<void>(connect(descriptor, address.get(), address.length));
      waiting.emplace_back(descriptor);
    }
  }
  RawSocket listening;
  std::vector<RawSocket> waiting;
};

std::uint16_t closed_port() {
  auto listening = RawSocket::listening();
  return listening.port();  // Closed at the end of the scope.
}

}  // namespace

TEST_CASE("a connection to an address and to a name can be read and written") {
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    CAPTURE(host);
    TestLoop test;
    Caller caller;
    const auto listening = RawSocket::listening();
    auto attempt = net::Connect::start(test.deadlines(), tcp(host, listening.port()), 5s, caller);
    CHECK(caller.calls() == 0);
    REQUIRE(test.run_until([&] { return caller.successes == 1; }));
    auto peer = listening.accept();
    REQUIRE(peer.is_valid());
    caller.stream->set_listener(caller);
    caller.stream->start_reading();
    CHECK(caller.stream->write("to the peer"));
    peer.send("from the peer");
    REQUIRE(test.run_until([&] { return caller.read == "from the peer" && peer.receive() == "to the peer"; }));
    CHECK(caller.stream->peer_address() == "127.0.0.1");
    test.run_turns();
    CHECK(caller.calls() == 1);
  }
}

TEST_CASE("connections have TCP_NODELAY and keep-alive") {
  TestLoop test;
  Caller caller;
  const auto listening = RawSocket::listening();
  auto attempt = net::Connect::start(test.deadlines(), tcp("127.0.0.1", listening.port()), 5s, caller);
  REQUIRE(test.run_until([&] { return caller.successes == 1; }));
  const RawSocket socket(caller.stream->detach());
  int value = 0;
  socklen_t size = sizeof value;
  getsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &value, &size);
  CHECK(value == 1);
  getsockopt(socket.descriptor(), SOL_SOCKET, SO_KEEPALIVE, &value, &size);
  CHECK(value == 1);
}

TEST_CASE("a unix socket is connected to, and a missing or overlong one fails") {
  const TemporaryFolder folder;
  TestLoop test;
  Caller caller;
  Address address{Address::Kind::Unix, "", 0, folder.path("socket")};
  net::Owned<net::Connect> attempt;
  SUBCASE("there") {
    RawSocket listening(socket(AF_UNIX, SOCK_STREAM, 0));
    const auto name = net::unix_address(address.path).value();
    REQUIRE(bind(listening.descriptor(), name.get(), name.length) == 0);
    REQUIRE(listen(listening.descriptor(), 4) == 0);
    attempt = net::Connect::start(test.deadlines(), address, 5s, caller);
    CHECK(caller.calls() == 0);
    REQUIRE(test.run_until([&] { return caller.successes == 1; }));
    CHECK(caller.stream->peer_address().empty());
  }
  SUBCASE("missing") {
    attempt = net::Connect::start(test.deadlines(), address, 5s, caller);
    CHECK(caller.calls() == 0);
    REQUIRE(test.run_until([&] { return caller.failures == 1; }));
    CHECK(caller.last_error.code == ErrorCode::PeerGone);
    CHECK(caller.last_error.context.find(address.path) != std::string::npos);
  }
  SUBCASE("overlong") {
    address.path = "/" + std::string(150, 'x');
    attempt = net::Connect::start(test.deadlines(), address, 5s, caller);
    CHECK(caller.calls() == 0);
    REQUIRE(test.run_until([&] { return caller.failures == 1; }));
  }
  test.run_turns();
  CHECK(caller.calls() == 1);
}

TEST_CASE("an IPv6 address is connected to") {
  RawSocket listening(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any = *net::literal_address("::1", 0);
  if (bind(listening.descriptor(), any.get(), any.length) != 0) {
    MESSAGE("no IPv6 here");
    return;
  }
  REQUIRE(listen(listening.descriptor(), 4) == 0);
  TestLoop test;
  Caller caller;
  auto attempt = net::Connect::start(test.deadlines(), tcp("::1", listening.port()), 5s, caller);
  REQUIRE(test.run_until([&] { return caller.calls() == 1; }));
  REQUIRE(caller.successes == 1);
  CHECK(caller.stream->peer_address() == "::1");
}

TEST_CASE("a refused connection is PeerGone and names the address") {
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    TestLoop test;
    Caller caller;
    const auto port = closed_port();
    auto attempt = net::Connect::start(test.deadlines(), tcp(host, port), 5s, caller);
    CHECK(caller.calls() == 0);
    REQUIRE(test.run_until([&] { return caller.failures == 1; }));
    CHECK(caller.last_error.code == ErrorCode::PeerGone);
    CHECK(caller.last_error.context.find(host + ":" + std::to_string(port)) != std::string::npos);
    CHECK(caller.last_error.context.find("refused") != std::string::npos);
  }
}

TEST_CASE("an address that cannot be routed to is reported later, not from inside start") {
  TestLoop test;
  Caller caller;
  // A broadcast address is refused by connect(2) at once.
  auto attempt = net::Connect::start(test.deadlines(), tcp("255.255.255.255", 9), 5s, caller);
  CHECK(caller.calls() == 0);
  REQUIRE(test.run_until([&] { return caller.failures == 1; }));
  CHECK(caller.last_error.code == ErrorCode::PeerGone);
}

TEST_CASE("a name that nobody knows is PeerGone") {
  TestLoop test;
  Caller caller;
  auto attempt = net::Connect::start(test.deadlines(), tcp("no-such-name.invalid", 80), 5s, caller);
  CHECK(caller.calls() == 0);
  REQUIRE(test.run_until([&] { return caller.failures == 1; }));
  CHECK(caller.last_error.context.find("no-such-name.invalid:80") != std::string::npos);
}

TEST_CASE("a peer that does not answer in time is RetryLater") {
  const SilentPort silent;
  TestLoop test;
  Caller caller;
  const auto start = test.loop().now();
  auto attempt = net::Connect::start(test.deadlines(), tcp("127.0.0.1", silent.listening.port()), 50ms, caller);
  REQUIRE(test.run_until([&] { return caller.calls() == 1; }));
  CHECK(caller.failures == 1);
  CHECK(caller.last_error.code == ErrorCode::RetryLater);
  CHECK(test.loop().now() - start >= 50ms);
  CHECK(test.loop().now() - start < 2s);
  test.run_turns();
  CHECK(caller.calls() == 1);
}

TEST_CASE("a dropped attempt is silent, whatever it was doing") {
  const SilentPort silent;
  const auto listening = RawSocket::listening();
  TestLoop test;
  Caller caller;
  for (const auto& address :
       {tcp("127.0.0.1", silent.listening.port()), tcp("127.0.0.1", listening.port()),
        tcp("localhost", listening.port()), tcp("127.0.0.1", closed_port()), tcp("255.255.255.255", 9),
        tcp("no-such-name.invalid", 80), Address{Address::Kind::Unix, "", 0, "/no/such/socket"}}) {
    CAPTURE(address.to_string());
    auto attempt = net::Connect::start(test.deadlines(), address, 1s, caller);
    attempt.reset();
    auto other = net::Connect::start(test.deadlines(), address, 1s, caller);
    test.run_turns(1);
    other.reset();
    const int calls = caller.calls();
    CHECK(calls <= 1);  // The second may have been told within its one turn.
    test.run_turns(20);
    CHECK(caller.calls() == calls);
    caller.successes = caller.failures = 0;
    caller.stream.reset();
  }
}

TEST_CASE("an attempt may be dropped from inside its callbacks") {
  const auto listening = RawSocket::listening();
  const SilentPort silent;
  TestLoop test;
  Caller caller;
  net::Owned<net::Connect> attempt;
  caller.then = [&] { attempt.reset(); };
  for (const auto port : {listening.port(), closed_port(), silent.listening.port()}) {
    attempt = net::Connect::start(test.deadlines(), tcp("127.0.0.1", port), 50ms, caller);
    REQUIRE(test.run_until([&] { return !attempt; }));
  }
  CHECK(caller.successes == 1);
  CHECK(caller.failures == 2);
}

TEST_CASE("an attempt that is over may be dropped at any time, and the stream goes on") {
  const auto listening = RawSocket::listening();
  TestLoop test;
  Caller caller;
  auto attempt = net::Connect::start(test.deadlines(), tcp("127.0.0.1", listening.port()), 50ms, caller);
  REQUIRE(test.run_until([&] { return caller.successes == 1; }));
  attempt.reset();
  test.run_turns();
  auto peer = listening.accept();
  CHECK(caller.stream->write("still here"));
  REQUIRE(test.run_until([&] { return peer.receive() == "still here"; }));
}

TEST_CASE("a socket that is connected to itself is known as such") {
  // What a connect to a port of the ephemeral range may end in where nobody listens.
  RawSocket socket(::socket(AF_INET, SOCK_STREAM, 0));
  const auto any = *net::literal_address("127.0.0.1", 0);
  REQUIRE(bind(socket.descriptor(), any.get(), any.length) == 0);
  const auto own = *net::literal_address("127.0.0.1", socket.port());
  static_cast<void>(connect(socket.descriptor(), own.get(), own.length));
  CHECK(net::is_connected_to_itself(socket.descriptor()));

  const auto listening = RawSocket::listening();
  const auto other = RawSocket::connect_tcp(listening.port());
  CHECK_FALSE(net::is_connected_to_itself(other.descriptor()));
}
