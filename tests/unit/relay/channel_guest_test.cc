// Those who were about to read a shared channel and leave before they join it.
#include <doctest/doctest.h>

#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

TEST_CASE("the upstream is let go at once where who asked for it leaves before joining") {
  auto route = shared();
  route.linger = 0s;
  ChannelStory story(route);
  story.channel.connect();
  SUBCASE("while it is asked") {}
  SUBCASE("when it has answered") { story.answer(); }
  story.channel.on_guest_left();
  CHECK(story.state() == State::Dormant);
  CHECK(story.port.asked.back() == "disconnect");
  CHECK(story.port.timer(ChannelTimer::Rest) == route.retain);
}

TEST_CASE("a guest's leaving ends the linger for nobody, nor does it begin it anew") {
  auto route = shared();
  route.linger = 60s;
  ChannelStory story(route);
  auto& reader = story.begin();
  story.channel.on_guest_left();
  CHECK(story.port.timer(ChannelTimer::Rest) == std::nullopt);
  story.leave(reader);
  story.advance(20s);
  story.channel.on_guest_left();
  CHECK(story.port.timer(ChannelTimer::Rest) == Millis(40s));
}

TEST_CASE("a guest's leaving does not keep a resting log") {
  auto route = shared();
  route.linger = 1s;
  ChannelStory story(route);
  story.leave(story.begin());
  story.advance(1s);
  CHECK(story.state() == State::Dormant);
  story.advance(60s);
  story.channel.on_guest_left();
  CHECK(story.port.timer(ChannelTimer::Rest) == route.retain - 60s);
}

}  // namespace
}  // namespace ssequel::relay
