// From the upstream's bytes to entries of the log: ids, origin ids, what is dropped, what travels outside frames,
// codings.
#include <doctest/doctest.h>
#include <zlib.h>

#include "base/base62.h"
#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

using Frames = std::vector<std::string>;

TEST_CASE("each event gets the next number, whatever id it came with") {
  ChannelStory story(shared());
  story.begin();
  story.receive("data: a\n\nid: 7f\ndata: b\n\nevent: x\nid: 7f\ndata: c\ndata:d\nfoo: bar\n\n");
  CHECK(story.frames() ==
        Frames{"id: 100\ndata: a\n\n", "id: 101\ndata: b\n\n", "id: 102\nevent: x\ndata: c\ndata:d\nfoo: bar\n\n"});
  CHECK(story.counters.events_emitted == 3);
  CHECK(story.counters.ids_rewritten == 2);
}

TEST_CASE("line ends become LF, an unfinished block at the end is dropped") {
  ChannelStory story(shared());
  story.begin();
  story.receive("data: a\r\n\r\ndata: b\r\rdata: c\n");
  story.reconnect();
  story.receive("\ndata: d\n\n");
  CHECK(story.frames()[0] == "id: 100\ndata: a\n\n");
  CHECK(story.frames()[1] == "id: 101\ndata: b\n\n");
  CHECK(story.newest() == "id: 103\ndata: d\n\n");
  CHECK(story.count("data: c") == 0);
}

TEST_CASE("a session's ids are TAG-N-O, O being the stream's last event ID, which sticks") {
  ChannelStory story(session());
  story.begin();
  story.receive("data: a\n\nid: x/1\ndata: b\n\ndata: c\n\nid\ndata: d\n\n");
  const auto origin = base62::encode("x/1");
  CHECK(story.frames() == Frames{"id: " + kTag + "-1\ndata: a\n\n", "id: " + kTag + "-2-" + origin + "\ndata: b\n\n",
                                 "id: " + kTag + "-3-" + origin + "\ndata: c\n\n", "id: " + kTag + "-4\ndata: d\n\n"});
}

TEST_CASE("an origin id over 48 bytes is left out of our id, and every id stays under 128 bytes") {
  ChannelStory story(session());
  story.begin();
  const std::string most(48, '\xff');
  story.receive("id: " + most + "\ndata: a\n\nid: " + most + "z\ndata: b\n\n");
  const auto first = story.frames()[0];
  const auto id = first.substr(4, first.find('\n') - 4);
  CHECK(id == kTag + "-1-" + base62::encode(most));
  CHECK(id.size() < 128);
  CHECK(story.newest() == "id: " + kTag + "-2\ndata: b\n\n");
  CHECK(story.channel.last_origin_id() == most + "z");
}

TEST_CASE("a block without data is dropped, its origin id is kept") {
  ChannelStory story(session());
  story.begin();
  story.receive("id: 5\n\nevent: nothing\n\ndata: a\n\n");
  CHECK(story.frames() == Frames{"id: " + kTag + "-1-" + base62::encode("5") + "\ndata: a\n\n"});
  CHECK(story.channel.last_origin_id() == "5");
  CHECK(story.counters.dropped_no_data == 1);
}

TEST_CASE("place last puts our id at the end of the frame, origin styles show the upstream's") {
  auto route = shared();
  route.ids.place = sse::IdPlace::Last;
  route.ids.origin = {.kind = sse::OriginStyle::Kind::Field, .name = "origin-id"};
  ChannelStory story(route);
  story.begin();
  story.receive("id: u1\ndata: a\n\ndata: b\n\n");
  CHECK(story.frames() == Frames{"data: a\norigin-id: u1\nid: 100\n\n", "data: b\nid: 101\n\n"});
}

TEST_CASE("the upstream is asked to go on from the last origin id") {
  ChannelStory story(shared());
  story.begin();
  story.reconnect();
  story.receive("id: a1\ndata: a\n\ndata: b\n\nid: a2\n\n");
  story.reconnect();
  story.receive("id:\ndata: forget it\n\n");
  story.reconnect();
  CHECK(story.port.last_event_ids == std::vector<std::string>{"-", "-", "a2", "-"});
}

