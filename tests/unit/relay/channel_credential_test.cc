// Whose fields the upstream is asked with, and what a final answer to them means.
#include <doctest/doctest.h>

#include "unit/relay/channel_story.h"

namespace ssequel::relay {
namespace {

std::shared_ptr<Credential> who(const std::string& identity) {
  auto credential = std::make_shared<Credential>();
  credential->identity = identity;
  return credential;
}

// A channel that streams, with readers of these identities, admitted in their order.
struct CredentialStory : ChannelStory {
  std::shared_ptr<Credential> ann = who("ann");
  std::shared_ptr<Credential> bob = who("bob");
  std::shared_ptr<Credential> cem = who("cem");
  CredentialStory() : ChannelStory(shared()) {
    channel.admit(ann);
    begin();
    emit("a");
  }
  void lose_upstream() {
    channel.on_upstream_end(false);
    wait_out_backoff();
  }
  [[nodiscard]] std::string asked_as() const { return port.connected_with.back()->identity; }
};

TEST_CASE("the upstream is asked with the fields of the subscriber admitted last among those connected") {
  CredentialStory story;
  CHECK(story.asked_as() == "ann");
  story.channel.admit(story.bob);
  story.channel.admit(story.cem);
  story.lose_upstream();
  CHECK(story.asked_as() == "cem");
  story.answer();
  story.channel.admit(story.ann);  // Came again.
  story.lose_upstream();
  CHECK(story.asked_as() == "ann");
  story.answer();
  story.channel.forget(story.ann);
  story.lose_upstream();
  CHECK(story.asked_as() == "cem");
}

TEST_CASE("with none left the upstream is asked with the fields of the last one") {
  CredentialStory story;
  story.channel.admit(story.bob);
  story.channel.forget(story.ann);
  story.channel.forget(story.bob);
  story.lose_upstream();
  CHECK(story.asked_as() == "bob");
}

TEST_CASE("a credential is known by its identity while somebody has it") {
  CredentialStory story;
  CHECK(story.channel.find_credential("ann") == story.ann);
  CHECK(story.channel.find_credential("bob") == nullptr);
  story.channel.forget(story.ann);
  CHECK(story.channel.find_credential("ann") == nullptr);
}

TEST_CASE("a stream stands for the identity that it was asked for with, whoever was admitted meanwhile") {
  CredentialStory story;
  CHECK(story.channel.opened_with() == story.ann);
  story.channel.admit(story.bob);
  CHECK(story.channel.opened_with() == story.ann);
  story.lose_upstream();
  CHECK(story.channel.opened_with() == nullptr);
  story.channel.admit(story.cem);  // While bob's request is under way.
  story.answer();
  CHECK(story.channel.opened_with() == story.bob);
}

TEST_CASE("no identity is vouched for while the upstream is away") {
  CredentialStory story;
  story.leave(*story.port.readers.front());
  story.advance(60s);
  REQUIRE(story.state() == State::Dormant);
  CHECK(story.channel.opened_with() == nullptr);
  story.channel.connect();
  CHECK(story.channel.opened_with() == nullptr);
}

TEST_CASE("after a final answer each other identity is tried once, then the channel is closed") {
  CredentialStory story;
  story.channel.admit(story.bob);
  story.channel.admit(story.cem);
  story.lose_upstream();
  story.channel.on_upstream_final();
  CHECK(story.state() == State::Connecting);
  CHECK(story.asked_as() == "bob");
  story.channel.on_upstream_final();
  CHECK(story.asked_as() == "ann");
  CHECK(story.port.count("end readers") == 0);
  story.channel.on_upstream_final();
  CHECK(story.state() == State::Final);
  CHECK(story.port.count("connect") == 4);
  CHECK(story.port.count("end readers") == 1);
  CHECK(story.channel.readers() == 0);
  CHECK(story.port.timer(ChannelTimer::Upstream) == std::nullopt);
  CHECK(story.port.timer(ChannelTimer::Rest) == 5min);  // What is in the log is still served.
  story.advance(5min);
  CHECK(story.port.asked.back() == "retire");
}

TEST_CASE("a success with another identity forgets who was refused before") {
  CredentialStory story;
  story.channel.admit(story.bob);
  story.lose_upstream();
  story.channel.on_upstream_final();  // bob
  CHECK(story.asked_as() == "ann");
  story.answer();
  CHECK(story.state() == State::Streaming);
  CHECK(story.channel.opened_with() == story.ann);
  story.lose_upstream();
  story.channel.on_upstream_final();  // ann
  CHECK(story.asked_as() == "bob");
}

TEST_CASE("a final answer refuses who was asked with, not who was admitted meanwhile") {
  CredentialStory story;
  story.lose_upstream();
  story.channel.admit(story.bob);     // While ann's request is under way.
  story.channel.on_upstream_final();  // To ann.
  CHECK(story.state() == State::Connecting);
  CHECK(story.asked_as() == "bob");
  story.channel.on_upstream_final();
  CHECK(story.state() == State::Final);
}

TEST_CASE("a final answer refuses who was asked with, though that one has gone") {
  CredentialStory story;
  story.channel.admit(story.bob);
  story.lose_upstream();
  CHECK(story.asked_as() == "bob");
  story.channel.forget(story.bob);
  story.channel.on_upstream_final();  // To bob; ann has not been tried.
  CHECK(story.asked_as() == "ann");
}

TEST_CASE("trouble between does not count as a verdict") {
  CredentialStory story;
  story.channel.admit(story.bob);
  story.lose_upstream();
  story.channel.on_upstream_final();  // bob
  story.channel.on_upstream_trouble(Millis(0));
  story.wait_out_backoff();
  CHECK(story.asked_as() == "ann");
  story.channel.on_upstream_final();
  CHECK(story.state() == State::Final);
}

TEST_CASE("a final answer where no identity counts closes the channel") {
  ChannelStory story(shared());
  story.begin();
  story.emit("a");
  story.reconnect();
  story.channel.on_upstream_end(false);
  story.wait_out_backoff();
  story.channel.on_upstream_final();
  CHECK(story.state() == State::Final);
  CHECK(story.port.count("end readers") == 1);
  CHECK(story.frames().size() == 1);
}

TEST_CASE("a final answer where no identity goes upstream closes the channel: every request is the same") {
  auto route = shared();
  route.key = {{KeyPart::Kind::Path, ""}};
  std::size_t asked = 1;
  SUBCASE("none goes") {}
  SUBCASE("the authoriser's do") {
    route.authorize.kind = Authorize::Kind::Path;
    asked = 3;
  }
  SUBCASE("the probe's do") {
    route.authorize.kind = Authorize::Kind::Probe;
    asked = 3;
  }
  ChannelStory story(route);
  for (const char* name : {"ann", "bob", "cem"}) story.channel.admit(who(name));
  story.begin();
  story.emit("a");
  story.channel.on_upstream_end(false);
  story.wait_out_backoff();
  const auto before = story.port.count("connect");
  while (story.state() == State::Connecting) story.channel.on_upstream_final();
  CHECK(story.state() == State::Final);
  CHECK(story.port.count("connect") == before + asked - 1);
}

TEST_CASE("a channel closed by a final answer may be opened again by a subscriber") {
  CredentialStory story;
  story.lose_upstream();
  story.channel.on_upstream_final();
  REQUIRE(story.state() == State::Final);
  story.channel.connect();
  story.answer();
  story.join();
  CHECK(story.state() == State::Streaming);
  CHECK(story.count("upstream-gap") == 1);
  story.advance(1h);
  CHECK(story.port.count("retire") == 0);
}

}  // namespace
}  // namespace ssequel::relay
