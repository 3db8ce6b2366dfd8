#include "net/listener.h"

#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/raw_socket.h"
#include "support/temporary_folder.h"
#include "support/test_loop.h"

using namespace ssequel;
using net::Address;
using ssequel::test::RawSocket;
using ssequel::test::TemporaryFolder;
using ssequel::test::TestLoop;

namespace {

struct Guests final : net::ListenerClient, net::StreamListener {
  void on_accepted(net::Owned<net::Stream> stream) override {
    stream->set_listener(*this);
    stream->start_reading();
    streams.push_back(std::move(stream));
    if (then) then();
  }
  void on_accept_trouble(const Error& error) override {
    ++troubles;
    last_error = error;
    if (then) then();
  }
  void on_read(std::string_view bytes) override { read += bytes; }
  void on_eof() override {}
  void on_drained() override {}
  void on_broken(const Error&) override {}
  std::vector<net::Owned<net::Stream>> streams;
  std::string read;
  int troubles = 0;
  Error last_error;
  std::function<void()> then;
};

const Address kAnyPort{Address::Kind::Tcp, "127.0.0.1", 0, ""};

int option(int descriptor, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(descriptor, level, name, &value, &size);
  return value;
}

// Lowers the limit of descriptors so that none is left, and puts it back.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = fcntl(0, F_DUPFD, 3);
    close(lowest_free);
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(lowest_free);
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~NoDescriptorsLeft() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("connections are accepted, and port 0 is told as the bound one") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, false, guests).value();
  REQUIRE(listener->port() != 0);
  std::vector<RawSocket> peers;
  for (int i = 0; i < 300; ++i) peers.push_back(RawSocket::connect_tcp(listener->port()));
  peers[7].send("seven");
  REQUIRE(test.run_until([&] { return guests.streams.size() == peers.size() && guests.read == "seven"; }));
  CHECK(guests.troubles == 0);
}

TEST_CASE("accepted TCP connections have TCP_NODELAY and keep-alive") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, true, guests).value();
  const auto peer = RawSocket::connect_tcp(listener->port());
  REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
  const RawSocket socket(guests.streams[0]->detach());
  CHECK(option(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(option(socket.descriptor(), SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(socket.descriptor(), IPPROTO_TCP, TCP_KEEPIDLE) == 30);
  CHECK(option(socket.descriptor(), IPPROTO_TCP, TCP_KEEPINTVL) == 10);
  CHECK(option(socket.descriptor(), IPPROTO_TCP, TCP_KEEPCNT) == 3);
}

TEST_CASE("two loops share a port with SO_REUSEPORT, and only with it") {
  TestLoop one;
  TestLoop two;
  Guests guests_one;
  Guests guests_two;
  auto first = net::Listener::open(one.loop(), kAnyPort, true, guests_one).value();
  auto address = kAnyPort;
  address.port = first->port();
  auto second = net::Listener::open(two.loop(), address, true, guests_two);
  REQUIRE(second);
  std::vector<RawSocket> peers;
  for (int i = 0; i < 64; ++i) peers.push_back(RawSocket::connect_tcp(address.port));
  REQUIRE(one.run_until([&] {
    two.run_turns(1);
    return guests_one.streams.size() + guests_two.streams.size() == peers.size();
  }));
  CHECK_FALSE(guests_one.streams.empty());
  CHECK_FALSE(guests_two.streams.empty());

  const auto third = net::Listener::open(one.loop(), address, false, guests_one);
  REQUIRE_FALSE(third);
  CHECK(third.error().code == ErrorCode::AddressInUse);
  CHECK(third.error().context.find(address.to_string()) != std::string::npos);
}

TEST_CASE("addresses that cannot be listened on are errors that name them") {
  TestLoop test;
  Guests guests;
  const auto error = [&](const Address& address) {
    const auto listener = net::Listener::open(test.loop(), address, false, guests);
    REQUIRE_FALSE(listener);
    CHECK(listener.error().context.find(address.to_string()) != std::string::npos);
    return listener.error().code;
  };
  CHECK(error({Address::Kind::Tcp, "192.0.2.1", 0, ""}) == ErrorCode::Misconfigured);  // Not an address of ours.
  CHECK(error({Address::Kind::Tcp, "no-such-name.invalid", 0, ""}) == ErrorCode::Misconfigured);
  CHECK(error({Address::Kind::Unix, "", 0, "/no/such/folder/socket"}) == ErrorCode::NotFound);
  CHECK(error({Address::Kind::Unix, "", 0, "/" + std::string(200, 'x')}) == ErrorCode::Malformed);
}

TEST_CASE("a name is listened on where everybody can reach it") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), {Address::Kind::Tcp, "localhost", 0, ""}, false, guests).value();
  const auto peer = RawSocket::connect_tcp(listener->port());  // 127.0.0.1
  REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
}

TEST_CASE("an IPv4 client of a socket for both families is known by its IPv4 address") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), {Address::Kind::Tcp, "::", 0, ""}, false, guests);
  if (!listener) {
    MESSAGE("no IPv6 here: " << listener.error().context);
    return;
  }
  const auto peer = RawSocket::connect_tcp((*listener)->port());
  REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
  CHECK(guests.streams[0]->peer_address() == "127.0.0.1");
}

