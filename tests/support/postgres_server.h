// A PostgreSQL server of a test's own, in a folder that goes with it. PostgreSQL refuses to run as root: then it runs
// as the user that Debian's package made.
#pragma once

#include <doctest/doctest.h>
#include <pwd.h>
#include <unistd.h>

#include <string>

#include "support/redis_server.h"

namespace ssequel::test {

class PostgresServer {
 public:
  PostgresServer() : port_(free_port()) {
    if (::getuid() == 0) {
      const auto* user = ::getpwnam("postgres");
      REQUIRE(user != nullptr);
      user_ = user->pw_uid;
      REQUIRE(::chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) == 0);
    }
    programs_ = shell("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1");
    programs_.resize(programs_.find_last_not_of('\n') + 1);
    auto made = Process({programs_ + "/initdb", "-D", folder_.path("data"), "-U", "app", "-A", "trust", "-N",
                         "--no-instructions", "--locale=C", "-E", "UTF8"},
                        folder_.path("log"), user_);
    REQUIRE_MESSAGE(made.wait() == 0, shell("tail " + folder_.path("log")));
    start();
  }
  ~PostgresServer() { stop(); }

  void start() {
    process_ = Process({programs_ + "/postgres", "-D", folder_.path("data"), "-p", std::to_string(port_), "-c",
                        "listen_addresses=127.0.0.1", "-k", folder_.path(), "-c", "fsync=off"},
                       folder_.path("log"), user_);
    REQUIRE_MESSAGE(wait_until([this] { return sql("SELECT 7") == "7\n"; }), shell("tail " + folder_.path("log")));
  }
  // An immediate shutdown: its processes go with it.
  void stop() { process_.end(SIGQUIT); }
  [[nodiscard]] std::string url() const { return "postgresql://app@127.0.0.1:" + std::to_string(port_) + "/postgres"; }
  std::string sql(const std::string& query) const {
    return shell("psql -X -q -A -t '" + url() + "' -c \"" + query + "\"");
  }

 private:
  TemporaryFolder folder_;
  std::uint16_t port_;
  uid_t user_ = 0;
  std::string programs_;
  Process process_;
};

}  // namespace ssequel::test
