#include "net/signals.h"

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "support/temporary_folder.h"
#include "support/test_loop.h"

using namespace ssequel;
using ssequel::test::TemporaryFolder;
using ssequel::test::TestLoop;
namespace fs = std::filesystem;

namespace {

// A watched file with a count of its changes.
struct Watched {
  explicit Watched(std::string path) {
    auto started = net::FileWatch::start(test.loop(), std::move(path), [this] { ++changes; });
    REQUIRE(started);
    watch = std::move(*started);
  }
  [[nodiscard]] bool changes_to(int count) {
    return test.run_until([&] { return changes == count; }, Millis(3000));
  }
  // Long enough for a change to be told, had there been one.
  void run_a_while() {
    CHECK_FALSE(test.run_until([] { return false; }, Millis(250)));
  }
  TestLoop test;
  int changes = 0;
  net::Owned<net::FileWatch> watch;
};

// As the kubelet publishes a ConfigMap: a new folder, and a symlink renamed over the old one.
void publish(const TemporaryFolder& folder, const std::string& version, std::string_view content) {
  fs::create_directory(folder.path(version));
  folder.write(version + "/config.yaml", content);
  fs::create_directory_symlink(version, folder.path("..data_tmp"));
  fs::rename(folder.path("..data_tmp"), folder.path("..data"));
}

}  // namespace

TEST_CASE("a signal is a call on the loop, and other signals are not") {
  TestLoop test;
  std::vector<int> got;
  auto hangup = net::SignalWatch::start(test.loop(), SIGHUP, [&got](int signal) { got.push_back(signal); });
  auto user = net::SignalWatch::start(test.loop(), SIGUSR1, [&got](int signal) { got.push_back(signal); });
  std::raise(SIGHUP);
  REQUIRE(test.run_until([&] { return got.size() == 1; }));
  CHECK(got[0] == SIGHUP);
  std::raise(SIGUSR1);
  REQUIRE(test.run_until([&] { return got.size() == 2; }));
  CHECK(got[1] == SIGUSR1);
}

TEST_CASE("a signal watch may be dropped from inside, and does not keep the loop going") {
  TestLoop test;
  int calls = 0;
  net::Owned<net::SignalWatch> watch;
  auto other = net::SignalWatch::start(test.loop(), SIGUSR1, [](int) {});  // Keeps a second signal from ending us.
  watch = net::SignalWatch::start(test.loop(), SIGUSR1, [&](int) {
    ++calls;
    watch.reset();
  });
  test.loop().run();
  std::raise(SIGUSR1);
  REQUIRE(test.run_until([&] { return calls == 1; }));
  std::raise(SIGUSR1);
  test.run_turns();
  CHECK(calls == 1);
}

TEST_CASE("a file written in place, replaced, removed or made anew has changed") {
  const TemporaryFolder folder;
  folder.write("config.yaml", "a: 1");
  Watched watched(folder.path("config.yaml"));
  folder.write("config.yaml", "a: 22");
  REQUIRE(watched.changes_to(1));
  folder.write("config.yaml.new", "a: 33");
  fs::rename(folder.path("config.yaml.new"), folder.path("config.yaml"));
  REQUIRE(watched.changes_to(2));
  fs::remove(folder.path("config.yaml"));
  REQUIRE(watched.changes_to(3));
  folder.write("config.yaml", "a: 44");
  REQUIRE(watched.changes_to(4));
}

TEST_CASE("a ConfigMap's swap of its symlink is a change of the file, each time") {
  const TemporaryFolder folder;
  publish(folder, "..1", "a: 1");
  fs::create_symlink("..data/config.yaml", folder.path("config.yaml"));
  Watched watched(folder.path("config.yaml"));
  publish(folder, "..2", "a: 2");
  fs::remove_all(folder.path("..1"));
  REQUIRE(watched.changes_to(1));
  publish(folder, "..3", "a: 3");
  fs::remove_all(folder.path("..2"));
  REQUIRE(watched.changes_to(2));
  // What is there now is watched, too.
  folder.write("..3/config.yaml", "a: 33");
  REQUIRE(watched.changes_to(3));
}

TEST_CASE("a symlink in a folder elsewhere is watched where it is swapped") {
  const TemporaryFolder here;
  const TemporaryFolder there;
  publish(there, "..1", "a: 1");
  fs::create_symlink(there.path("..data/config.yaml"), here.path("config.yaml"));
  Watched watched(here.path("config.yaml"));
  publish(there, "..2", "a: 2");
  REQUIRE(watched.changes_to(1));
}

TEST_CASE("other files of the folder cause nothing, and a burst is one call") {
  const TemporaryFolder folder;
  folder.write("config.yaml", "a: 1");
  Watched watched(folder.path("config.yaml"));
  folder.write("neighbour.log", "noise");
  fs::remove(folder.path("neighbour.log"));
  watched.run_a_while();
  CHECK(watched.changes == 0);
  for (int i = 0; i < 20; ++i) {
    folder.write("config.yaml", std::string(static_cast<std::size_t>(i) + 10, '#'));
    watched.test.run_turns(1);
  }
  REQUIRE(watched.changes_to(1));
  watched.run_a_while();
  CHECK(watched.changes == 1);
}

TEST_CASE("a busy neighbour does not hide a change") {
  const TemporaryFolder folder;
  folder.write("config.yaml", "a: 1");
  Watched watched(folder.path("config.yaml"));
  folder.write("config.yaml", "a: 22");
  REQUIRE(watched.test.run_until(
      [&] {
        folder.write("neighbour.log", "noise");  // About each millisecond: the folder is never quiet.
        return watched.changes == 1;
      },
      Millis(5000)));
}

TEST_CASE("a file that is not there yet is watched for, its folder too") {
  const TemporaryFolder folder;
  Watched watched(folder.path("sub/deeper/config.yaml"));
  fs::create_directories(folder.path("sub/deeper"));
  watched.run_a_while();
  const int before = watched.changes;  // The path leads further now: may count as a change.
  folder.write("sub/deeper/config.yaml", "a: 1");
  REQUIRE(watched.changes_to(before + 1));
}

TEST_CASE("a file watch may be dropped from inside, and in the middle of a burst") {
  const TemporaryFolder folder;
  folder.write("config.yaml", "a: 1");
  TestLoop test;
  int calls = 0;
  net::Owned<net::FileWatch> watch;
  const auto start = [&] {
    watch = net::FileWatch::start(test.loop(), folder.path("config.yaml"), [&] {
              ++calls;
              watch.reset();
            }).value();
  };
  start();
  folder.write("config.yaml", "a: 22");
  REQUIRE(test.run_until([&] { return !watch; }));
  CHECK(calls == 1);
  start();
  folder.write("config.yaml", "a: 333");
  test.run_turns();
  watch.reset();
  CHECK_FALSE(test.run_until([] { return false; }, Millis(150)));
  CHECK(calls == 1);
}
