// Verbs for the stories about channels.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/channel.h"
#include "support/fake_clock.h"
#include "support/fake_port.h"
#include "support/fake_random.h"

namespace ssequel::relay {

inline const std::string kTag = "Tag0000000000000000000";  // base62::kTagLength characters.

inline Route shared() {
  Route route;
  route.name = "feed";
  route.mode = Mode::Shared;
  return route;
}
inline Route session() {
  Route route;
  route.name = "chat";
  return route;
}

struct ChannelStory {
  using State = Channel::State;

  test::FakeClock clock;
  test::FakeRandom random;
  RouteCounters counters;
  test::FakePort port{clock};
  Channel channel;

  explicit ChannelStory(Route route, bool is_eager = false, std::unique_ptr<replay::Sequencer> sequencer = nullptr,
                        std::unique_ptr<replay::Journal> journal = nullptr)
      : ChannelStory(setup(std::move(route), is_eager, std::move(sequencer), std::move(journal))) {}
  explicit ChannelStory(Channel::Setup as_set_up) : channel(std::move(as_set_up), port, random, clock, counters) {}

  static Channel::Setup setup(Route route, bool is_eager, std::unique_ptr<replay::Sequencer> sequencer = nullptr,
                              std::unique_ptr<replay::Journal> journal = nullptr) {
    Channel::Setup out;
    out.sequencer = std::move(sequencer);
    out.journal = std::move(journal);
    if (route.mode == Mode::Session) {
      out.id_form = {.tag = kTag, .carries_origin = true};
    } else {
      out.first_number = 100;
    }
    out.route = std::make_shared<const Route>(std::move(route));
    out.is_eager = is_eager;
    return out;
  }

  // The upstream answers, by an event stream.
  void answer(http::ContentCoding coding = http::ContentCoding::Identity) { channel.on_upstream_open({}, coding); }
  // A first reader comes and the upstream answers it.
  test::FakeReader& begin(http::ContentCoding coding = http::ContentCoding::Identity) {
    if (channel.is_shared()) channel.connect();
    answer(coding);
    return join();
  }
  test::FakeReader& join() { return port.join(channel, channel.log()->published()); }
  test::FakeReader& join(replay::Place from) { return port.join(channel, from); }
  void leave(test::FakeReader& reader) { port.leave(channel, reader); }
  // One read off the upstream, in as many pieces.
  void receive(std::initializer_list<std::string_view> pieces) {
    for (const auto piece : pieces) channel.on_upstream_bytes(piece);
    channel.on_upstream_read_over();
  }
  void receive(std::string_view bytes) { receive({bytes}); }
  void emit(std::string_view data) { receive("data: " + std::string(data) + "\n\n"); }
  void advance(Millis by) { port.advance(channel, by); }
  // To the moment at which the upstream is asked again.
  void wait_out_backoff() { advance(port.timer(ChannelTimer::Upstream).value()); }
  // It ends, and is there again at the next try.
  void reconnect(bool is_clean = false) {
    channel.on_upstream_end(is_clean);
    wait_out_backoff();
    answer();
  }

  [[nodiscard]] State state() const { return channel.state(); }
  // The frames in the window.
  [[nodiscard]] std::vector<std::string> frames(replay::Place from = 0) const {
    const auto& log = *channel.log();
    std::vector<std::string> out;
    std::vector<replay::Run> runs;
    for (auto place = std::max(from, log.first()); log.read(place, replay::ReplayLog::kNoPlace, 4, 1 << 20, runs);) {
      if (runs.empty()) break;
      for (const auto& run : runs) {
        for (auto bytes = run.bytes; !bytes.empty();) {
          const auto entry = replay::unframe(bytes);
          out.emplace_back(entry.frame);
          bytes.remove_prefix(entry.framed_size);
        }
      }
      place = runs.back().end;
    }
    return out;
  }
  [[nodiscard]] std::string newest() const { return frames().empty() ? std::string() : frames().back(); }
  // How many entries of the window say this.
  [[nodiscard]] std::size_t count(std::string_view text) const {
    std::size_t found = 0;
    for (const auto& frame : frames()) found += frame.find(text) != std::string::npos ? 1 : 0;
    return found;
  }
};

using State = Channel::State;

}  // namespace ssequel::relay
