#include "ids/postgres_ids.h"

#include <doctest/doctest.h>

#include <deque>

#include "support/postgres_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using ids::Block;
using ssequel::test::PostgresServer;
using ssequel::test::wait_until;

namespace {

struct Ids {
  explicit Ids(const std::string& url, const std::string& sequence = "events") {
    auto opened = ids::PostgresIds::open({.url = url, .sequence = sequence}, ledger);
    REQUIRE(opened.has_value());
    postgres = std::move(*opened);
  }
  void ask(std::uint64_t count, std::uint64_t floor = 0) {
    postgres->fetch(count, floor, [this](std::vector<Block> blocks) {
      const std::lock_guard lock(mutex);
      answers.push_back(std::move(blocks));
    });
  }
  [[nodiscard]] bool is_answered(std::size_t count = 1) {
    return wait_until([&] {
      const std::lock_guard lock(mutex);
      return answers.size() >= count;
    });
  }
  std::vector<Block> fetch(std::uint64_t count, std::uint64_t floor = 0) {
    ask(count, floor);
    REQUIRE_MESSAGE(is_answered(), ledger.entries()["postgres"].why);
    auto blocks = answers.front();
    answers.pop_front();
    return blocks;
  }
  [[nodiscard]] std::string why() const {
    const auto entries = ledger.entries();
    const auto found = entries.find("postgres");
    return found == entries.end() ? "" : found->second.why;
  }
  NullLogger logger;
  ids::Ledger ledger{logger};
  std::mutex mutex;
  std::deque<std::vector<Block>> answers;
  std::unique_ptr<ids::PostgresIds> postgres;
};

}  // namespace

// One story: a server takes a second or two to make.
TEST_CASE("values of a PostgreSQL sequence, through its ups and downs") {
  if (!ids::has_postgres()) return;
  PostgresServer server;
  {
    // The sequence is missing: it is made. A block is one query.
    Ids ids(server.url());
    CHECK(ids.fetch(1000) == std::vector<Block>{{1, 1000}});
    CHECK(ids.fetch(10) == std::vector<Block>{{1001, 1010}});

    // Others take some between.
    CHECK(server.sql("SELECT nextval('events')") == "1011\n");
    CHECK(ids.fetch(2) == std::vector<Block>{{1012, 1013}});

    // Requests in succession are answered in order.
    for (int i = 0; i < 5; ++i) ids.ask(2);
    REQUIRE(ids.is_answered(5));
    for (std::uint64_t i = 0; i < 5; ++i) CHECK(ids.answers[i] == std::vector<Block>{{1014 + 2 * i, 1015 + 2 * i}});
    ids.answers.clear();

    // Behind what was given: it is set above that. One that is not stays.
    server.sql("SELECT setval('events', 5)");
    CHECK(ids.fetch(3, 2000) == std::vector<Block>{{2001, 2003}});
    CHECK(ids.fetch(1, 1500) == std::vector<Block>{{2004, 2004}});

    // The connection is lost between two requests, and while the server is away.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ssequel'");
    CHECK(ids.fetch(1).front().first > 2004);
    server.stop();
    ids.ask(1);
    CHECK(wait_until([&] { return !ids.why().empty(); }));
    server.start();
    REQUIRE(ids.is_answered());
    CHECK(ids.answers.front().front().first > 2004);
    CHECK(ids.why().empty());
  }
  {
    server.sql("CREATE SEQUENCE tens INCREMENT BY 10");
    Ids ids(server.url(), "public.tens");
    CHECK(ids.fetch(3) == std::vector<Block>{{1, 1}, {11, 11}, {21, 21}});
  }
  {
    server.sql("CREATE SEQUENCE down INCREMENT BY -1");
    Ids ids(server.url(), "down");
    ids.ask(1);
    CHECK(wait_until([&] { return ids.why().find("counts down") != std::string::npos; }));
  }
  {
    server.sql("CREATE SEQUENCE again CYCLE");
    Ids ids(server.url(), "again");
    ids.ask(1);
    CHECK(wait_until([&] { return ids.why().find("cycles") != std::string::npos; }));
  }
  {
    // Who may neither make it nor use it is told so.
    server.sql("CREATE ROLE guest LOGIN");
    auto url = server.url();
    url.replace(url.find("app@"), 4, "guest:secret@");
    Ids ids(url, "other");
    ids.ask(1);
    CHECK(wait_until([&] { return ids.why().find("permission denied") != std::string::npos; }));
    CHECK(ids.why().find("secret") == std::string::npos);
  }
}

TEST_CASE("a URL that cannot be read is not quoted") {
  if (!ids::has_postgres()) return;
  NullLogger logger;
  ids::Ledger ledger(logger);
  const auto opened = ids::PostgresIds::open({.url = "postgresql://u:secret@h/d?secret=1", .sequence = "s"}, ledger);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == ErrorCode::Misconfigured);
  CHECK(opened.error().context.find("secret") == std::string::npos);
}

TEST_CASE("a server that is not there does not keep the process from ending") {
  if (!ids::has_postgres()) return;
  Ids ids("postgresql://127.0.0.1:" + std::to_string(test::free_port()) + "/x");
  ids.ask(1);
  CHECK(wait_until([&] { return !ids.why().empty(); }));
}