TEST_CASE("an unfinished block's id is not the last origin id") {
  ChannelStory story(shared());
  story.begin();
  story.receive("id: a1\ndata: a\n\nid: a2\ndata: b\n");
  story.reconnect();
  CHECK(story.port.last_event_ids.back() == "a1");
}

TEST_CASE("an origin id that no field can hold, or over 4 KiB, is not sent upstream") {
  for (const auto& id : {std::string(5000, 'x'), std::string("a\x01z"), std::string("a\x7fz")}) {
    ChannelStory story(shared());
    story.channel.set_first_last_event_id("theirs");
    story.begin();
    story.receive("id: " + id + "\ndata: a\n\n");
    CHECK(story.channel.last_origin_id() == "");
    story.reconnect();
    CHECK(story.port.last_event_ids == std::vector<std::string>{"theirs", "-"});
  }
  ChannelStory story(shared());
  story.begin();
  story.receive("id: " + std::string(4096, 'x') + "\ndata: a\n\n");
  story.reconnect();
  CHECK(story.port.last_event_ids.back().size() == 4096);
}

TEST_CASE("the opener's foreign id goes with the first request and with no reconnect") {
  ChannelStory story(shared());
  story.channel.set_first_last_event_id("theirs");
  story.channel.connect();
  story.channel.on_upstream_trouble(Millis(0));
  story.wait_out_backoff();
  story.answer();
  story.reconnect();
  CHECK(story.port.last_event_ids == std::vector<std::string>{"theirs", "-", "-"});
  ChannelStory large(shared());
  large.channel.set_first_last_event_id(std::string(5000, 'x'));
  large.channel.connect();
  CHECK(large.port.last_event_ids == std::vector<std::string>{"-"});
}

TEST_CASE("a first id that was never asked for does not come up later") {
  ChannelStory story(shared());
  story.begin();
  story.receive("id: a1\ndata: a\n\n");
  story.channel.set_first_last_event_id("theirs");
  story.reconnect();
  story.receive("id:\ndata: forget it\n\n");
  story.reconnect();
  CHECK(story.port.last_event_ids == std::vector<std::string>{"-", "a1", "-"});
}

// ------------------------------------------------------------------------------------------------------- dedupe

TEST_CASE("dedupe drops an event whose origin id is still in the window") {
  auto route = shared();
  route.dedupe = Dedupe::Id;
  route.window.events = 3;
  ChannelStory story(route);
  story.begin();
  story.receive("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 1\ndata: a\n\ndata: no id\n\ndata: no id\n\n");
  CHECK(story.channel.log()->appended() == 4);
  CHECK(story.counters.deduplicated == 1);
  story.receive("id: 1\ndata: a\n\n");  // Out of the window by now.
  CHECK(story.channel.log()->appended() == 5);
}

TEST_CASE("without dedupe equal origin ids are events of their own") {
  ChannelStory story(shared());
  story.begin();
  story.receive("id: 1\ndata: a\n\nid: 1\ndata: a\n\n");
  CHECK(story.channel.log()->appended() == 2);
  CHECK(story.counters.deduplicated == 0);
}

TEST_CASE("dedupe: what an upstream sends again after a reconnect is dropped, the gap stands before what is new") {
  auto route = shared();
  route.dedupe = Dedupe::Id;
  route.event_bytes = 64;
  ChannelStory story(route);
  story.begin();
  const std::string large = "id: 2\ndata: " + std::string(100, 'x') + "\n\n";
  story.receive("id: 1\ndata: a\n\n" + large);
  story.reconnect();
  story.receive("id: 1\ndata: a\n\n" + large);
  CHECK(story.channel.log()->appended() == 2);
  CHECK(story.counters.dropped_oversized == 1);
  story.receive("id: 3\ndata: c\n\n");
  CHECK(story.channel.log()->appended() == 4);
  CHECK(story.count("upstream-gap") == 1);
}

// ---------------------------------------------------------------------------------------------------- oversized

