// One channel on its loop, with what it needs of the world: the upstream request, timers, subscribers and those who
// wait for the upstream's verdict. A thin shell: decisions are relay::Channel's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/reader_group.h"
#include "gateway/remote_readers.h"
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
  // Who is asking: an answer that is no stream belongs to whose fields asked for it.
  [[nodiscard]] virtual const std::string& identity() const = 0;
};

// Somebody whose Origin has no CORS answer yet.
class CorsWaiter {
 public:
  virtual ~CorsWaiter() = default;
  // Look again: the answer may be known now, the channel may be gone, or it is this one's turn to ask.
  virtual void on_cors_changed() = 0;
  // Who asked got no answer that counts.
  virtual void on_cors_trouble(relay::TroubleReason reason, int status, Millis retry_after) = 0;
};

// Somebody at the very end of a session who comes while another one asks the upstream for more.
class ContinueWaiter {
 public:
  virtual ~ContinueWaiter() = default;
  // The other one has its answer, whatever it is, or the channel is gone. To be looked at in a turn of its own.
  virtual void on_continued() = 0;
};

// What a session's tag is bound to.
struct SessionBinding {
  std::string identity;
  std::string path;
  std::string origin;
  std::string reattach;  // By this digest of its request a repetition joins the session; empty: none does.
  [[nodiscard]] bool admits(const SessionBinding& other) const {
    return identity == other.identity && path == other.path && origin == other.origin;
  }
};

