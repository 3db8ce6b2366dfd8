#include "gateway/worker.h"

#include <algorithm>

#include "gateway/tunnel.h"
#include "relay/identity.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {
namespace {

constexpr std::size_t kMaxSaid = 1000;
constexpr std::size_t kMaxTurnedAway = 256;  // At a time; the rest is closed unheard.

http::ParserLimits parser_limits(const Settings& settings) {
  http::ParserLimits limits;
  limits.header_bytes = settings.options.limits.header_bytes;
  limits.target_bytes = limits.header_bytes;  // A service that takes long targets gets them.
  return limits;
}

UpstreamPoolOptions pool_options(const Settings& settings) {
  const auto& options = settings.options;
  UpstreamPoolOptions pool;
  pool.address = {options.upstream.is_unix ? net::Address::Kind::Unix : net::Address::Kind::Tcp, options.upstream.host,
                  options.upstream.port, options.upstream.path};
  pool.connect_timeout = options.limits.connect_timeout;
  pool.max_connections = options.limits.upstream_connections;
  pool.max_header_bytes = std::max<std::size_t>(options.limits.header_bytes, 64 * 1024);
  return pool;
}

}  // namespace

std::shared_ptr<const relay::Route> Settings::route_of(const replay::LogRecord& record) const {
  for (const auto& route : routes) {
    if (route->name != record.route) continue;
    const bool is_same = (route->mode == relay::Mode::Session) == record.is_session;
    return is_same && relay::log_signature(*route) == record.signature ? route : nullptr;
  }
  return nullptr;
}

std::shared_ptr<const Settings> make_settings(Options options) {
  auto settings = std::make_shared<Settings>();
  for (const auto& route : options.routes) settings->routes.push_back(std::make_shared<const relay::Route>(route));
  constexpr std::uint64_t kDefault = 256ull * 1024 * 1024;
  const auto limit = net::memory_limit();
  settings->store_bytes = options.limits.store_bytes.value_or(limit ? *limit / 2 : kDefault);
  settings->options = std::move(options);
  return settings;
}

Worker::Worker(House& house, net::Loop& loop, std::shared_ptr<const Settings> settings)
    : house_(house),
      clock_(loop, house.clock),
      loop_(loop),
      deadlines_(loop),
      store_(house.open_store ? house.open_store(deadlines_) : nullptr),
      sequencers_(house.open_sequencers ? house.open_sequencers(deadlines_) : nullptr),
      graveyard_(loop),
      settings_(std::move(settings)),
      pool_(loop, deadlines_, pool_options(*settings_), house.upstream_connections),
      channels_(*this),
      joins_(*this),
      authorizer_(*this),
      snapshots_(*this) {
  pool_.set_relief([this] { return channels_.free_connection(); });
  if (store_) store_->set_on_wanted([this](const auto& wanted) { on_wanted(wanted); });
}

Worker::~Worker() {
  *alive_ = false;
  close_all();
  graveyard_.sweep();
}

Result<void> Worker::listen(bool reuse_port, const std::vector<std::uint16_t>& ports) {
  for (std::size_t i = 0; i < settings_->options.listen.size(); ++i) {
    auto address = settings_->options.listen[i];
    if (address.port == 0 && i < ports.size()) address.port = ports[i];
    // A unix socket cannot be shared: the first loop accepts on it, and channels move connections on.
    const bool is_first = house_.workers.empty() || house_.workers.front() == this;
    if (address.kind == net::Address::Kind::Unix && !is_first) continue;
    auto listener = net::Listener::open(loop_, address, reuse_port, *this);
    if (!listener) return tl::unexpected<Error>(listener.error());
    listeners_.push_back(std::move(*listener));
  }
  return {};
}

std::vector<std::uint16_t> Worker::ports() const {
  std::vector<std::uint16_t> ports;
  for (const auto& listener : listeners_) ports.push_back(listener->port());
  return ports;
}

void Worker::apply(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  pool_.set_options(pool_options(*settings_));
  start_eager();
}