TEST_CASE("an event over event_bytes still takes its id: dropped stands in its place") {
  auto route = session();
  route.event_bytes = 64;
  ChannelStory story(route);
  story.begin();
  story.receive("data: a\n\nid: big\ndata: " + std::string(100, 'x') + "\n\ndata: b\n\n");
  const auto origin = base62::encode("big");
  CHECK(story.frames() ==
        Frames{"id: " + kTag + "-1\ndata: a\n\n",
               "id: " + kTag + "-2-" + origin +
                   "\nevent: sync-required\ndata: {\"reason\":\"dropped\",\"requested\":null,\"oldest\":\"" + kTag +
                   "-1\",\"newest\":\"" + kTag + "-1\"}\n\n",
               "id: " + kTag + "-3-" + origin + "\ndata: b\n\n"});
  CHECK(story.counters.dropped_oversized == 1);
  CHECK(story.counters.sync_required[static_cast<std::size_t>(sse::SyncReason::Dropped)] == 1);
}

TEST_CASE("an oversized event in an empty log says that nothing is there yet") {
  auto route = shared();
  route.event_bytes = 64;
  ChannelStory story(route);
  story.begin();
  story.receive("data: " + std::string(100, 'x') + "\n\n");
  CHECK(story.frames() == Frames{"id: 100\nevent: sync-required\ndata: {\"reason\":\"dropped\",\"requested\":null,"
                                 "\"oldest\":null,\"newest\":null}\n\n"});
}

TEST_CASE("an endless line costs no more than event_bytes, and one entry") {
  auto route = shared();
  route.event_bytes = 1024;
  ChannelStory story(route);
  story.begin();
  story.receive("data: ");
  for (int i = 0; i < 1000; ++i) story.receive(std::string(1024, 'x'));
  CHECK(story.channel.log()->appended() == 0);
  story.receive("\n\ndata: b\n\n");
  CHECK(story.channel.log()->appended() == 2);
}

// ------------------------------------------------------------------------------------------- comments and retry

TEST_CASE("a session's clients get the upstream's comments as lines, between the events they stood between") {
  ChannelStory story(session());
  auto& reader = story.begin();
  story.receive(": one\ndata: a\n\n:two\n\n:\n");
  CHECK(story.port.lines == std::vector<std::string>{": one\n", ":two\n", ":\n"});
  CHECK(reader.cursor == 1);
  CHECK(story.frames() == Frames{"id: " + kTag + "-1\ndata: a\n\n"});
}

TEST_CASE("comments are dropped on shared routes, retry lines too") {
  ChannelStory story(shared());
  story.begin();
  story.receive(": one\nretry: 9000\ndata: a\n\n");
  CHECK(story.port.lines.empty());
  CHECK(story.newest() == "id: 100\ndata: a\n\n");
  CHECK(story.channel.retry_ms() == 3000);
}

TEST_CASE("the upstream's retry goes to a session's clients as a line, and to those who come later") {
  ChannelStory story(session());
  story.begin();
  CHECK(story.channel.retry_ms() == 0);
  story.receive("retry: 1234\ndata: a\n\nretry: x\n\n");
  CHECK(story.port.lines == std::vector<std::string>{"retry: 1234\n"});
  CHECK(story.channel.retry_ms() == 1234);
  CHECK(story.newest() == "id: " + kTag + "-1\ndata: a\n\n");
}

TEST_CASE("a route's own retry counts, and with 0 the upstream's is not passed on either") {
  auto route = session();
  route.retry = Millis(0);
  ChannelStory none(route);
  none.begin();
  none.receive("retry: 1234\n\n");
  CHECK(none.port.lines.empty());
  CHECK(none.channel.retry_ms() == 0);
  route = shared();
  route.retry = 7s;
  ChannelStory own(route);
  own.begin();
  own.receive("retry: 1234\n\n");
  CHECK(own.channel.retry_ms() == 7000);
  route.mode = Mode::Session;
  ChannelStory session_own(route);
  session_own.begin();
  session_own.receive("retry: 1234\n\n");
  CHECK(session_own.channel.retry_ms() == 7000);
}

