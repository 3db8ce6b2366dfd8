// One channel on its loop, with what it needs of the world: the upstream request, timers, subscribers and those who
// wait for the upstream's verdict. A thin shell: decisions are relay::Channel's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/retired.h"
#include "gateway/upstream_session.h"
#include "net/deadline.h"
#include "relay/channel.h"

namespace ssequel::gateway {

class ChannelHost;
class Subscription;
class Worker;

// Somebody who cannot be answered before the upstream has been asked.
class ChannelWaiter {
 public:
  virtual ~ChannelWaiter() = default;
  // The upstream's stream stands.
  virtual void on_channel_open() = 0;
  // The upstream answered something else, to be passed on to this one. `upstream` has given `head`.
  virtual void on_channel_answer(std::unique_ptr<UpstreamSession> upstream, http::ResponseHead& head) = 0;
  // No answer that counts; asked again later. status: the upstream's, 0 if there was none.
  virtual void on_channel_trouble(relay::TroubleReason reason, int status, Millis retry_after) = 0;
  // The channel closed with an answer to somebody else: ask for yourself. The channel must not be touched any more.
  virtual void on_channel_closed() = 0;
  // True if an error status is to be passed on to this one like any other answer.
  [[nodiscard]] virtual bool wants_raw_answer() const = 0;
};

// What a session's tag is bound to.
struct SessionBinding {
  std::string identity;
  std::string path;
  std::string origin;
  friend bool operator==(const SessionBinding&, const SessionBinding&) = default;
};

class ChannelHost final : public Retirable,
                          private relay::ChannelPort,
                          private UpstreamListener,
                          private net::Deadline::Listener {
 public:
  ChannelHost(Worker& worker, relay::Channel::Setup setup, relay::RouteCounters& counters);
  ~ChannelHost() override;

  [[nodiscard]] relay::Channel& channel() { return channel_; }
  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] SessionBinding& binding() { return binding_; }
  [[nodiscard]] relay::RouteCounters& counters() { return counters_; }

  // Session: the upstream's answer to a passed request is an event stream; its content is ours from here on.
  void adopt_upstream(std::unique_ptr<UpstreamSession> upstream, const http::ResponseHead& head,
                      std::string_view request_origin, http::ContentCoding coding);
  // Session, at its end: the answer to another request goes on with the log.
  void continue_with(std::unique_ptr<UpstreamSession> upstream, const http::ResponseHead& head,
                     std::string_view request_origin, http::ContentCoding coding);

  void join(Subscription& subscription);
  void leave(Subscription& subscription);
  // A subscription was served by itself up to `place`.
  void report(replay::Place place) { channel_.on_foremost(place); }
  [[nodiscard]] std::size_t subscribers() const { return subscribers_.size() - holes_; }
  template <class Use>
  void for_each_subscription(Use use) {
    const auto copy = subscribers_;  // Uses may leave.
    for (auto* subscription : copy) {
      if (subscription) use(*subscription);
    }
  }

  // Session: the stream began before the request's content ended, which goes on to the upstream. False: it takes no
  // more now, and the subscription that uploads is told when it does.
  bool upload(Subscription& uploader, std::string_view content);
  void finish_upload(const http::Fields& trailers);
  // The content will never be whole: the upstream is let go.
  void break_upload();

  // Asks the upstream (if it is not being asked) and tells the waiter.
  void wait(ChannelWaiter& waiter);
  void unwait(ChannelWaiter& waiter);

  // Runs from `from`, cached while one sweep lasts: most subscribers are at the same place.
  bool read(replay::Place from, replay::Place stop, const std::vector<replay::Run>*& runs);
  // When the newest entries were read off the upstream, for delivery times.
  [[nodiscard]] std::chrono::steady_clock::time_point read_at() const { return read_at_; }

  // CORS fields for an Origin other than the one the channel was opened with: kept for a few, nullptr if unknown.
  [[nodiscard]] std::shared_ptr<const http::Fields> cors_for(const std::string& origin) const;
  void keep_cors(const std::string& origin, std::shared_ptr<const http::Fields> fields);

  // Everything ends: upstream, subscribers (broken off or told, by their kind), and the channel with them.
  void close();
  // Bytes of the log that the table has counted.
  std::uint64_t counted_bytes = 0;

 private:
  // ChannelPort
  void connect(relay::Channel& channel) override;
  void disconnect(relay::Channel& channel) override;
  void set_reading(relay::Channel& channel, bool on) override;
  void set_timer(relay::Channel& channel, relay::ChannelTimer timer, Millis after) override;
  void cancel_timer(relay::Channel& channel, relay::ChannelTimer timer) override;
  void wake(relay::Channel& channel) override;
  void broadcast(relay::Channel& channel, std::string_view line) override;
  void end_readers(relay::Channel& channel) override;
  [[nodiscard]] replay::Place foremost(relay::Channel& channel) override;
  void retire(relay::Channel& channel) override;

  // UpstreamListener
  void on_upstream_interim(http::ResponseHead&) override {}
  void on_upstream_head(http::ResponseHead& head) override;
  void on_upstream_content(std::string_view content) override;
  void on_upstream_complete(const http::Fields& trailers) override;
  void on_upstream_upgraded(std::string_view rest) override;
  void on_upstream_failed(UpstreamFailure failure, const Error& error) override;
  void on_upstream_writable() override;
  void on_upstream_read_over() override;

  void on_deadline(net::Deadline& deadline) override;

  void drop_upstream();
  void sweep();
  void compact();
  void tell_open();
  void tell_trouble(relay::TroubleReason reason, int status, Millis retry_after);
  void tell_closed();
  void answer_without_stream(http::ResponseHead& head);
  void warn_of_vary(const http::ResponseHead& head);

  Worker& worker_;
  relay::RouteCounters& counters_;
  net::Deadline upstream_deadline_;
  net::Deadline rest_deadline_;
  relay::Channel channel_;
  SessionBinding binding_;
  std::unique_ptr<UpstreamSession> upstream_;
  Subscription* uploader_ = nullptr;        // Told when the upstream takes more of the request's content.
  std::string request_origin_;              // Of the upstream request under way.
  std::vector<Subscription*> subscribers_;  // Null where one left during a sweep.
  std::size_t holes_ = 0;
  std::size_t sweep_at_ = 0;
  std::size_t sweep_left_ = 0;
  bool is_sweeping_ = false;
  bool sweep_deferred_ = false;
  bool is_closed_ = false;
  std::vector<ChannelWaiter*> waiters_;
  std::map<std::string, std::shared_ptr<const http::Fields>> cors_;
  std::vector<replay::Run> runs_;
  replay::Place runs_from_ = replay::ReplayLog::kNoPlace;
  replay::Place runs_stop_ = 0;
  std::chrono::steady_clock::time_point read_at_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
