#include "app/server.h"

#include <unistd.h>

#include <numeric>

#include "app/kept_channels.h"
#include "app/status.h"
#include "app/status_pages.h"
#include "app/version.h"

namespace ssequel::app {
namespace {

constexpr Millis kLook{20};
constexpr Millis kStoreFlush{5000};  // A disk that fails at the end is tried so long.

}  // namespace

Server::Server(FdLogger& logger, const Clock& clock, Random& random, Config config, std::string config_file,
               Environment env)
    : logger_(logger),
      config_(std::move(config)),
      config_file_(std::move(config_file)),
      env_(std::move(env)),
      house_{.logger = logger, .clock = clock, .random = random},
      deadlines_(std::make_unique<net::DeadlineQueue>(loop_)),
      admin_(std::make_unique<gateway::Admin>(loop_, *deadlines_, clock, static_cast<gateway::AdminBackend&>(*this))),
      delay_(std::make_unique<net::Deadline>(*deadlines_, static_cast<net::Deadline::Listener&>(*this))),
      finish_(std::make_unique<net::Deadline>(*deadlines_, static_cast<net::Deadline::Listener&>(*this))) {}

void Server::make_workers() {
  const unsigned loops = config_.options.threads.value_or(net::usable_cpus());
  house_.workers.resize(loops);
  const auto settings = gateway::make_settings(config_.options);
  worker_ = std::make_unique<gateway::Worker>(house_, loop_, settings);
  house_.workers.front() = worker_.get();
  for (unsigned i = 1; i < loops; ++i) {
    auto seat = std::make_unique<Seat>();
    seat->worker = std::make_unique<gateway::Worker>(house_, seat->loop, settings);
    house_.workers[i] = seat->worker.get();
    seats_.push_back(std::move(seat));
  }
}

Result<void> Server::open_store() {
  const auto& options = config_.options.store;
  if (options.kind == gateway::StoreKind::Redis) {
    const auto& redis = config_.options.redis;
    auto opened = nodes::NodeStore::open({.url = redis.url, .prefix = redis.prefix, .lease = redis.lease}, logger_,
                                         house_.clock, house_.random);
    if (!opened) return tl::unexpected<Error>(opened.error());
    nodes_ = std::move(*opened);
    house_.open_store = [this](net::DeadlineQueue& deadlines) { return nodes_->door(deadlines); };
    return {};
  }
  if (options.kind != gateway::StoreKind::Disk) return {};
  store::DiskOptions disk{.directory = options.path, .sync_always = options.sync_always};
  // With the write-ahead log the files stay within twice the windows.
  for (const auto& route : config_.options.routes) {
    disk.wal_bytes = std::clamp<std::uint64_t>(route.window.bytes / 4, 256 * 1024, disk.wal_bytes);
  }
  auto opened = store::DiskStore::open(std::move(disk), logger_, house_.clock);
  if (!opened) return tl::unexpected<Error>(opened.error());
  store_ = std::move(*opened);
  house_.open_store = doors_of(*store_);
  return {};
}

Result<void> Server::open_ids() {
  const auto& options = config_.options;
  ids_ = std::make_unique<ids::Allocators>(
      ids::AllocatorOptions{.redis_url = options.redis.url,
                            .redis_prefix = options.redis.prefix,
                            .lease = options.redis.lease,
                            .postgres = {.url = options.postgres.url, .sequence = options.postgres.sequence},
                            .postgres_block = options.postgres.block,
                            .pod_name = env_("POD_NAME")},
      logger_, house_.clock, house_.random);
  house_.open_sequencers = [this](net::DeadlineQueue& deadlines) { return ids_->door(deadlines); };
  return ids_->check(options.routes);
}

Server::~Server() {
  file_watch_.reset();
  signals_.clear();
  delay_.reset();
  finish_.reset();
  admin_.reset();
  for (auto& seat : seats_) {
    if (!seat->thread.joinable()) continue;
    seat->loop.post([&loop = seat->loop] { loop.stop(); });
    seat->thread.join();
  }
  // All let go of each other's channels before the first one goes.
  if (worker_) worker_->close_all();
  for (auto& seat : seats_) seat->worker->close_all();
  for (auto& seat : seats_) seat->worker.reset();
  worker_.reset();
  if (ids_) ids_->stop();
  if (store_) store_->close(kStoreFlush);
  deadlines_.reset();
}

void Server::for_each_worker(const std::function<void(gateway::Worker&)>& act) {
  act(*worker_);
  for (auto& seat : seats_) {
    seat->loop.post([act, &worker = *seat->worker] { act(worker); });
  }
}

template <class T>
void Server::gather(std::function<T(gateway::Worker&)> ask, std::function<void(std::vector<T>)> done) {
  auto answers = std::make_shared<std::vector<T>>();
  answers->push_back(ask(*worker_));
  const auto wanted = seats_.size() + 1;
  if (answers->size() == wanted) {
    done(std::move(*answers));
    return;
  }
  for (auto& seat : seats_) {
    seat->loop.post([this, ask, done, answers, wanted, &worker = *seat->worker] {
      auto answer = std::make_shared<T>(ask(worker));
      loop_.post([answers, answer, done, wanted] {
        answers->push_back(std::move(*answer));
        if (answers->size() == wanted) done(std::move(*answers));
      });
    });
  }
}

Result<void> Server::open() {
  for (const auto& warning : config_.warnings) logger_.warn("configuration", {{"warning", warning}});
  if (auto opened = open_store(); !opened) return opened;
  if (auto opened = open_ids(); !opened) return opened;
  make_workers();
  // With SO_REUSEPORT a second process could listen on our port unnoticed: the first loop asks for it alone first.
  if (!seats_.empty()) {
    gateway::House trial{.logger = house_.logger, .clock = house_.clock, .random = house_.random};
    gateway::Worker alone(trial, loop_, gateway::make_settings(config_.options));
    if (auto opened = alone.listen(false); !opened) return opened;
  }
  if (auto opened = worker_->listen(!seats_.empty()); !opened) return opened;
  for (auto& seat : seats_) {
    if (auto opened = seat->worker->listen(true, worker_->ports()); !opened) return opened;
  }
  if (auto opened = admin_->listen(config_.options.admin); !opened) return opened;
  if (store_) {
    auto revived = revive_channels(*store_, house_, *worker_);
    if (!revived) return tl::unexpected<Error>(revived.error());
    logger_.info("the journal is open", {{"channels", *revived}, {"path", config_.options.store.path}});
  }
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    signals_.push_back(net::SignalWatch::start(loop_, signal, [this](int number) { on_signal(number); }));
  }
  if (!config_file_.empty()) {
    auto watch = net::FileWatch::start(loop_, config_file_, [this] { reload(); });
    if (watch) {
      file_watch_ = std::move(*watch);
    } else {
      logger_.warn("the configuration file is not watched; SIGHUP reloads it", {{"error", watch.error().context}});
    }
  }
  worker_->start_eager();
  for (auto& seat : seats_) {
    seat->worker->start_eager();
    seat->thread = std::thread([&loop = seat->loop] { loop.run(); });
  }
  is_listening_ = true;
  began_ = loop_.now();
  for (const auto& address : config_.options.listen) {
    logger_.info("listening", {{"address", address.to_string()}});
  }
  logger_.info("ready", {{"version", kVersion},
                         {"upstream", config_.options.upstream.authority()},
                         {"admin", config_.options.admin.to_string()}});
  return {};
}