// ------------------------------------------------------------------------------------------------------- ndjson

TEST_CASE("ndjson: each line becomes one event") {
  for (auto route : {shared(), session()}) {
    route.upstream_format = UpstreamFormat::Ndjson;
    ChannelStory story(route);
    story.begin();
    story.receive({"{\"a\":1}\n{\"b", "\":2}\r\n\n"});
    CHECK(story.channel.log()->appended() == 2);
    CHECK(story.count("\ndata: {\"a\":1}\n\n") == 1);
    CHECK(story.count("\ndata: {\"b\":2}\n\n") == 1);
  }
}

TEST_CASE("ndjson: a last line without its end counts where the response ended cleanly, else not") {
  auto route = shared();
  route.upstream_format = UpstreamFormat::Ndjson;
  ChannelStory story(route);
  story.begin();
  story.receive("1\n2");
  story.reconnect(true);
  CHECK(story.newest() == "id: 101\ndata: 2\n\n");
  story.receive("3\n4");
  story.reconnect(false);
  story.receive("5\n");
  CHECK(story.newest() == "id: 105\ndata: 5\n\n");  // Not 45; before it 3 and two gaps.
  CHECK(story.count("data: 4") == 0);
}

TEST_CASE("ndjson: backpressure and large lines are as with event streams") {
  auto route = session();
  route.upstream_format = UpstreamFormat::Ndjson;
  route.window.events = 2;
  route.event_bytes = 16;
  ChannelStory story(route);
  auto& reader = story.begin();
  reader.is_stuck = true;
  story.receive("1\n" + std::string(20, '2') + "\n3\n4");
  story.channel.on_upstream_end(true);
  CHECK(story.channel.log()->appended() == 2);
  CHECK(story.newest().find("dropped") != std::string::npos);
  story.port.report(story.channel, reader, 2);
  CHECK(story.channel.log()->appended() == 4);
  CHECK(story.newest() == "id: " + kTag + "-4\ndata: 4\n\n");
  CHECK(story.state() == State::Ended);
}

// ---------------------------------------------------------------------------------------------- content codings

std::string compress(std::string_view text, int window_bits, int flush) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, flush);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}
std::string gzip(std::string_view text, int flush = Z_FINISH) { return compress(text, 15 + 16, flush); }

