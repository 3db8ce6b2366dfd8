#include "net/stream.h"

#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/raw_socket.h"
#include "support/test_loop.h"

using namespace ssequel;
using ssequel::test::RawSocket;
using ssequel::test::TestLoop;
using End = RawSocket::End;

namespace {

// Writes down what it hears; `then` is called after each callback.
struct Recorder final : net::StreamListener {
  void on_read(std::string_view bytes) override {
    read += bytes;
    ++reads;
    call();
  }
  void on_eof() override {
    ++eofs;
    call();
  }
  void on_drained() override {
    ++drained;
    call();
  }
  void on_broken(const Error& error) override {
    ++broken;
    last_error = error;
    call();
  }
  void call() {
    if (then) then();
  }
  std::string read;
  int reads = 0;
  int eofs = 0;
  int drained = 0;
  int broken = 0;
  Error last_error;
  std::function<void()> then;
};

// A stream and its peer, over loopback or as a pair of unix sockets.
struct Pair {
  explicit Pair(bool is_unix = false) {
    int descriptor = -1;
    if (is_unix) {
      int both[2];
      REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
      descriptor = both[0];
      peer = RawSocket(both[1]);
    } else {
      auto listening = RawSocket::listening();
      listening.set_buffers(kBufferBytes);
      peer = RawSocket::connect_tcp(listening.port());
      peer.set_buffers(kBufferBytes);
      descriptor = listening.accept().release();
    }
    auto adopted = net::Stream::adopt(test.loop(), descriptor, is_unix);
    REQUIRE(adopted);
    stream = std::move(*adopted);
    stream->set_listener(heard);
  }
  [[nodiscard]] bool run_until(std::function<bool()> condition) { return test.run_until(std::move(condition)); }
  // Fills the kernel's buffers, and then some: the last bytes are queued. (Without a queue, TCP finds a little more
  // room now and then.)
  std::string fill() {
    auto sent = fill_kernel();
    const auto tail = std::string(1024 * 1024, 'y');
    CHECK_FALSE(stream->write(tail));
    REQUIRE(stream->is_blocked());
    return sent + tail;
  }
  // Until nothing more is taken at once.
  std::string fill_kernel() {
    std::string sent;
    const std::string block(64 * 1024, 'x');
    for (;;) {
      const std::string_view piece = block;
      const auto count = stream->try_write({&piece, 1});
      REQUIRE(count);
      sent.append(block, 0, *count);
      if (*count < block.size()) return sent;
    }
  }
  static constexpr int kBufferBytes = 64 * 1024;
  TestLoop test;
  Recorder heard;
  RawSocket peer;
  net::Owned<net::Stream> stream;
};

std::string numbered(std::size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text;
}

}  // namespace

TEST_CASE("what the peer sends is read, and its end is told once") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    CHECK_FALSE(pair.stream->is_reading());
    pair.stream->start_reading();
    pair.stream->start_reading();
    CHECK(pair.stream->is_reading());
    pair.peer.send("hello");
    REQUIRE(pair.run_until([&] { return pair.heard.read == "hello"; }));
    pair.peer.finish_sending();
    REQUIRE(pair.run_until([&] { return pair.heard.eofs == 1; }));
    CHECK_FALSE(pair.stream->is_reading());
    pair.stream->start_reading();
    pair.test.run_turns();
    CHECK(pair.heard.eofs == 1);
    CHECK(pair.heard.broken == 0);
    CHECK(pair.stream->write("still open"));
    CHECK(pair.peer.receive() == "still open");
  }
}

TEST_CASE("nothing is read while reading is off") {
  Pair pair;
  pair.peer.send("waits");
  pair.test.run_turns();
  CHECK(pair.heard.read.empty());
  pair.stream->start_reading();
  pair.heard.then = [&] { pair.stream->stop_reading(); };
  REQUIRE(pair.run_until([&] { return pair.heard.read == "waits"; }));
  pair.peer.send("more");
  pair.test.run_turns();
  CHECK(pair.heard.read == "waits");
}

TEST_CASE("a reset is told as a breakage, never as an end") {
  Pair pair;
  pair.stream->start_reading();
  pair.peer.reset();
  REQUIRE(pair.run_until([&] { return pair.heard.broken == 1; }));
  CHECK(pair.heard.eofs == 0);
  CHECK(pair.heard.last_error.code == ErrorCode::PeerGone);
  CHECK_FALSE(pair.heard.last_error.context.empty());
}

TEST_CASE("a reset right behind the last bytes is told as a breakage, after these bytes") {
  Pair pair;
  pair.peer.send("last words");
  pair.peer.reset();
  pair.stream->start_reading();
  REQUIRE(pair.run_until([&] { return pair.heard.eofs + pair.heard.broken > 0; }));
  CHECK(pair.heard.read == "last words");
  CHECK(pair.heard.eofs == 0);
  CHECK(pair.heard.broken == 1);
}

