// Several nodes share the log: this one reads the upstream only while it leads, serves what others append, and gives
// way where somebody else has more use of it.
#include <doctest/doctest.h>

#include "support/fake_nodes.h"
#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

using Frames = std::vector<std::string>;
using replay::Watch;

const std::string kHead = serialize(StreamHead());

Route counted() {
  auto route = shared();
  route.window.events = 8;
  route.reconnect_min = Millis(100);
  route.reconnect_max = Millis(1000);
  return route;
}

struct Shared {
  std::unique_ptr<test::FakeNodes> made;
  test::FakeNodes& nodes;
  ChannelStory story;
  explicit Shared(Route route = counted(), bool gives_places = false)
      : made(std::make_unique<test::FakeNodes>(gives_places)),
        nodes(*made),
        story(std::move(route), false, nullptr, std::move(made)) {}
  // A first reader comes, and the lease is this node's.
  test::FakeReader& lead() {
    story.channel.connect();
    nodes.lead();
    story.answer();
    return story.join();
  }
  // A first reader comes, and another node's upstream stands.
  test::FakeReader& follow() {
    story.channel.connect();
    nodes.channel().on_head(kHead);
    return story.join();
  }
};

TEST_CASE("without the lease nothing is asked of the upstream") {
  Shared one;
  one.story.channel.connect();
  CHECK(one.story.state() == State::Following);
  CHECK(one.nodes.watching == Watch::Reads);
  CHECK(one.story.port.count("connect") == 0);
  one.nodes.lead();
  CHECK(one.story.port.count("connect") == 1);
  CHECK(one.story.state() == State::Connecting);
}

TEST_CASE("who waits is told when another node's upstream stands, or after a while that nobody said anything") {
  Shared told, untold;
  told.story.channel.connect();
  told.nodes.channel().on_head(kHead);
  CHECK(told.story.port.asked == Frames{"opened"});
  CHECK(told.story.channel.stands_for("anybody"));
  untold.story.channel.connect();
  untold.story.advance(Channel::kBasePatience);
  CHECK(untold.story.port.asked == Frames{"give up"});
}

TEST_CASE("what others append is read here, as they wrote it") {
  Shared one;
  auto& reader = one.follow();
  one.nodes.entry(0, 100, "a");
  one.nodes.entry(1, 101, "b");
  CHECK(reader.cursor == 2);
  CHECK(one.story.frames() == Frames{"id: 100\ndata: a\n\n", "id: 101\ndata: b\n\n"});
  CHECK(one.nodes.foremost_told == 2);
  CHECK(one.nodes.frames.empty());
}

TEST_CASE("a new leader goes on behind the others' entries, asks behind the last origin id, and tells the gap") {
  Shared one;
  one.follow();
  one.nodes.entry(0, 100, "a", "e-1", "e-1");
  one.nodes.lead();
  CHECK(one.story.port.last_event_ids == Frames{"e-1"});
  one.story.answer();
  one.story.emit("b");
  one.nodes.commit();
  CHECK(one.story.count("upstream-gap") == 1);
  CHECK(one.story.newest() == "id: 102\ndata: b\n\n");
}

TEST_CASE("a lost lease takes with it what is not committed, and the upstream") {
  Shared one;
  auto& reader = one.lead();
  one.story.emit("a");
  one.nodes.commit();
  one.story.receive("id: o-2\ndata: b\n\ndata: half");
  one.nodes.follow("o-1");
  CHECK(one.story.state() == State::Following);
  CHECK(one.story.port.count("disconnect") == 1);
  CHECK(one.story.channel.log()->appended() == 1);
  CHECK(one.story.channel.last_origin_id() == "o-1");
  // Its place and its number are another node's.
  one.nodes.entry(1, 101, "c");
  CHECK(reader.cursor == 2);
  CHECK(one.story.newest() == "id: 101\ndata: c\n\n");
}

TEST_CASE("what may be lost is told first, with a number above all that can have been given") {
  Shared one;
  one.follow();
  one.nodes.entry(0, 100, "a");
  const auto micros = one.story.clock.unix_micros();
  one.nodes.lead(true);
  one.nodes.commit();
  CHECK(one.story.count("store-gap") == 1);
  CHECK(one.story.newest().starts_with("id: " + std::to_string(micros) + "\n"));
}

