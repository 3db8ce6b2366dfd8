// One event loop and everything on it: listeners, client sessions, the upstream pool, the channels it owns. What a
// request means is decided in worker_requests.cc; what follows is the exchanges' business.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/random.h"
#include "gateway/authorizer.h"
#include "gateway/channel_table.h"
#include "gateway/client_session.h"
#include "gateway/idle_channels.h"
#include "gateway/joins.h"
#include "gateway/options.h"
#include "gateway/orphans.h"
#include "gateway/reattachments.h"
#include "gateway/retired.h"
#include "gateway/snapshot.h"
#include "gateway/upstream_pool.h"
#include "net/deadline.h"
#include "net/listener.h"
#include "net/loop.h"
#include "relay/cookie_watch.h"
#include "relay/counters.h"
#include "relay/last_event_id.h"
#include "relay/sequencers.h"
#include "replay/journal.h"
#include "replay/sequencer.h"

namespace ssequel::gateway {

// What all loops share. Thread-safe or immutable; outlives every worker.
struct House {
  Logger& logger;
  const Clock& clock;
  Random& random;
  // What is behind the logs of a loop; empty, or null from it: nothing.
  std::function<std::unique_ptr<replay::Store>(net::DeadlineQueue&)> open_store{};
  // Who gives a loop's channels their ids; empty: nobody, and each id is one more than the last.
  std::function<std::unique_ptr<relay::Sequencers>(net::DeadlineQueue&)> open_sequencers{};
  replay::Beginnings beginnings{};
  Orphans orphans{};
  Reattachments reattachments{};
  std::atomic<std::uint64_t> held_content{0};  // Bytes of requests that are read whole before they are decided about.
  // All loops, in order; set before any of them runs. A channel belongs to the loop that its key's hash names.
  std::vector<class Worker*> workers{};
  std::atomic<std::uint64_t> connections{0};           // Clients, on all loops.
  std::atomic<std::uint64_t> upstream_connections{0};  // Of all pools.
  std::atomic<std::uint64_t> channels{0};
  std::atomic<std::uint64_t> store_bytes{0};  // Of all windows.
  std::atomic<int> sheds_under_way{0};        // Loops that were asked to let go of entries and have not yet.
  IdleChannels idle{};
};

// One state of the configuration: replaced as a whole by a reload, kept alive by who still uses it.
struct Settings {
  Options options;
  std::vector<std::shared_ptr<const relay::Route>> routes;
  std::uint64_t store_bytes = 256ull * 1024 * 1024;  // limits.store_bytes, made out.

  // The route that can go on with a kept log; null if it is gone, or is another by now.
  [[nodiscard]] std::shared_ptr<const relay::Route> route_of(const replay::LogRecord& record) const;
};
[[nodiscard]] std::shared_ptr<const Settings> make_settings(Options options);

// Counts of one loop; read by message.
struct WorkerCounters {
  std::map<std::string, std::unique_ptr<relay::RouteCounters>> routes;  // By a route's name.
  std::map<std::pair<std::string, int>, std::uint64_t> requests;        // (route, status)
  std::uint64_t unrouted_event_streams = 0;
  std::uint64_t connections = 0;
};

// A request on its way, for the access line.
struct AccessRecord {
  std::string method;
  std::string path;
  std::string route;  // Empty: none.
  std::string cause;  // What an answer of 200 stands for, if it hides something ("503", "connect").
  Millis began{0};
};

// Announced: not ready, but everything is served as before, until balancers have noticed. Ending: streams end.
enum class DrainPhase { Running, Announced, Ending };

class Worker final : private ClientHandler, private net::ListenerClient {
 public:
  Worker(House& house, net::Loop& loop, std::shared_ptr<const Settings> settings);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Opens options.listen. reuse_port: other loops listen there too. ports: instead of those configured as 0, in the
  // order of options.listen.
  [[nodiscard]] Result<void> listen(bool reuse_port, const std::vector<std::uint16_t>& ports = {});
  [[nodiscard]] std::vector<std::uint16_t> ports() const;
  void apply(std::shared_ptr<const Settings> settings);  // A reload.
  // Opens the channels of `eager`, and keeps no others.
  void start_eager();

  // --- Drain
  void set_drain(DrainPhase phase);
  [[nodiscard]] DrainPhase drain() const { return drain_; }
  // Ends every stream that may be ended; what is left may finish until close_all().
  void end_streams();
  void close_all();
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }
  [[nodiscard]] std::size_t busy_sessions() const;

  // --- Other loops
  // The loop whose channel this is: everything about a channel happens there.
  [[nodiscard]] Worker& owner_of(std::string_view channel_key);
  // Which loop asks the upstream what several may want to know; see SideRounds.
  [[nodiscard]] Worker& asker_of(std::string_view question_key);
  // From any thread, while all workers live: runs the task on this loop, unless the worker is gone by then.
  void post(std::function<void()> task);
  // From any thread: goes on with a request on this loop. `begin` is called there with the session.
  // `lost` instead, if the connection cannot be taken.
  void take_over(Handover handover, std::function<void(ClientSession&)> begin, std::function<void()> lost = [] {});
  // Groups of other loops' channels with readers here.
  void keep(std::shared_ptr<RemoteReaders> readers) { remote_readers_.insert(std::move(readers)); }
  void forget(const std::shared_ptr<RemoteReaders>& readers) { remote_readers_.erase(readers); }
  [[nodiscard]] std::unordered_set<ReaderGroup*>& reader_groups() { return reader_groups_; }