TEST_CASE("an end after our own end is a clean one") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    pair.stream->start_reading();
    pair.stream->shutdown();
    REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
    pair.peer.send("bye");
    pair.peer.close();
    REQUIRE(pair.run_until([&] { return pair.heard.eofs + pair.heard.broken > 0; }));
    CHECK(pair.heard.read == "bye");
    CHECK(pair.heard.eofs == 1);
  }
}

TEST_CASE("try_write takes what the kernel takes and queues nothing") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    const auto sent = pair.fill_kernel();
    CHECK_FALSE(pair.stream->is_blocked());
    REQUIRE(pair.run_until([&] { return pair.peer.receive().size() == sent.size(); }));
    CHECK(pair.heard.drained == 0);
  }
}

TEST_CASE("many pieces arrive in order, empty ones too") {
  Pair pair;
  std::vector<std::string> texts;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    texts.push_back(i % 7 == 0 ? "" : std::to_string(i) + ";");
    expected += texts.back();
  }
  const std::vector<std::string_view> pieces(texts.begin(), texts.end());
  CHECK(pair.stream->try_write(pieces).value() == expected.size());
  CHECK(pair.stream->write(pieces));
  CHECK(pair.stream->write(std::span<const std::string_view>()));
  REQUIRE(pair.run_until([&] { return pair.peer.receive() == expected + expected; }));
}

TEST_CASE("what the peer has not acknowledged counts, with the kernel or queued, and falls as it is taken") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    CHECK(pair.stream->unacknowledged_bytes() == 0);
    const auto sent = pair.fill();
    const auto full = pair.stream->unacknowledged_bytes();
    CHECK(full > pair.stream->queued_bytes());
    pair.test.run_turns();
    CHECK(pair.stream->unacknowledged_bytes() == full);
    REQUIRE(pair.run_until([&] { return pair.peer.receive().size() == sent.size(); }));
    CHECK(pair.run_until([&] { return pair.stream->unacknowledged_bytes() == 0; }));
  }
}

TEST_CASE("what a peer does not read is queued whole, and its going is told once") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    auto expected = pair.fill();
    const auto queued_before = pair.stream->queued_bytes();
    const auto text = numbered(3'000'000);
    {
      std::string passing = text;  // write() copies: the caller's memory may go.
      const std::string_view pieces[] = {std::string_view(passing).substr(0, 1'000'001),
                                         std::string_view(passing).substr(1'000'001)};
      CHECK_FALSE(pair.stream->write(pieces));
      passing.assign(passing.size(), '#');
    }
    CHECK_FALSE(pair.stream->write("tail"));
    expected += text + "tail";
    CHECK(pair.stream->is_blocked());
    CHECK(pair.stream->queued_bytes() == queued_before + text.size() + 4);
    const std::string_view other = "other";
    CHECK(pair.stream->try_write({&other, 1}).value() == 0);
    pair.test.run_turns();
    CHECK(pair.heard.drained == 0);
    REQUIRE(pair.run_until([&] { return pair.peer.receive().size() == expected.size(); }));
    CHECK((pair.peer.receive() == expected));
    REQUIRE(pair.run_until([&] { return pair.heard.drained > 0; }));
    pair.test.run_turns();
    CHECK(pair.heard.drained == 1);
    CHECK_FALSE(pair.stream->is_blocked());
  }
}

TEST_CASE("a shared write keeps its memory until it has gone, and no longer") {
  Pair pair;
  const auto before = pair.fill();
  auto text = std::make_shared<const std::string>(numbered(1'000'000));
  const std::weak_ptr<const std::string> watch = text;
  const std::vector<std::string_view> pieces(3, *text);
  pair.stream->write_shared(pieces, text);
  const auto expected = before + *text + *text + *text;
  text.reset();
  pair.test.run_turns();
  CHECK_FALSE(watch.expired());
  REQUIRE(pair.run_until([&] { return pair.peer.receive().size() == expected.size(); }));
  CHECK((pair.peer.receive() == expected));
  REQUIRE(pair.run_until([&] { return pair.heard.drained == 1; }));
  CHECK(watch.expired());
}

TEST_CASE("a shared write that goes at once is told in a later turn") {
  Pair pair;
  const std::vector<std::string_view> pieces(40, "piece");
  pair.stream->write_shared(pieces, nullptr);
  CHECK(pair.heard.drained == 0);
  REQUIRE(pair.run_until([&] { return pair.heard.drained == 1; }));
  pair.stream->write_shared({}, nullptr);
  REQUIRE(pair.run_until([&] { return pair.heard.drained == 2; }));
  CHECK(pair.peer.receive().size() == 200);
}