TEST_CASE("a loss that was given away with the lease is told by whom it was given to") {
  auto route = counted();
  route.linger = Millis(0);
  Shared one(route);
  auto& reader = one.follow();
  one.nodes.entry(0, 100, "a");
  one.story.leave(reader);
  REQUIRE(one.story.state() == State::Dormant);
  one.nodes.lead(true);  // Nobody wants it any more.
  CHECK(one.nodes.releases == 1);
  one.story.channel.connect();
  // The other one told it, with numbers that are not above those which this one would have given.
  one.nodes.entry(1, 101, "store-gap, as it says");
  CHECK(one.story.newest() == "id: 101\ndata: store-gap, as it says\n\n");
  one.nodes.lead();
  one.story.answer();
  one.story.emit("b");
  one.nodes.commit();
  CHECK(one.story.count("\"reason\":\"store-gap\"") == 0);
  CHECK(one.story.newest() == "id: 103\ndata: b\n\n");
}

TEST_CASE("a leader whose upstream stays away for reconnect.max gives the lease up, and comes last for it") {
  Shared one;
  one.lead();
  one.story.channel.on_upstream_end(false);
  CHECK(one.nodes.times_away == 1);
  for (int i = 0; i < 50 && one.nodes.releases == 0; ++i) {
    one.story.wait_out_backoff();
    one.story.channel.on_upstream_trouble(Millis(0));
  }
  CHECK(one.nodes.tired_releases == 1);
  CHECK(one.story.state() == State::Following);
  CHECK_FALSE(one.story.channel.is_leading());
  CHECK(one.nodes.watching == Watch::Reads);
}

TEST_CASE("a leader that only lingers gives way to a node with readers, not before its events are told") {
  Shared one;
  auto& reader = one.lead();
  one.story.leave(reader);
  CHECK(one.nodes.watching == Watch::Keeps);
  one.nodes.channel().on_wanted_elsewhere();
  CHECK(one.nodes.releases == 1);
  CHECK(one.story.port.count("disconnect") == 1);
  CHECK(one.nodes.watching == Watch::None);
}

TEST_CASE("readers of its own keep a leader") {
  Shared one;
  one.lead();
  one.nodes.channel().on_wanted_elsewhere();
  CHECK(one.nodes.releases == 0);
  CHECK(one.story.channel.is_leading());
}

TEST_CASE("the leader reads at most half a window ahead of the foremost reader of all nodes") {
  Shared one;
  auto& reader = one.lead();
  one.story.leave(reader);
  one.nodes.foremost_elsewhere = 0;
  std::string events;
  for (int i = 0; i < 10; ++i) events += "data: x\n\n";
  one.story.receive(events);
  one.nodes.commit();
  CHECK(one.story.channel.log()->appended() == 4);
  CHECK(one.story.channel.is_upstream_paused());
  one.nodes.foremost_elsewhere = 4;
  one.nodes.channel().on_others_progress();
  one.nodes.commit();
  CHECK(one.story.channel.log()->appended() == 8);
}

TEST_CASE("a final answer closes the channel only when every node has had one") {
  auto route = counted();
  route.key = {{KeyPart::Kind::Path, ""}, {KeyPart::Kind::Identity, ""}};
  Shared one(route);
  one.lead();
  one.story.channel.on_upstream_end(false);
  one.story.wait_out_backoff();
  one.story.channel.on_upstream_final();
  CHECK(one.nodes.refusals == std::vector<bool>{false});
  CHECK(one.story.state() == State::Following);
  CHECK(one.story.port.count("end readers") == 0);
  one.nodes.channel().on_final();
  CHECK(one.story.state() == State::Final);
  CHECK(one.story.port.count("end readers") == 1);
  CHECK(one.story.port.count("closed") == 1);
}

TEST_CASE("the same request to any node is refused for all") {
  Shared one([] {
    auto route = counted();
    route.key = {{KeyPart::Kind::Path, ""}};
    return route;
  }());
  one.lead();
  one.story.channel.on_upstream_end(false);
  one.story.wait_out_backoff();
  one.story.channel.on_upstream_final();
  CHECK(one.nodes.refusals == std::vector<bool>{true});
}

TEST_CASE("a drain gives the lease up, and readers get what another node appends") {
  Shared one;
  auto& reader = one.lead();
  one.story.emit("a");
  one.nodes.commit();
  one.story.channel.stand_down();
  CHECK(one.nodes.releases == 1);
  CHECK(one.story.port.count("disconnect") == 1);
  one.nodes.entry(1, 101, "b");
  CHECK(reader.cursor == 2);
}

