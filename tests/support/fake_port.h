// What a channel asks of the world, written down; and readers that are a cursor and a habit. Timers go off when the
// test advances the clock.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/channel.h"
#include "support/fake_clock.h"

namespace ssequel::test {

struct FakeReader {
  replay::Place cursor = 0;
  bool is_stuck = false;                // Takes nothing.
  bool leaves_when_written_to = false;  // As a client whose socket turns out to be closed.
  bool has_left = false;
};

class FakePort final : public relay::ChannelPort {
 public:
  explicit FakePort(FakeClock& clock) : clock_(clock) {}

  // What was asked for, in order: "connect", "disconnect", "pause", "read", "end readers", "give up", "retire",
  // and of other nodes "opened", "closed", "lease sought".
  std::vector<std::string> asked;
  std::vector<std::string> lines;           // Broadcast.
  std::vector<std::string> last_event_ids;  // At each connect; "-" if there was none.
  std::vector<relay::Credential*> connected_with;
  std::size_t wakes = 0;
  std::size_t foremost_calls = 0;

  [[nodiscard]] std::size_t count(std::string_view what) const {
    return static_cast<std::size_t>(std::count(asked.begin(), asked.end(), what));
  }
  // How long until the timer goes off; nullopt if it is not set.
  [[nodiscard]] std::optional<Millis> timer(relay::ChannelTimer timer) const {
    const auto& due = due_[static_cast<std::size_t>(timer)];
    if (!due) return std::nullopt;
    return *due - clock_.now();
  }
  void advance(relay::Channel& channel, Millis by) {
    const Millis end = clock_.now() + by;
    for (;;) {
      std::size_t next = due_.size();
      for (std::size_t i = 0; i < due_.size(); ++i) {
        if (due_[i] && *due_[i] <= end && (next == due_.size() || *due_[i] < *due_[next])) next = i;
      }
      if (next == due_.size()) break;
      clock_.set(std::max(clock_.now(), *due_[next]));
      due_[next].reset();
      channel.on_timer(static_cast<relay::ChannelTimer>(next));
    }
    clock_.set(end);
  }

  FakeReader& join(relay::Channel& channel, replay::Place from) {
    readers.push_back(std::make_unique<FakeReader>(FakeReader{.cursor = from}));
    channel.on_reader_joined();
    return *readers.back();
  }
  void leave(relay::Channel& channel, FakeReader& reader) {
    reader.has_left = true;
    channel.on_reader_left();
  }
  // The reader was sent up to here, at its own pace.
  void report(relay::Channel& channel, FakeReader& reader, replay::Place place) {
    reader.cursor = place;
    channel.on_foremost(place);
  }

  void connect(relay::Channel& channel) override {
    asked.emplace_back("connect");
    last_event_ids.push_back(channel.take_upstream_last_event_id().value_or("-"));
    connected_with.push_back(channel.credential().get());
  }
  void disconnect(relay::Channel&) override { asked.emplace_back("disconnect"); }
  void set_reading(relay::Channel&, bool on) override { asked.emplace_back(on ? "read" : "pause"); }
  void set_timer(relay::Channel&, relay::ChannelTimer timer, Millis after) override {
    due_[static_cast<std::size_t>(timer)] = clock_.now() + after;
  }
  void cancel_timer(relay::Channel&, relay::ChannelTimer timer) override {
    due_[static_cast<std::size_t>(timer)].reset();
  }
  void wake(relay::Channel& channel) override {
    ++wakes;
    replay::Place reached = 0;
    for (const auto& reader : readers) {
      if (reader->has_left || reader->is_stuck) continue;
      const auto end = channel.log()->published();
      if (reader->leaves_when_written_to && reader->cursor != end) {
        leave(channel, *reader);
        continue;
      }
      reader->cursor = end;
      reached = std::max(reached, reader->cursor);
    }
    if (reached != 0) channel.on_foremost(reached);
  }
  void broadcast(relay::Channel& channel, std::string_view line) override {
    lines.emplace_back(line);
    for (const auto& reader : readers) {
      if (!reader->has_left && reader->leaves_when_written_to) leave(channel, *reader);
    }
  }
  void end_readers(relay::Channel& channel) override {
    asked.emplace_back("end readers");
    for (const auto& reader : readers) {
      if (!reader->has_left) leave(channel, *reader);
    }
  }
  [[nodiscard]] replay::Place foremost(relay::Channel&) override {
    ++foremost_calls;
    replay::Place most = 0;
    for (const auto& reader : readers) {
      if (!reader->has_left) most = std::max(most, reader->cursor);
    }
    return most;
  }
  void give_up(relay::Channel&) override { asked.emplace_back("give up"); }
  void retire(relay::Channel&) override { asked.emplace_back("retire"); }
  void opened_elsewhere(relay::Channel&) override { asked.emplace_back("opened"); }
  void closed_elsewhere(relay::Channel&) override { asked.emplace_back("closed"); }
  void lease_sought(relay::Channel&) override { asked.emplace_back("lease sought"); }

  std::vector<std::unique_ptr<FakeReader>> readers;

 private:
  FakeClock& clock_;
  std::array<std::optional<Millis>, 2> due_;
};

}  // namespace ssequel::test