void Worker::start_eager() {
  std::unordered_set<std::string> keys;
  for (const auto& route : settings_->routes) {
    for (const auto& target : route->eager) keys.insert(eager_key(*route, target));
  }
  // What the configuration no longer names rests like any other, before its successor looks for room.
  channels_.for_each([&keys](ChannelHost& host) {
    auto& channel = host.channel();
    if (!channel.is_eager() || keys.contains(channel.setup().key)) return;
    channel.set_eager(false);
    host.on_request_left();
  });
  for (const auto& route : settings_->routes) {
    for (const auto& target : route->eager) open_eager(route, target);
  }
}

std::string Worker::eager_key(const relay::Route& route, const std::string& target) {
  // The key of an eager route is of path and query only: any request for the target has it.
  http::RequestHead head;
  head.method = "GET";
  head.origin_form = target;
  return relay::channel_key(route, head, {});
}

void Worker::open_eager(const std::shared_ptr<const relay::Route>& route, const std::string& target) {
  const auto key = eager_key(*route, target);
  if (&owner_of(key) != this) return;
  auto* host = channels_.find(key);
  if (!host) {
    http::RequestHead head;
    head.method = "GET";
    head.origin_form = target;
    if (store_ && store_->is_shared()) {
      joins_.join({.route = route,
                   .key = key,
                   .target = relay::shared_target(head, *route),
                   .host = {},
                   .has_identity = false,
                   .is_eager = true},
                  nullptr);
      return;
    }
    host = channels_.open_shared(route, key, relay::shared_target(head, *route), {}, false, true);
    if (host) host->channel().connect();
    return;
  }
  // One that a subscriber opened, or a store kept.
  auto& channel = host->channel();
  using State = relay::Channel::State;
  const bool is_closed = channel.state() == State::Dormant || channel.state() == State::Final;
  if (channel.is_eager() && !is_closed) return;
  channel.set_eager(true);
  if (is_closed) channel.connect();
}

void Worker::on_wanted(const std::vector<replay::WantedLog>& wanted) {
  if (drain_ == DrainPhase::Ending) return;
  std::unordered_set<std::string> keys;
  for (const auto& log : wanted) {
    const auto route = std::find_if(settings_->routes.begin(), settings_->routes.end(),
                                    [&](const auto& known) { return known->name == log.route; });
    if (route == settings_->routes.end() || (*route)->mode != relay::Mode::Shared ||
        (*route)->producers != relay::Producers::All || !relay::is_known_by_target(**route, false)) {
      continue;
    }
    http::RequestHead head;
    head.method = "GET";
    head.origin_form = log.target;
    head.host = log.host;
    auto key = relay::channel_key(**route, head, {});
    if (&owner_of(key) != this) continue;
    if (auto* host = channels_.find(key)) {
      if (!host->channel().is_guest()) host->channel().set_guest(true);
    } else {
      joins_.join({.route = *route,
                   .key = key,
                   .target = log.target,
                   .host = log.host,
                   .has_identity = false,
                   .is_eager = false,
                   .is_guest = true},
                  nullptr);
    }
    keys.insert(std::move(key));
  }
  channels_.for_each([&keys](ChannelHost& host) {
    if (host.channel().is_guest() && !keys.contains(host.channel().setup().key)) host.channel().set_guest(false);
  });
}

// ----------------------------------------------------------------------------------------------------- sessions

void Worker::on_accepted(net::Owned<net::Stream> stream) {
  bool is_over = house_.connections.load(std::memory_order_relaxed) >= settings_->options.limits.connections;
  // A keep-alive connection between requests makes room: its owner opens another when it needs one.
  if (is_over) is_over = !close_an_idle_session();
  if (is_over) {
    log_once("connections", LogLevel::Warn, "limits.connections is reached; further clients are turned away", {});
    if (turned_away_.size() >= kMaxTurnedAway) return;
  }
  const auto& limits = settings_->options.limits;
  auto session = std::make_unique<ClientSession>(
      std::move(stream), deadlines_, static_cast<ClientHandler&>(*this), parser_limits(*settings_),
      ClientTimeouts{.header = limits.header_timeout, .idle = limits.idle_timeout, .send = limits.send_timeout});
  auto& added = add_session(std::move(session));
  if (is_over) turned_away_.insert(&added);
}