TEST_CASE("a stream dropped while writes are queued frees them and is silent") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    pair.fill();
    auto text = std::make_shared<const std::string>(numbered(1'000'000));
    const std::string_view piece = *text;
    CHECK_FALSE(pair.stream->write("copied"));
    pair.stream->write_shared({&piece, 1}, text);
    pair.stream->shutdown();
    pair.stream.reset();
    pair.test.run_turns();
    CHECK(text.use_count() == 1);
    CHECK(pair.heard.drained + pair.heard.broken + pair.heard.eofs == 0);
    REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
  }
}

TEST_CASE("a stream may be dropped from inside on_read") {
  Pair pair;
  pair.stream->start_reading();
  pair.heard.then = [&] { pair.stream.reset(); };
  pair.peer.send(std::string(200'000, 'x'));
  REQUIRE(pair.run_until([&] { return !pair.stream; }));
  pair.test.run_turns();
  CHECK(pair.heard.reads == 1);
}

TEST_CASE("a stream may be dropped from inside on_eof") {
  Pair pair;
  pair.stream->start_reading();
  pair.heard.then = [&] { pair.stream.reset(); };
  pair.peer.finish_sending();
  REQUIRE(pair.run_until([&] { return !pair.stream; }));
  CHECK(pair.heard.eofs == 1);
  REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
}

TEST_CASE("a stream may be dropped from inside on_drained") {
  Pair pair;
  pair.heard.then = [&] { pair.stream.reset(); };
  const std::string_view piece = "last";
  pair.stream->write_shared({&piece, 1}, nullptr);
  REQUIRE(pair.run_until([&] { return !pair.stream; }));
  CHECK(pair.heard.drained == 1);
  REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
  CHECK(pair.peer.receive() == "last");
}

TEST_CASE("a stream may be dropped from inside on_broken") {
  Pair pair;
  pair.stream->start_reading();
  pair.heard.then = [&] { pair.stream.reset(); };
  pair.peer.reset();
  REQUIRE(pair.run_until([&] { return !pair.stream; }));
  CHECK(pair.heard.broken == 1);
}

TEST_CASE("dropping ends the connection after what was written, reset_on_close breaks it off") {
  SUBCASE("end") {
    Pair pair;
    CHECK(pair.stream->write("all of it"));
    pair.stream.reset();
    REQUIRE(pair.run_until([&] { return pair.peer.end() != End::None; }));
    CHECK(pair.peer.end() == End::Eof);
    CHECK(pair.peer.receive() == "all of it");
  }
  SUBCASE("reset") {
    Pair pair;
    CHECK(pair.stream->write("a part"));
    pair.stream->reset_on_close();
    pair.stream.reset();
    REQUIRE(pair.run_until([&] { return pair.peer.end() != End::None; }));
    CHECK(pair.peer.end() == End::Reset);
  }
  SUBCASE("reset after a shutdown that has not happened yet") {
    Pair pair;
    pair.fill();
    CHECK_FALSE(pair.stream->write("queued"));
    pair.stream->shutdown();
    pair.stream->reset_on_close();
    pair.stream.reset();
    REQUIRE(pair.run_until([&] { return pair.peer.end() != End::None; }));
    CHECK(pair.peer.end() == End::Reset);
  }
}

TEST_CASE("shutdown comes after what is queued, and reading goes on") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    auto expected = pair.fill();
    const auto text = numbered(500'000);
    CHECK_FALSE(pair.stream->write(text));
    pair.stream->shutdown();
    pair.stream->shutdown();
    pair.stream->start_reading();
    REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
    expected += text;
    CHECK((pair.peer.receive() == expected));
    CHECK(pair.heard.drained == 1);
    pair.peer.send("answer");
    REQUIRE(pair.run_until([&] { return pair.heard.read == "answer"; }));
  }
}

TEST_CASE("a write that fails at once is told in a later turn, once") {
  Pair pair;
  pair.peer.reset();
  bool refused = false;
  REQUIRE(pair.run_until([&] {
    refused = refused || !pair.stream->write("x");
    return refused;
  }));
  CHECK(pair.heard.broken == 0);
  CHECK_FALSE(pair.stream->write("y"));
  REQUIRE(pair.run_until([&] { return pair.heard.broken == 1; }));
  pair.stream->start_reading();
  CHECK_FALSE(pair.stream->is_reading());
  CHECK_FALSE(pair.stream->write("z"));
  pair.test.run_turns();
  CHECK(pair.heard.broken == 1);
  CHECK(pair.heard.drained + pair.heard.eofs == 0);
}

TEST_CASE("a stream dropped before its failure is told is silent") {
  Pair pair;
  pair.peer.reset();
  REQUIRE(pair.run_until([&] { return !pair.stream->write("x"); }));
  pair.stream.reset();
  pair.test.run_turns();
  CHECK(pair.heard.broken == 0);
}

TEST_CASE("a failed try_write is its caller's news alone") {
  Pair pair;
  pair.stream->start_reading();
  pair.stream->stop_reading();
  pair.peer.reset();
  const std::string_view piece = "x";
  Result<std::size_t> result = 0;
  REQUIRE(pair.run_until([&] {
    result = pair.stream->try_write({&piece, 1});
    return !result;
  }));
  CHECK(result.error().code == ErrorCode::PeerGone);
  CHECK_FALSE(pair.stream->try_write({&piece, 1}));
  pair.test.run_turns();
  CHECK(pair.heard.broken == 0);
}

TEST_CASE("a queued write that fails is told once, whatever else was queued") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    pair.fill();
    for (int i = 0; i < 3; ++i) CHECK_FALSE(pair.stream->write("queued"));
    pair.peer.close();  // With bytes unread: a reset.
    REQUIRE(pair.run_until([&] { return pair.heard.broken == 1; }));
    pair.test.run_turns();
    CHECK(pair.heard.broken == 1);
    CHECK(pair.heard.drained == 0);
  }
}