TEST_CASE("where the store gives places, what arrives goes there, and comes back as an entry") {
  Shared one(counted(), true);
  one.story.channel.connect();
  CHECK(one.story.port.count("connect") == 1);  // No lease is needed.
  one.story.answer();
  auto& reader = one.story.join();
  one.story.receive("id: o-1\ndata: a\n\ndata: b\n\n");
  CHECK(one.nodes.submitted == Frames{"data: a\n", "data: b\n"});
  CHECK(one.story.channel.log()->appended() == 0);
  one.nodes.placed(0, 100, "data: elsewhere\n");
  one.nodes.placed(1, 101, "data: a\n");
  CHECK(reader.cursor == 2);
  CHECK(one.story.frames() == Frames{"id: 100\ndata: elsewhere\n\n", "id: 101\ndata: a\n\n"});
}

TEST_CASE("where every node has an upstream, only its own second connection is a gap") {
  Shared one(counted(), true);
  one.nodes.placed(0, 100, "data: elsewhere\n");
  one.story.channel.connect();
  one.story.answer();
  one.story.join();
  one.story.emit("a");
  CHECK(one.nodes.submitted == Frames{"data: a\n"});
  one.story.reconnect();
  one.story.emit("b");
  REQUIRE(one.nodes.submitted.size() == 3);
  CHECK(one.nodes.submitted[1].find("upstream-gap") != std::string::npos);
}

TEST_CASE("what the store has not taken yet holds the upstream back") {
  Shared one(counted(), true);
  one.story.channel.connect();
  one.story.answer();
  one.story.join();
  one.nodes.hold(Channel::kMaxUncommittedBytes);
  one.story.receive("data: a\n\ndata: b\n\n");
  CHECK(one.story.channel.is_upstream_paused());
  one.nodes.hold(0);
  one.nodes.commit();
  CHECK_FALSE(one.story.channel.is_upstream_paused());
  CHECK(one.nodes.submitted.size() == 2);
}

TEST_CASE("a guest's upstream is read while others have readers, and rests afterwards") {
  auto route = counted();
  route.linger = Millis(500);
  Shared one(route, true);
  one.story.channel.set_guest(true);
  CHECK(one.story.port.count("connect") == 1);
  CHECK(one.nodes.watching == Watch::Keeps);  // It has nobody wait for it in its turn.
  one.story.answer();
  one.story.advance(Millis(10'000));
  CHECK(one.story.state() == State::Streaming);
  one.story.channel.set_guest(false);
  one.story.advance(Millis(600));
  CHECK(one.story.state() == State::Dormant);
}

TEST_CASE("a session's reader elsewhere gets the rest and the end as the opener wrote them") {
  std::unique_ptr<test::FakeNodes> made = std::make_unique<test::FakeNodes>();
  auto& nodes = *made;
  auto setup = ChannelStory::setup(session(), false, nullptr, std::move(made));
  setup.kept = Channel::Setup::Kept{};
  ChannelStory story(std::move(setup));
  story.channel.revive();
  CHECK(story.state() == State::Following);
  CHECK(nodes.watching == Watch::None);
  auto& reader = story.join(0);
  CHECK(nodes.watching == Watch::Reads);
  nodes.entry(0, 1, "a");
  CHECK(reader.cursor == 1);
  nodes.channel().on_end(true);
  CHECK(story.state() == State::Ended);
  CHECK(story.channel.log()->last_end()->is_clean);
}

TEST_CASE("a session whose node is gone is told as broken off, once") {
  std::unique_ptr<test::FakeNodes> made = std::make_unique<test::FakeNodes>();
  auto& nodes = *made;
  auto setup = ChannelStory::setup(session(), false, nullptr, std::move(made));
  setup.kept = Channel::Setup::Kept{};
  ChannelStory story(std::move(setup));
  story.channel.revive();
  story.join(0);
  nodes.entry(0, 1, "a");
  nodes.lead();
  REQUIRE(nodes.ends.size() == 1);
  CHECK_FALSE(nodes.ends[0].is_clean);
  CHECK(story.state() == State::Ended);
  CHECK(nodes.releases == 1);
  // Whoever asks for more takes it again.
  story.channel.seek_lease();
  CHECK(nodes.watching == Watch::Reads);
  nodes.lead();
  CHECK(story.port.count("lease sought") == 1);
  CHECK(story.channel.is_leading());
}

}  // namespace
}  // namespace ssequel::relay
