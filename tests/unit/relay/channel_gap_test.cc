// Upstream gaps: who reads across the place where one upstream connection followed another is told, once, in the log.
#include <doctest/doctest.h>

#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

constexpr auto kGap = "\"reason\":\"upstream-gap\"";

TEST_CASE("a log's first event has no gap before it, whatever connection brought it") {
  ChannelStory story(shared());
  story.begin();
  story.reconnect();
  story.reconnect(true);
  story.emit("a");
  CHECK(story.frames() == std::vector<std::string>{"id: 100\ndata: a\n\n"});
  CHECK(story.counters.gaps_sequence == 0);
}

TEST_CASE("the gap is told before the first event of a new upstream connection, not at the connect") {
  for (const bool is_clean : {true, false}) {
    ChannelStory story(shared());
    story.begin();
    story.emit("a");
    story.reconnect(is_clean);
    CHECK(story.frames().size() == 1);
    story.emit("b");
    story.emit("c");
    CHECK(story.frames() ==
          std::vector<std::string>{"id: 100\ndata: a\n\n",
                                   "id: 101\nevent: sync-required\ndata: {\"reason\":\"upstream-gap\","
                                   "\"requested\":null,\"oldest\":\"100\",\"newest\":\"100\"}\n\n",
                                   "id: 102\ndata: b\n\n", "id: 103\ndata: c\n\n"});
    CHECK(story.counters.gaps_sequence == 1);
    CHECK(story.counters.sync_required[static_cast<std::size_t>(sse::SyncReason::UpstreamGap)] == 1);
    CHECK(story.counters.events_emitted == 4);
  }
}

TEST_CASE("connections that bring no event add no gap of their own") {
  ChannelStory story(shared());
  story.begin();
  story.emit("a");
  for (int i = 0; i < 5; ++i) story.reconnect();
  story.channel.on_upstream_end(true);
  story.wait_out_backoff();
  story.channel.on_upstream_trouble(Millis(0));
  story.wait_out_backoff();
  story.answer();
  story.emit("b");
  CHECK(story.count(kGap) == 1);
}

TEST_CASE("where a subscriber's coming opens the upstream again, the gap is told at that connect") {
  ChannelStory story(shared());
  auto& reader = story.begin();
  story.emit("a");
  story.leave(reader);
  story.advance(60s);
  REQUIRE(story.state() == State::Dormant);
  story.channel.connect();
  CHECK(story.count(kGap) == 0);
  story.answer();
  CHECK(story.count(kGap) == 1);
  CHECK(story.channel.log()->published() == 2);  // One without a resume point begins behind it.
  story.join();
  story.emit("b");
  CHECK(story.count(kGap) == 1);
  CHECK(story.newest() == "id: 102\ndata: b\n\n");
}

TEST_CASE("a gap told at the connect is told again for the next connection") {
  ChannelStory story(shared());
  auto& reader = story.begin();
  story.emit("a");
  story.leave(reader);
  story.advance(60s);
  story.channel.connect();
  story.answer();
  story.join();
  story.reconnect();
  CHECK(story.count(kGap) == 1);
  story.emit("b");
  CHECK(story.count(kGap) == 2);
}

TEST_CASE("where a subscriber waits through trouble, the gap is told at the connect that succeeds") {
  ChannelStory story(shared());
  auto& reader = story.begin();
  story.emit("a");
  story.leave(reader);
  story.advance(60s);
  story.channel.connect();
  story.channel.on_upstream_trouble(Millis(0));
  story.wait_out_backoff();
  CHECK(story.count(kGap) == 0);
  story.answer();
  CHECK(story.count(kGap) == 1);
}

TEST_CASE("on_upstream_gap none is the operator's word that nothing is missing") {
  auto route = shared();
  route.on_upstream_gap = OnUpstreamGap::None;
  ChannelStory story(route);
  auto& reader = story.begin();
  story.emit("a");
  story.reconnect();
  story.emit("b");
  story.leave(reader);
  story.advance(60s);
  story.channel.connect();
  story.answer();
  story.emit("c");
  CHECK(story.frames() ==
        std::vector<std::string>{"id: 100\ndata: a\n\n", "id: 101\ndata: b\n\n", "id: 102\ndata: c\n\n"});
}

TEST_CASE("the gap's event has the name that the route gives it") {
  auto route = shared();
  route.on_gap.event = "resync";
  ChannelStory story(route);
  story.begin();
  story.emit("a");
  story.reconnect();
  story.emit("b");
  CHECK(story.count("event: resync\n") == 1);
}

TEST_CASE("a session that goes on after a clean end has no gap: the service said that was all") {
  ChannelStory story(session());
  story.begin();
  story.emit("a");
  story.channel.on_upstream_end(true);
  story.channel.prepare_to_continue();
  story.answer();
  story.emit("b");
  CHECK(story.frames() ==
        std::vector<std::string>{"id: " + kTag + "-1\ndata: a\n\n", "id: " + kTag + "-2\ndata: b\n\n"});
}

TEST_CASE("a session that goes on after an end that broke off is told of the gap at once") {
  ChannelStory story(session());
  story.begin();
  story.receive("id: seven\ndata: a\n\n");
  story.channel.on_upstream_end(false);
  story.channel.prepare_to_continue();
  story.answer();
  CHECK(story.count(kGap) == 1);
  // The service's own place is still the one before the gap.
  CHECK(replay::parse_id(*story.channel.log()->newest_id()).origin == "seven");
  story.receive("id: nine\ndata: b\n\n");
  CHECK(story.count(kGap) == 1);
  CHECK(replay::parse_id(*story.channel.log()->newest_id()).origin == "nine");
}

TEST_CASE("a session that goes on after an end that broke off is told nothing with none, or in an empty log") {
  auto route = session();
  route.on_upstream_gap = OnUpstreamGap::None;
  ChannelStory story(route);
  story.begin();
  story.emit("a");
  story.channel.on_upstream_end(false);
  story.channel.prepare_to_continue();
  story.answer();
  story.emit("b");
  CHECK(story.count(kGap) == 0);

  ChannelStory empty(session());
  empty.begin();
  empty.channel.on_upstream_end(false);
  empty.channel.prepare_to_continue();
  empty.answer();
  empty.emit("a");
  CHECK(empty.count(kGap) == 0);
}

TEST_CASE("a clean end after one that broke off takes the gap back only for what follows the clean one") {
  ChannelStory story(session());
  story.begin();
  story.emit("a");
  story.channel.on_upstream_end(false);
  story.channel.prepare_to_continue();
  story.answer();
  CHECK(story.count(kGap) == 1);
  story.channel.on_upstream_end(true);
  story.channel.prepare_to_continue();
  story.answer();
  story.emit("b");
  CHECK(story.count(kGap) == 1);
}

}  // namespace
}  // namespace ssequel::relay
