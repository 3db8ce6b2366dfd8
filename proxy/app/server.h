// The process: event loops with a worker each, the admin endpoint, signals, reloads, the drain. The first loop runs on
// the caller's thread and has the admin endpoint and the signals; it talks to the others by message.
//
//   Running ──POST /drain, SIGTERM──► Announced ──drain.delay──► Ending ──idle, or drain.timeout──► gone (signal only)
//
// POST /drain leaves the process running; the first signal after it counts as the first. A second signal exits at once.
#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/config.h"
#include "app/logger.h"
#include "app/metrics.h"
#include "gateway/admin.h"
#include "gateway/worker.h"
#include "ids/allocators.h"
#include "net/signals.h"
#include "nodes/node_store.h"
#include "store/disk_store.h"

namespace ssequel::app {

class Server final : private gateway::AdminBackend, private net::Deadline::Listener {
 public:
  // config_file: empty if there is none, and nothing is reloaded.
  Server(FdLogger& logger, const Clock& clock, Random& random, Config config, std::string config_file, Environment env);
  ~Server() override;

  // Opens every listener. An error is the operator's to mend: exit code 2.
  [[nodiscard]] Result<void> open();
  // Until a drain by signal is over. The exit code.
  [[nodiscard]] int run();

  [[nodiscard]] std::vector<std::uint16_t> ports() const { return worker_->ports(); }
  [[nodiscard]] std::uint16_t admin_port() const { return admin_->port(); }
  [[nodiscard]] net::Loop& loop() { return loop_; }

 private:
  void metrics(std::function<void(std::string)> done) override;
  void channels(std::function<void(std::string)> done) override;
  void status(std::function<void(std::string)> done) override;
  [[nodiscard]] std::optional<Page> page(std::string_view path) override;
  [[nodiscard]] gateway::Readiness readiness() override;
  void drain() override;

  void on_signal(int signal);
  void on_deadline(net::Deadline& deadline) override;
  void reload();
  void stop(int code);
  // Runs `ask` on every loop, then `done` on the first one with the answers.
  template <class T>
  void gather(std::function<T(gateway::Worker&)> ask, std::function<void(std::vector<T>)> done);
  [[nodiscard]] Result<void> open_store();
  [[nodiscard]] Result<void> open_ids();
  void make_workers();
  void for_each_worker(const std::function<void(gateway::Worker&)>& act);

  // Another loop, with its thread.
  struct Seat {
    net::Loop loop;
    std::unique_ptr<gateway::Worker> worker;
    std::thread thread;
  };

  FdLogger& logger_;
  Config config_;
  const std::string config_file_;
  const Environment env_;
  net::Loop loop_;
  gateway::House house_;
  std::unique_ptr<store::DiskStore> store_;  // Null: not kind disk.
  std::unique_ptr<nodes::NodeStore> nodes_;  // Null: not kind redis.
  std::unique_ptr<ids::Allocators> ids_;
  std::unique_ptr<net::DeadlineQueue> deadlines_;
  std::unique_ptr<gateway::Worker> worker_;   // Of the first loop.
  std::vector<std::unique_ptr<Seat>> seats_;  // The others.
  std::unique_ptr<gateway::Admin> admin_;
  std::vector<net::Owned<net::SignalWatch>> signals_;
  net::Owned<net::FileWatch> file_watch_;
  std::unique_ptr<net::Deadline> delay_;   // drain.delay
  std::unique_ptr<net::Deadline> finish_;  // Looks whether all is done, until ends_by_.
  Millis ends_by_ = Millis::max();
  Millis began_{0};
  bool is_listening_ = false;
  bool is_counting_ = false;  // An answer about busy connections is on its way.
  bool is_draining_ = false;
  bool is_signalled_ = false;
  bool reload_ok_ = true;
  int exit_code_ = 0;
};

}  // namespace ssequel::app