int Server::run() {
  loop_.run();
  return exit_code_;
}

void Server::stop(int code) {
  exit_code_ = code;
  file_watch_.reset();
  signals_.clear();
  delay_->cancel();
  finish_->cancel();
  admin_->close();
  worker_->close_all();
  for (auto& seat : seats_) {
    seat->loop.post([&seat = *seat] {
      seat.worker->close_all();
      seat.loop.stop();
    });
  }
  for (auto& seat : seats_) seat->thread.join();
  loop_.stop();
}

// -------------------------------------------------------------------------------------------------------- admin

void Server::metrics(std::function<void(std::string)> done) {
  gather<CountersSnapshot>([](gateway::Worker& worker) { return take_snapshot(worker); },
                           [this, done](std::vector<CountersSnapshot> all) {
                             for (std::size_t i = 1; i < all.size(); ++i) all.front().add(all[i]);
                             ProcessFacts facts{.config_reload_success = reload_ok_, .version = kVersion};
                             if (store_) facts.disk = store_->status();
                             if (nodes_) facts.nodes = nodes_->status();
                             for (const auto& [name, entry] : ids_->status()) facts.id_errors[name] = entry.errors;
                             done(metrics_text(all.front(), facts));
                           });
}

void Server::channels(std::function<void(std::string)> done) {
  gather<std::vector<ChannelFacts>>([](gateway::Worker& worker) { return take_channels(worker); },
                                    [done](std::vector<std::vector<ChannelFacts>> all) {
                                      for (std::size_t i = 1; i < all.size(); ++i) {
                                        all.front().insert(all.front().end(), all[i].begin(), all[i].end());
                                      }
                                      done(channels_json(all.front()));
                                    });
}