TEST_CASE("gzip and deflate are undone, event by event") {
  struct Coding {
    http::ContentCoding coding;
    int window_bits;
  };
  for (const auto& [coding, window_bits] :
       {Coding{http::ContentCoding::Gzip, 31}, Coding{http::ContentCoding::Deflate, 15},
        Coding{http::ContentCoding::Deflate, -15}}) {
    ChannelStory story(session());
    story.begin(coding);
    story.receive(compress("data: a\n\n", window_bits, Z_SYNC_FLUSH));
    CHECK(story.newest() == "id: " + kTag + "-1\ndata: a\n\n");
    story.channel.on_upstream_end(true);
    CHECK_FALSE(story.channel.log()->last_end()->is_clean);  // The coding had not ended.
  }
  ChannelStory story(session());
  story.begin(http::ContentCoding::Gzip);
  for (const char c : gzip("data: a\n\ndata: b\n\n")) story.receive(std::string_view(&c, 1));
  CHECK(story.channel.log()->appended() == 2);
  story.channel.on_upstream_end(true);
  CHECK(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("each connection has a coding of its own") {
  ChannelStory story(shared());
  story.begin(http::ContentCoding::Gzip);
  story.receive(gzip("data: a\n\n", Z_SYNC_FLUSH));
  story.reconnect();
  story.receive("data: b\n\n");
  CHECK(story.newest() == "id: 102\ndata: b\n\n");
  story.channel.on_upstream_end(false);
  story.wait_out_backoff();
  story.answer(http::ContentCoding::Gzip);
  story.receive(gzip("data: c\n\n", Z_SYNC_FLUSH));
  CHECK(story.newest() == "id: 104\ndata: c\n\n");
}

TEST_CASE("a broken content coding ends that upstream connection, what came before it is kept") {
  const auto good = gzip("data: a\n\ndata: b\n\n", Z_SYNC_FLUSH);
  for (auto route : {shared(), session()}) {
    ChannelStory story(route);
    story.begin(http::ContentCoding::Gzip);
    story.receive({good, std::string(100, '\xff') + gzip("data: c\n\n")});
    CHECK(story.channel.log()->appended() == 2);
    CHECK(story.port.count("disconnect") == 1);
    CHECK(story.state() == (story.channel.is_shared() ? State::Waiting : State::Ended));
    if (!story.channel.is_shared()) CHECK_FALSE(story.channel.log()->last_end()->is_clean);
  }
}

TEST_CASE("a broken coding behind a pause ends the connection when its turn comes") {
  auto route = session();
  route.window.events = 1;
  ChannelStory story(route);
  auto& reader = story.begin(http::ContentCoding::Gzip);
  reader.is_stuck = true;
  story.receive({gzip("data: a\n\ndata: b\n\n", Z_SYNC_FLUSH), std::string(3000, '\xff')});
  story.channel.on_upstream_end(true);
  for (replay::Place place = 1; place < 3; ++place) story.port.report(story.channel, reader, place);
  CHECK(story.state() == State::Ended);
  CHECK(story.channel.log()->appended() == 2);
  CHECK_FALSE(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("a coding cut short behind a pause is an end that broke off") {
  auto route = session();
  route.window.events = 2;
  ChannelStory story(route);
  auto& reader = story.begin(http::ContentCoding::Gzip);
  reader.is_stuck = true;
  std::string text;
  std::uint32_t noise = 1;  // Hard to compress, so that it takes several slices.
  for (int i = 0; i < 300; ++i) {
    text += "data: ";
    for (int k = 0; k < 20; ++k) text += static_cast<char>('!' + (noise = noise * 1664525 + 1013904223) / 65536 % 90);
    text += "\n\n";
  }
  const auto whole = gzip(text);
  REQUIRE(whole.size() > 3000);
  story.receive(whole.substr(0, whole.size() - 20));
  story.channel.on_upstream_end(true);
  CHECK(story.state() == State::Streaming);
  for (int turn = 0; turn < 1000 && story.state() == State::Streaming; ++turn) {
    story.port.report(story.channel, reader, story.channel.log()->published());
  }
  CHECK(story.state() == State::Ended);
  CHECK_FALSE(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("a decompression bomb stops where the readers are, and memory stays bounded") {
  // 1000 : 1, a megabyte of events in a kilobyte; with a reader that takes nothing.
  std::string text;
  while (text.size() < 64 * 1024 * 1024) text += "data: " + std::string(1000, 'x') + "\n\n";
  const auto bomb = gzip(text);
  REQUIRE(bomb.size() < 256 * 1024);
  auto route = session();
  route.window.bytes = 256 * 1024;
  route.event_bytes = 64 * 1024;
  ChannelStory story(route);
  auto& reader = story.begin(http::ContentCoding::Gzip);
  reader.is_stuck = true;
  story.receive(bomb);
  CHECK(story.channel.is_upstream_paused());
  CHECK(story.channel.log()->window_bytes() < 2 * 256 * 1024);
  CHECK(story.channel.pending_bytes() < 2 * 1024 * 1024 + bomb.size());
  story.port.report(story.channel, reader, story.channel.log()->published());
  CHECK(story.channel.pending_bytes() < 2 * 1024 * 1024 + bomb.size());
  CHECK(story.channel.log()->window_bytes() < 2 * 256 * 1024);
}

TEST_CASE("a bomb of one endless line is one dropped event") {
  auto route = session();
  route.event_bytes = 64 * 1024;
  ChannelStory story(route);
  story.begin(http::ContentCoding::Gzip);
  story.receive(gzip("data: " + std::string(32 * 1024 * 1024, 'x') + "\n\n"));
  CHECK(story.channel.log()->appended() == 1);
  CHECK(story.counters.dropped_oversized == 1);
  CHECK(story.channel.log()->window_bytes() < 1024);
}

}  // namespace
}  // namespace ssequel::relay