  // --- For exchanges
  [[nodiscard]] House& house() { return house_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] net::DeadlineQueue& deadlines() { return deadlines_; }
  [[nodiscard]] Graveyard& graveyard() override { return graveyard_; }
  [[nodiscard]] UpstreamPool& pool() { return pool_; }
  [[nodiscard]] const Settings& settings() const { return *settings_; }
  [[nodiscard]] const std::shared_ptr<const Settings>& shared_settings() const { return settings_; }
  [[nodiscard]] ChannelTable& channels() { return channels_; }
  [[nodiscard]] replay::Store* store() { return store_.get(); }                // Null: logs live in memory only.
  [[nodiscard]] relay::Sequencers* sequencers() { return sequencers_.get(); }  // Null: see the house.
  [[nodiscard]] Joins& joins() { return joins_; }
  [[nodiscard]] Authorizer& authorizer() { return authorizer_; }
  [[nodiscard]] Snapshots& snapshots() { return snapshots_; }
  [[nodiscard]] WorkerCounters& counters() { return counters_; }
  [[nodiscard]] relay::RouteCounters& route_counters(const std::string& route);
  // One access line, one count. status: what the client got; the record says why, if that hides something.
  void log_access(const AccessRecord& record, int status);
  // What an operator should hear once and not with every request; `what` names the occasion.
  void log_once(const std::string& what, LogLevel level, std::string_view message, std::string_view route);
  // True if log_once() would say it.
  [[nodiscard]] bool is_unsaid(const std::string& what) const;
  void warn_of_coding(const std::string& route);
  // A request that needs a new channel with an identity in its key: where such keys keep changing by cookies alone, the
  // operator is told.
  void watch_cookies(const relay::Route& route, const http::RequestHead& head);
  void count_unrouted_stream(std::string_view path);
  [[nodiscard]] AccessRecord begin_record(const http::RequestHead& head, std::string_view route) const;
  // Retry-After, a number or a date, at most five minutes; 0 if there is none.
  [[nodiscard]] Millis retry_after_of(const http::Fields& fields) const;
  // Between one and two times the route's retry, at least retry_after, at most five minutes. Milliseconds.
  [[nodiscard]] std::uint64_t trouble_retry(const relay::Route& route, Millis retry_after);
  // The route's plus a random part of drain.retry_spread.
  [[nodiscard]] std::uint64_t drain_retry(const relay::Route& route);
  // Answers a stream request that must not fail: 200, `retry:`, the end (WHATWG HTML §9.2.3: any other status ends an
  // EventSource for ever).
  void answer_trouble(ClientSession& session, const relay::Route& route, const http::RequestHead& head,
                      std::uint64_t retry_ms);
  void adopt(std::unique_ptr<Retirable> tunnel);
  void drop(Retirable& tunnel);

 private:
  void on_request(ClientSession& session, http::RequestHead& head) override;
  void on_refused(ClientSession& session, int status) override;
  void on_session_over(ClientSession& session) override;
  [[nodiscard]] bool is_closing() const override { return drain_ == DrainPhase::Ending; }
  void on_accepted(net::Owned<net::Stream> stream) override;
  void on_accept_trouble(const Error& error) override;
  [[nodiscard]] bool belongs(const relay::Route& route, const http::RequestHead& head, const relay::LastEventId& id);
  // A session route claims the request by an id with a tag's form (worker_tags.cc).
  void begin_tagged(ClientSession& session, http::RequestHead& head, std::string_view id);
  void begin_stream_request(ClientSession& session, const std::shared_ptr<const relay::Route>& route,
                            http::RequestHead& head, relay::LastEventId id);
  ClientSession& add_session(std::unique_ptr<ClientSession> session);
  [[nodiscard]] bool close_an_idle_session();
  void turn_away(ClientSession& session, http::RequestHead& head);
  [[nodiscard]] static std::string eager_key(const relay::Route& route, const std::string& target);
  // `producers: all`: readers on other nodes wait for what this node's upstream says, too.
  void on_wanted(const std::vector<replay::WantedLog>& wanted);
  void open_eager(const std::shared_ptr<const relay::Route>& route, const std::string& target);

  House& house_;
  const net::LoopClock clock_;
  net::Loop& loop_;
  net::DeadlineQueue deadlines_;
  std::unique_ptr<replay::Store> store_;
  std::unique_ptr<relay::Sequencers> sequencers_;  // Outlives the channels.
  Graveyard graveyard_;
  std::shared_ptr<const Settings> settings_;
  WorkerCounters counters_;
  UpstreamPool pool_;
  std::unordered_set<ReaderGroup*> reader_groups_;  // All on this loop.
  std::unordered_set<std::shared_ptr<RemoteReaders>> remote_readers_;
  ChannelTable channels_;
  Joins joins_;
  Authorizer authorizer_;
  Snapshots snapshots_;
  std::vector<net::Owned<net::Listener>> listeners_;
  std::unordered_map<ClientSession*, std::unique_ptr<ClientSession>> sessions_;
  // Over limits.connections: heard out, and answered that there is no room.
  std::unordered_set<ClientSession*> turned_away_;
  std::unordered_map<Retirable*, std::unique_ptr<Retirable>> tunnels_;
  relay::CookieWatch cookie_watch_;
  std::unordered_set<std::string> said_;  // log_once(), up to a bound.
  DrainPhase drain_ = DrainPhase::Running;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // False once the worker is gone.
};

// True for a status that is no answer but a trouble: 408, 425, 429, 5xx.
[[nodiscard]] bool is_trouble(int status) noexcept;
// GET, Accept: text/event-stream alone, Cache-Control: no-cache: what a browser's EventSource sends (WHATWG HTML
// §9.2.2).
[[nodiscard]] bool looks_like_event_source(const http::RequestHead& head);
[[nodiscard]] bool accepts_event_stream(const http::Fields& fields);

}  // namespace ssequel::gateway