TEST_CASE("an answer that came before the connection broke is delivered though our write failed first") {
  Pair pair;
  pair.stream->start_reading();
  // The write fails while the answer is unread, and is reported at the end of this very turn.
  pair.test.loop().post([&] {
    pair.peer.send("413 already");
    pair.peer.reset();
    CHECK_FALSE(pair.stream->write("content"));
  });
  REQUIRE(pair.run_until([&] { return pair.heard.broken == 1; }));
  CHECK(pair.heard.read == "413 already");
  CHECK(pair.heard.eofs == 0);
}

TEST_CASE("a detached stream goes on elsewhere, bytes and all") {
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Pair pair(is_unix);
    pair.stream->start_reading();
    pair.peer.send("one");
    REQUIRE(pair.run_until([&] { return pair.heard.read == "one"; }));
    const int descriptor = pair.stream->detach();
    REQUIRE(descriptor >= 0);
    pair.stream->reset_on_close();
    pair.peer.send("two");
    pair.stream.reset();
    pair.test.run_turns();
    CHECK(pair.heard.read == "one");
    CHECK(pair.heard.eofs + pair.heard.broken == 0);

    std::string elsewhere;
    std::jthread other([&elsewhere, descriptor, is_unix] {
      TestLoop test;
      Recorder heard;
      auto stream = net::Stream::adopt(test.loop(), descriptor, is_unix);
      if (!stream) return;
      (*stream)->set_listener(heard);
      (*stream)->start_reading();
      if (!test.run_until([&heard] { return heard.read == "two"; })) return;
      if (!(*stream)->write("from elsewhere")) return;
      elsewhere = heard.read;
    });
    REQUIRE(pair.run_until([&] { return pair.peer.end() == End::Eof; }));
    other.join();
    CHECK(elsewhere == "two");
    CHECK(pair.peer.receive() == "from elsewhere");
  }
}

TEST_CASE("a stream with something queued is not detached") {
  Pair pair;
  pair.fill();
  CHECK_FALSE(pair.stream->write("queued"));
  CHECK(pair.stream->detach() == -1);
  CHECK(pair.stream->is_blocked());
}

TEST_CASE("adopting what is no descriptor is an error") {
  TestLoop test;
  CHECK_FALSE(net::Stream::adopt(test.loop(), 1'000'000, false));
}

TEST_CASE("the listener can be replaced") {
  Pair pair;
  Recorder other;
  pair.stream->start_reading();
  pair.stream->set_listener(other);
  pair.peer.send("x");
  REQUIRE(pair.run_until([&] { return other.read == "x"; }));
  CHECK(pair.heard.reads == 0);
  pair.stream->set_listener(pair.heard);
}

TEST_CASE("the peer's address has no port, unix peers have none") {
  CHECK(Pair().stream->peer_address() == "127.0.0.1");
  CHECK(Pair(true).stream->peer_address().empty());
}

TEST_CASE("a peer that acknowledges nothing is given up after the user timeout") {
  Pair pair;
  pair.stream->set_user_timeout(Millis(1234));
  const int descriptor = pair.stream->detach();
  REQUIRE(descriptor >= 0);
  const RawSocket socket(descriptor);
  unsigned value = 0;
  socklen_t size = sizeof value;
  REQUIRE(getsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size) == 0);
  CHECK(value == 1234);
  Pair unix_pair(true);
  unix_pair.stream->set_user_timeout(Millis(1234));
  CHECK(unix_pair.stream->write("no harm done"));
}
