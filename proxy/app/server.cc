#include "app/server.h"

#include <unistd.h>

#include "app/version.h"

namespace ssequel::app {
namespace {

constexpr Millis kLook{20};

}  // namespace

Server::Server(FdLogger& logger, const Clock& clock, Random& random, Config config, std::string config_file,
               Environment env)
    : logger_(logger),
      config_(std::move(config)),
      config_file_(std::move(config_file)),
      env_(std::move(env)),
      house_{.logger = logger, .clock = clock, .random = random},
      deadlines_(std::make_unique<net::DeadlineQueue>(loop_)),
      worker_(std::make_unique<gateway::Worker>(house_, loop_, gateway::make_settings(config_.options))),
      admin_(std::make_unique<gateway::Admin>(loop_, *deadlines_, static_cast<gateway::AdminBackend&>(*this))),
      delay_(std::make_unique<net::Deadline>(*deadlines_, static_cast<net::Deadline::Listener&>(*this))),
      finish_(std::make_unique<net::Deadline>(*deadlines_, static_cast<net::Deadline::Listener&>(*this))) {}

Server::~Server() {
  file_watch_.reset();
  signals_.clear();
  delay_.reset();
  finish_.reset();
  admin_.reset();
  worker_.reset();
  deadlines_.reset();
}

Result<void> Server::open() {
  for (const auto& warning : config_.warnings) logger_.warn("configuration", {{"warning", warning}});
  if (auto opened = worker_->listen(false); !opened) return opened;
  if (auto opened = admin_->listen(config_.options.admin); !opened) return opened;
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
  is_listening_ = true;
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
  loop_.stop();
}

// -------------------------------------------------------------------------------------------------------- admin

void Server::metrics(std::function<void(std::string)> done) {
  done(metrics_text(take_snapshot(*worker_), {.config_reload_success = reload_ok_, .version = kVersion}));
}

void Server::channels(std::function<void(std::string)> done) { done(channels_json(take_channels(*worker_))); }

gateway::Readiness Server::readiness() {
  gateway::Readiness ready;
  ready.is_ready = is_listening_ && !is_draining_;
  ready.why = is_draining_ ? "draining" : is_listening_ ? "ready" : "starting";
  return ready;
}

// -------------------------------------------------------------------------------------------------------- drain

void Server::drain() {
  if (std::exchange(is_draining_, true)) return;
  logger_.info("draining: not ready; streams end after drain.delay",
               {{"delay_ms", config_.options.drain.delay.count()}});
  worker_->set_drain(gateway::DrainPhase::Announced);
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
    worker_->set_drain(gateway::DrainPhase::Ending);
    if (is_signalled_) finish_->set(Millis(1));
    return;
  }
  const auto busy = worker_->busy_sessions();
  const bool late = loop_.now() + kLook >= ends_by_;
  if (busy != 0 && !late) {
    finish_->set(kLook);
    return;
  }
  if (busy != 0) logger_.warn("drain.timeout is over: what still ran is cut", {{"connections", busy}});
  logger_.info("drained");
  stop(0);
}

// ------------------------------------------------------------------------------------------------------- reload

void Server::reload() {
  if (config_file_.empty()) return;
  auto loaded = load_config(config_file_, env_);
  if (!loaded) {
    reload_ok_ = false;
    logger_.error("the new configuration is not taken over; the old one stays in force",
                  {{"error", loaded.error().context}});
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
  worker_->apply(gateway::make_settings(config_.options));
  logger_.info("configuration reloaded", {{"routes", config_.options.routes.size()}});
}

}  // namespace ssequel::app