bool Worker::close_an_idle_session() {
  ClientSession* longest = nullptr;
  for (auto& [key, session] : sessions_) {
    if (key->is_idle() && (!longest || key->idle_since() < longest->idle_since())) longest = key;
  }
  if (!longest) return false;
  longest->over();
  return true;
}

ClientSession& Worker::add_session(std::unique_ptr<ClientSession> session) {
  auto* key = session.get();
  sessions_.emplace(key, std::move(session));
  counters_.connections = sessions_.size();
  house_.connections.fetch_add(1, std::memory_order_relaxed);
  return *key;
}

// All logs that a key ever has are one loop's.
Worker& Worker::owner_of(std::string_view channel_key) { return asker_of(relay::start_key(channel_key)); }

Worker& Worker::asker_of(std::string_view question_key) {
  const auto& workers = house_.workers;
  return workers.size() < 2 ? *this : *workers[std::hash<std::string_view>()(question_key) % workers.size()];
}

void Worker::post(std::function<void()> task) {
  loop_.post([alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

void Worker::take_over(Handover handover, std::function<void(ClientSession&)> begin, std::function<void()> lost) {
  auto luggage = std::make_shared<Handover>(std::move(handover));
  post([this, luggage, begin = std::move(begin), lost = std::move(lost)]() mutable {
    auto stream = net::Stream::adopt(loop_, luggage->descriptor, luggage->is_unix);
    if (!stream) {
      lost();
      return;
    }
    const auto& limits = settings_->options.limits;
    auto& session = add_session(std::make_unique<ClientSession>(
        std::move(*stream), deadlines_, static_cast<ClientHandler&>(*this), parser_limits(*settings_),
        ClientTimeouts{.header = limits.header_timeout, .idle = limits.idle_timeout, .send = limits.send_timeout},
        std::move(*luggage)));
    begin(session);
    // It was on its way when all others were told; begun first, since only its exchange knows what to answer.
    if (drain_ == DrainPhase::Ending && sessions_.contains(&session)) session.on_drain();
  });
}

void Worker::on_accept_trouble(const Error& error) {
  house_.logger.error("accepting connections pauses for a moment", {{"error", error.context}});
}

void Worker::on_session_over(ClientSession& session) {
  const auto at = sessions_.find(&session);
  if (at == sessions_.end()) return;
  graveyard_.take(std::move(at->second));
  sessions_.erase(at);
  turned_away_.erase(&session);
  counters_.connections = sessions_.size();
  house_.connections.fetch_sub(1, std::memory_order_relaxed);
}

void Worker::on_refused(ClientSession&, int status) {
  ++counters_.requests[{"", status}];
  house_.logger.info("request refused", {{"status", status}});
}

// -------------------------------------------------------------------------------------------------------- drain

void Worker::set_drain(DrainPhase phase) {
  drain_ = phase;
  if (phase != DrainPhase::Ending) return;
  // Other nodes go on with what is read here, before the readers go there.
  if (store_ && store_->is_shared()) {
    store_->stand_down();
    channels_.for_each([](ChannelHost& host) { host.channel().stand_down(); });
  }
  end_streams();
  std::vector<ClientSession*> all;
  for (auto& [key, session] : sessions_) all.push_back(key);
  for (auto* session : all) {
    // Sessions may end while others are told.
    if (!sessions_.contains(session)) continue;
    session->on_drain();
    // Keep-alive connections between requests are of no more use; their owners open others elsewhere.
    if (sessions_.contains(session)) session->close_when_idle();
  }
}

void Worker::end_streams() {
  for (auto* group : std::vector<ReaderGroup*>(reader_groups_.begin(), reader_groups_.end())) {
    if (!reader_groups_.contains(group) || !group->may_end_in_drain()) continue;
    group->end_all([this, group] { return std::optional(drain_retry(group->route())); });
  }
}

std::size_t Worker::busy_sessions() const {
  return static_cast<std::size_t>(std::count_if(sessions_.begin(), sessions_.end(),
                                                [](const auto& entry) { return entry.first->is_busy(); })) +
         tunnels_.size();
}

void Worker::close_all() {
  listeners_.clear();
  auto sessions = std::exchange(sessions_, {});
  house_.connections.fetch_sub(sessions.size(), std::memory_order_relaxed);
  for (auto& [key, session] : sessions) session->over();
  for (auto& [key, session] : sessions) graveyard_.take(std::move(session));
  auto tunnels = std::exchange(tunnels_, {});
  for (auto& [key, tunnel] : tunnels) graveyard_.take(std::move(tunnel));
  channels_.close_all();
  for (const auto& readers : std::exchange(remote_readers_, {})) readers->drop_group();
  authorizer_.clear();
  snapshots_.clear();
  pool_.close_idle();
  counters_.connections = 0;
}

void Worker::adopt(std::unique_ptr<Retirable> tunnel) {
  auto* key = tunnel.get();
  tunnels_.emplace(key, std::move(tunnel));
}

void Worker::drop(Retirable& tunnel) {
  const auto at = tunnels_.find(&tunnel);
  if (at == tunnels_.end()) return;
  graveyard_.take(std::move(at->second));
  tunnels_.erase(at);
}

// ------------------------------------------------------------------------------------------------- counts, lines

relay::RouteCounters& Worker::route_counters(const std::string& route) {
  auto& counters = counters_.routes[route];
  if (!counters) counters = std::make_unique<relay::RouteCounters>();
  return *counters;
}

AccessRecord Worker::begin_record(const http::RequestHead& head, std::string_view route) const {
  return {.method = head.method,
          .path = std::string(head.path()),
          .route = std::string(route),
          .cause = {},
          .began = loop_.now()};
}

void Worker::log_access(const AccessRecord& record, int status) {
  ++counters_.requests[{record.route, status}];
  if (!house_.logger.is_enabled(LogLevel::Info)) return;
  const auto ms = (loop_.now() - record.began).count();
  if (record.cause.empty()) {
    house_.logger.info(
        "request",
        {{"method", record.method}, {"path", record.path}, {"status", status}, {"ms", ms}, {"route", record.route}});
  } else {
    house_.logger.info("request", {{"method", record.method},
                                   {"path", record.path},
                                   {"status", status},
                                   {"ms", ms},
                                   {"route", record.route},
                                   {"cause", record.cause}});
  }
}

bool Worker::is_unsaid(const std::string& what) const { return said_.size() < kMaxSaid && !said_.contains(what); }

void Worker::watch_cookies(const relay::Route& route, const http::RequestHead& head) {
  if (!head.fields.has("Cookie") || !is_unsaid("cookies:" + route.name)) return;
  const auto names = cookie_watch_.on_new_key(route, head);
  if (names.empty()) return;
  log_once("cookies:" + route.name, LogLevel::Warn,
           "the keys of a path keep changing by cookies alone, so that its clients neither share nor resume a stream; "
           "if these cookies do not say who is asking, list the ones that do in identity.cookies: " +
               names,
           route.name);
}

void Worker::log_once(const std::string& what, LogLevel level, std::string_view message, std::string_view route) {
  if (said_.size() >= kMaxSaid || !said_.insert(what).second) return;
  house_.logger.write(level, message, {{"route", route}});
}

void Worker::warn_of_coding(const std::string& route) {
  log_once("coding:" + route, LogLevel::Warn,
           "the upstream's event stream has a content coding that cannot be undone; passed through without ids", route);
}

void Worker::count_unrouted_stream(std::string_view path) {
  ++counters_.unrouted_event_streams;
  if (said_.size() >= kMaxSaid || !said_.insert("unrouted:" + std::string(path)).second) return;
  house_.logger.warn("an event stream passed that no route matches: it cannot be resumed", {{"path", path}});
}

}  // namespace ssequel::gateway