void Server::status(std::function<void(std::string)> done) {
  gather<CountersSnapshot>([](gateway::Worker& worker) { return take_snapshot(worker); },
                           [this, done](std::vector<CountersSnapshot> all) {
                             for (std::size_t i = 1; i < all.size(); ++i) all.front().add(all[i]);
                             done(status_json({.counters = all.front(),
                                               .options = config_.options,
                                               .readiness = readiness(),
                                               .recent = logger_.recent().lines(),
                                               .unix_ms = house_.clock.unix_micros() / 1000,
                                               .now = loop_.now(),
                                               .uptime = loop_.now() - began_,
                                               .loops = all.size(),
                                               .store_bytes = worker_->settings().store_bytes,
                                               .config_reload_success = reload_ok_,
                                               .version = kVersion}));
                           });
}

std::optional<gateway::AdminBackend::Page> Server::page(std::string_view path) {
  for (const auto& page : status_pages()) {
    if (page.path == path) return Page{.type = page.type, .content = page.content};
  }
  return std::nullopt;
}

gateway::Readiness Server::readiness() {
  gateway::Readiness ready;
  ready.is_ready = is_listening_ && !is_draining_;
  ready.why = is_draining_ ? "draining" : is_listening_ ? "ready" : "starting";
  if (store_) {
    const auto status = store_->status();
    ready.is_store_ready = status.is_well;
    ready.store = status.is_well ? "disk" : "disk: " + status.why;
  }
  if (nodes_) {
    const auto status = nodes_->status();
    ready.is_store_ready = status.is_well;
    ready.store = status.is_well ? "redis" : "redis: " + status.why;
  }
  for (const auto& [name, entry] : ids_->status()) ready.ids[name] = entry.why.empty() ? "ready" : entry.why;
  return ready;
}

// -------------------------------------------------------------------------------------------------------- drain

void Server::drain() {
  if (std::exchange(is_draining_, true)) return;
  logger_.info("draining: not ready; streams end after drain.delay",
               {{"delay_ms", config_.options.drain.delay.count()}});
  for_each_worker([](gateway::Worker& worker) { worker.set_drain(gateway::DrainPhase::Announced); });
  delay_->set(std::max(Millis(1), config_.options.drain.delay));
}

void Server::on_signal(int signal) {
  if (signal == SIGHUP) {
    reload();
    return;
  }
  if (is_signalled_) {
    logger_.warn("second signal: exiting at once", {{"signal", signal}});
    _exit(128 + signal);
  }
  is_signalled_ = true;
  drain();
  ends_by_ = loop_.now() + config_.options.drain.timeout;
  if (!delay_->is_set()) finish_->set(Millis(1));
}

void Server::on_deadline(net::Deadline& deadline) {
  if (&deadline == delay_.get()) {
    for_each_worker([](gateway::Worker& worker) { worker.set_drain(gateway::DrainPhase::Ending); });
    if (is_signalled_) finish_->set(Millis(1));
    return;
  }
  if (loop_.now() + kLook >= ends_by_) {
    logger_.warn("drain.timeout is over: what still ran is cut");
    stop(0);
    return;
  }
  finish_->set(kLook);
  if (std::exchange(is_counting_, true)) return;
  gather<std::size_t>([](gateway::Worker& worker) { return worker.busy_sessions(); },
                      [this](std::vector<std::size_t> busy) {
                        is_counting_ = false;
                        if (std::accumulate(busy.begin(), busy.end(), std::size_t{0}) != 0 || !finish_->is_set())
                          return;
                        logger_.info("drained");
                        stop(0);
                      });
}

// ------------------------------------------------------------------------------------------------------- reload

void Server::reload() {
  if (config_file_.empty()) return;
  auto loaded = load_config(config_file_, env_);
  if (!loaded) {
    reload_ok_ = false;
    logger_.error("the new configuration is not taken over; the old one stays in force",
                  {{"problems", loaded.error().context}});
    return;
  }
  auto& fresh = loaded->options;
  const auto& old = config_.options;
  // What only a restart can change stays as it is, and says so.
  const auto keep = [&](const char* key, auto& value, const auto& current) {
    if (value == current) return;
    logger_.warn("a changed setting needs a restart", {{"key", key}});
    value = current;
  };
  keep("listen", fresh.listen, old.listen);
  keep("admin", fresh.admin, old.admin);
  keep("upstream", fresh.upstream, old.upstream);
  keep("threads", fresh.threads, old.threads);
  keep("store", fresh.store, old.store);
  keep("redis", fresh.redis, old.redis);
  keep("postgres", fresh.postgres, old.postgres);
  reload_ok_ = true;
  if (fresh == old) return;
  config_ = std::move(*loaded);
  for (const auto& warning : config_.warnings) logger_.warn("configuration", {{"warning", warning}});
  logger_.set_level(config_.options.log.level);
  logger_.set_format(config_.options.log.format);
  for_each_worker(
      [settings = gateway::make_settings(config_.options)](gateway::Worker& worker) { worker.apply(settings); });
  logger_.info("configuration reloaded", {{"routes", config_.options.routes.size()}});
}

}  // namespace ssequel::app