TEST_CASE("a unix socket is listened on, and its file is gone afterwards") {
  const TemporaryFolder folder;
  TestLoop test;
  Guests guests;
  const Address address{Address::Kind::Unix, "", 0, folder.path("socket")};
  auto listener = net::Listener::open(test.loop(), address, false, guests).value();
  CHECK(listener->port() == 0);
  auto peer = RawSocket::connect_unix(address.path);
  REQUIRE(peer.is_valid());
  peer.send("hello");
  REQUIRE(test.run_until([&] { return guests.read == "hello"; }));
  listener.reset();
  CHECK_FALSE(std::filesystem::exists(address.path));
}

TEST_CASE("a stale socket file is replaced, a live one and another's file are not") {
  const TemporaryFolder folder;
  TestLoop test;
  Guests guests;
  const Address address{Address::Kind::Unix, "", 0, folder.path("socket")};
  SUBCASE("stale") {
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.path.copy(name.sun_path, sizeof name.sun_path - 1);
    REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    close(descriptor);
    REQUIRE(std::filesystem::exists(address.path));
    auto listener = net::Listener::open(test.loop(), address, false, guests).value();
    const auto peer = RawSocket::connect_unix(address.path);
    REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
  }
  SUBCASE("live") {
    auto listener = net::Listener::open(test.loop(), address, false, guests).value();
    const auto second = net::Listener::open(test.loop(), address, false, guests);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::AddressInUse);
    CHECK(RawSocket::connect_unix(address.path).is_valid());
    test.run_turns();
  }
  SUBCASE("another's file") {
    folder.write("socket", "precious");
    const auto listener = net::Listener::open(test.loop(), address, false, guests);
    REQUIRE_FALSE(listener);
    CHECK(listener.error().code == ErrorCode::AddressInUse);
    CHECK(std::filesystem::file_size(address.path) == 8);
  }
  SUBCASE("taken over by a successor") {
    auto listener = net::Listener::open(test.loop(), address, false, guests).value();
    std::filesystem::remove(address.path);
    auto successor = net::Listener::open(test.loop(), address, false, guests).value();
    listener.reset();
    CHECK(RawSocket::connect_unix(address.path).is_valid());
    REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
  }
}

TEST_CASE("a paused listener leaves connections waiting") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, false, guests).value();
  listener->pause();
  const auto peer = RawSocket::connect_tcp(listener->port());
  test.run_turns();
  CHECK(guests.streams.empty());
  listener->resume();
  REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
}

TEST_CASE("a listener may be dropped or paused from inside on_accepted") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, false, guests).value();
  const auto port = listener->port();
  const auto one = RawSocket::connect_tcp(port);
  const auto two = RawSocket::connect_tcp(port);
  SUBCASE("dropped") {
    guests.then = [&] { listener.reset(); };
    REQUIRE(test.run_until([&] { return !listener; }));
    CHECK_FALSE(RawSocket::connect_tcp(port).is_valid());  // The port is free at once.
  }
  SUBCASE("paused") {
    guests.then = [&] { listener->pause(); };
    REQUIRE(test.run_until([&] { return !guests.streams.empty(); }));
  }
  test.run_turns();
  CHECK(guests.streams.size() == 1);
}

TEST_CASE("out of descriptors, connections wait, streams live on, the loop rests, and it goes on by itself") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, false, guests).value();
  auto before = RawSocket::connect_tcp(listener->port());
  REQUIRE(test.run_until([&] { return guests.streams.size() == 1; }));
  std::vector<RawSocket> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(RawSocket::connect_tcp(listener->port()));
  std::clock_t worked_ms = 0;
  {
    const NoDescriptorsLeft none;
    const auto start = test.loop().now();
    const auto worked_before = std::clock();
    REQUIRE(test.run_until([&] { return test.loop().now() - start > Millis(350); }));  // Three rests and more.
    worked_ms = (std::clock() - worked_before) * 1000 / CLOCKS_PER_SEC;
    CHECK(guests.troubles == 1);
    CHECK(guests.last_error.code == ErrorCode::RetryLater);
    CHECK(guests.last_error.context.find("127.0.0.1") != std::string::npos);
    CHECK(guests.streams.size() == 1);
    before.send("alive");
    REQUIRE(test.run_until([&] { return guests.read == "alive"; }));
    CHECK(guests.streams[0]->write("and well"));
    REQUIRE(test.run_until([&] { return before.receive() == "and well"; }));
    for (auto& peer : peers) CHECK(peer.end() == RawSocket::End::None);
  }
  CHECK(worked_ms < 175);  // Processor time: a spinning loop would have taken all of it.
  REQUIRE(test.run_until([&] { return guests.streams.size() == 4; }));
  {
    const NoDescriptorsLeft none;  // Another outage is told again: a descriptor must be free for its peer.
    guests.streams.pop_back();
    test.run_turns();
    peers.push_back(RawSocket::connect_tcp(listener->port()));
    REQUIRE(peers.back().is_valid());
    REQUIRE(test.run_until([&] { return guests.troubles == 2; }));
  }
  REQUIRE(test.run_until([&] { return guests.streams.size() == 4; }));
}

TEST_CASE("a listener may be dropped from inside on_accept_trouble, and while it rests") {
  TestLoop test;
  Guests guests;
  auto listener = net::Listener::open(test.loop(), kAnyPort, false, guests).value();
  const auto peer = RawSocket::connect_tcp(listener->port());
  const NoDescriptorsLeft none;
  SUBCASE("inside") {
    guests.then = [&] { listener.reset(); };
  }
  SUBCASE("while it rests") {}
  REQUIRE(test.run_until([&] { return guests.troubles == 1; }));
  listener.reset();
  test.run_turns();
  CHECK(guests.streams.empty());
}