class ChannelHost final : public Retirable,
                          private relay::ChannelPort,
                          private UpstreamListener,
                          private ReaderGroupOwner,
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

  // One asks for more at a time, and the others wait: two answers would follow each other in the log as if the second
  // went on where the first one ended.
  [[nodiscard]] bool is_continuing() const { return is_continuing_; }
  void start_continuing() { is_continuing_ = true; }
  void stop_continuing();
  void wait_for_continuing(ContinueWaiter& waiter) { continue_waiters_.push_back(&waiter); }
  // Told by on_continued() when this node may write the log again, or may not.
  void seek_lease(ContinueWaiter& waiter);
  void leave_continuing(ContinueWaiter& waiter) { std::erase(continue_waiters_, &waiter); }

  // Counts a reader, before its subscription is made.
  void admit_reader(const std::shared_ptr<relay::Credential>& credential);
  // The readers on this loop.
  [[nodiscard]] ReaderGroup& readers() { return readers_; }
  // The readers on another loop. Shared channels only.
  [[nodiscard]] std::shared_ptr<RemoteReaders> readers_on(Worker& home);
  void on_remote_progress() { channel_.on_foremost(foremost(channel_)); }
  void on_remote_left(RemoteReaders& readers, const std::shared_ptr<relay::Credential>& credential);

  // Session: the stream began before the request's content ended, which goes on to the upstream. False: it takes no
  // more now, and the subscription that uploads is told when it does.
  bool upload(Subscription& uploader, std::string_view content);
  void finish_upload(const http::Fields& trailers);
  // The content will never be whole: the upstream is let go.
  void break_upload();

  // Session: nobody reads it, and its upstream still answers.
  [[nodiscard]] bool is_orphan() const { return is_orphan_; }
  // Lets the upstream of an orphan go. Nothing if it is none by now.
  void cancel_orphan();

  [[nodiscard]] bool is_waited_for() const { return !waiters_.empty() || !cors_waiters_.empty() || is_continuing_; }
  // Counts against limits.upstream_connections.
  [[nodiscard]] bool has_connection() const { return upstream_ && upstream_->has_slot(); }

  // The upstream gave a final answer and has not streamed since, though it may be asked again just now.
  [[nodiscard]] bool is_closed_by_upstream() const {
    return channel_.state() == relay::Channel::State::Final || asks_after_final_;
  }

  // Asks the upstream (if it is not being asked) and tells the waiter.
  void wait(ChannelWaiter& waiter);
  void unwait(ChannelWaiter& waiter);
  // A request that was about to read it is gone, after unwait() or leave_cors().
  void on_request_left();

  // CORS fields for an Origin other than the one the channel was opened with: kept for a few, nullptr if unknown.
  [[nodiscard]] std::shared_ptr<const http::Fields> cors_for(const std::string& origin) const;
  // One question an Origin at a time. True: the caller asks, and says keep_cors(), fail_cors() or leave_cors(); false:
  // somebody does already, and the waiter will be told unless it says leave_cors().
  [[nodiscard]] bool ask_cors(const std::string& origin, CorsWaiter& waiter);
  void keep_cors(const std::string& origin, std::shared_ptr<const http::Fields> fields, CorsWaiter& asker);
  void fail_cors(const std::string& origin, relay::TroubleReason reason, int status, Millis retry_after,
                 CorsWaiter& asker);
  void leave_cors(const std::string& origin, CorsWaiter& waiter);

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
  void give_up(relay::Channel& channel) override;
  void opened_elsewhere(relay::Channel& channel) override;
  void closed_elsewhere(relay::Channel&) override { tell_closed(); }
  void grown_elsewhere(relay::Channel& channel) override;
  void lease_sought(relay::Channel&) override { stop_continuing(); }
  void retire(relay::Channel& channel) override;
  void begin_anew(relay::Channel& channel) override;

  // Closes for good; who waited for the upstream's answer is told why.
  void retire_in_trouble(relay::TroubleReason reason, int status, Millis retry_after);

  // UpstreamListener
  void on_upstream_interim(http::ResponseHead&) override {}
  void on_upstream_head(http::ResponseHead& head) override;
  void on_upstream_content(std::string_view content) override;
  void on_upstream_complete(const http::Fields& trailers) override;
  void on_upstream_upgraded(std::string_view rest) override;
  void on_upstream_failed(UpstreamFailure failure, const Error& error) override;
  void on_upstream_writable() override;
  void on_upstream_read_over() override;

  // ReaderGroupOwner
  void on_reached(replay::Place place) override;
  void on_swept(replay::Place) override {}
  void on_left(const std::shared_ptr<relay::Credential>& credential) override;
  [[nodiscard]] std::uint64_t retry_ms() const override { return channel_.retry_ms(); }
  [[nodiscard]] ChannelHost* host() override { return this; }

  void on_deadline(net::Deadline& deadline) override;

  [[nodiscard]] replay::Place held_back(replay::Place reached) const;
  std::shared_ptr<ChannelFeed> make_feed();
  void drop_upstream();
  // A reader came or went, or the upstream ended: becomes an orphan, or is none any more.
  void review_orphan();
  // What the log grew by while nobody read.
  void count_orphaned();
  void tell_open();
  // At once, or when what a newcomer begins behind is committed.
  void tell_open_when_begun();
  void tell_trouble(relay::TroubleReason reason, int status, Millis retry_after);
  void tell_closed();
  // Those behind the asker, who waits no more.
  [[nodiscard]] std::vector<CorsWaiter*> take_cors_waiters(const std::string& origin, CorsWaiter& asker);
  void answer_without_stream(http::ResponseHead& head);
  void warn_of_vary(const http::ResponseHead& head);

  Worker& worker_;
  relay::RouteCounters& counters_;
  net::Deadline upstream_deadline_;
  net::Deadline rest_deadline_;
  relay::Channel channel_;
  SessionBinding binding_;
  std::unique_ptr<UpstreamSession> upstream_;
  Subscription* uploader_ = nullptr;  // Told when the upstream takes more of the request's content.
  std::string request_origin_;        // Of the upstream request under way.
  std::string request_identity_;      // Whose fields it carries.
  bool asks_after_final_ = false;     // True from a request after a final answer until the upstream streams.
  std::shared_ptr<ChannelFeed> feed_;
  ReaderGroup readers_;
  std::map<Worker*, std::shared_ptr<RemoteReaders>> remote_;
  bool is_closed_ = false;
  bool is_orphan_ = false;            // True exactly while is_orphan() holds, as the process's registry knows.
  replay::Place orphaned_place_ = 0;  // Up to here an orphan's log is counted.
  std::uint64_t orphaned_position_ = 0;
  bool is_open_due_ = false;  // Waiters are to be told that the standing stream is open.
  std::vector<ChannelWaiter*> waiters_;
  bool is_continuing_ = false;  // True exactly while a request asks the upstream to go on behind the log's end.
  std::vector<ContinueWaiter*> continue_waiters_;
  std::map<std::string, std::shared_ptr<const http::Fields>> cors_;
  std::map<std::string, std::vector<CorsWaiter*>> cors_waiters_;  // The first one asks.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ssequel::gateway
