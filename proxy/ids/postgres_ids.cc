#include "ids/postgres_ids.h"

#if SSEQUEL_POSTGRES

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/assert.h"
#include "base/backoff.h"
#include "base/random.h"

namespace ssequel::ids {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 10s;
constexpr auto kQueryTimeout = 10s;

struct FinishConnection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, FinishConnection>;
using QueryResult = std::unique_ptr<PGresult, ClearResult>;

// One line, without the end.
std::string one_line(const char* text) {
  std::string line(text == nullptr ? "" : text);
  for (char& c : line) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  line.resize(line.find_last_not_of(' ') + 1);
  return line;
}

// int8, as the server sends it in binary.
std::uint64_t read_int8(const PGresult* result, int row, int column) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(PQgetvalue(result, row, column));
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

class PostgresThread final : public PostgresIds {
 public:
  PostgresThread(PostgresIdsOptions options, Ledger& ledger)
      : options_(std::move(options)), ledger_(ledger), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    SSEQUEL_ASSERT(wake_ >= 0, "a descriptor to be woken by");
    thread_ = std::thread([this] { run(); });
  }
  ~PostgresThread() override {
    {
      const std::lock_guard lock(mutex_);
      is_ending_ = true;
    }
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one) == 0);
    changed_.notify_all();
    thread_.join();
    ::close(wake_);
  }

  void fetch(std::uint64_t count, std::uint64_t floor, std::function<void(std::vector<Block>)> on_blocks) override {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back({count, floor, std::move(on_blocks)});
    }
    changed_.notify_all();
  }

 private:
  struct Request {
    std::uint64_t count;
    std::uint64_t floor;
    std::function<void(std::vector<Block>)> on_blocks;
  };

  void run() {
    for (;;) {
      std::optional<Request> request;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_ending_ || !requests_.empty(); });
        if (is_ending_) return;
        request = std::move(requests_.front());
        requests_.pop_front();
      }
      auto blocks = answer(*request);
      while (!blocks) {
        connection_.reset();
        ledger_.failed("postgres", why_);
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, backoff_.next(random_), [this] { return is_ending_; })) return;
        lock.unlock();
        blocks = answer(*request);
      }
      backoff_.reset();
      ledger_.works("postgres");
      request->on_blocks(std::move(*blocks));
    }
  }

  // Nothing: why_ says why, and the connection is of no use any more.
  std::optional<std::vector<Block>> answer(const Request& request) {
    if (!connection_ && !(connect() && prepare())) return std::nullopt;
    auto blocks = next_values(request.count);
    if (blocks && !blocks->empty() && blocks->back().last <= request.floor) {
      if (!raise(request.floor)) return std::nullopt;
      blocks = next_values(request.count);
    }
    return blocks;
  }

  bool connect() {
    // Keep-alive finds a peer that is gone while nothing is asked.
    const std::array<const char*, 5> keys{"dbname", "application_name", "keepalives_idle", "tcp_user_timeout", nullptr};
    const std::array<const char*, 5> values{options_.url.c_str(), "ssequel", "30", "10000", nullptr};
    connection_.reset(PQconnectStartParams(keys.data(), values.data(), 1));
    const auto until = Clock::now() + kConnectTimeout;
    auto state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
      if (state == PGRES_POLLING_FAILED || PQstatus(connection_.get()) == CONNECTION_BAD) return give_up();
      if (!wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) return false;
      state = PQconnectPoll(connection_.get());
    }
    return PQsetnonblocking(connection_.get(), 1) == 0 || give_up();
  }

  // The sequence exists and counts up.
  bool prepare() {
    constexpr auto kLook = "SELECT seqincrement, seqcycle FROM pg_sequence WHERE seqrelid = to_regclass($1)";
    const std::array<const char*, 1> name{options_.sequence.c_str()};
    auto found = ask(kLook, name);
    if (!found) return false;
    if (PQntuples(found.get()) == 0) {
      // The name's characters were looked at when the configuration was read.
      if (!ask(("CREATE SEQUENCE IF NOT EXISTS " + options_.sequence).c_str(), {})) return false;
      found = ask(kLook, name);
      if (!found) return false;
    }
    if (PQntuples(found.get()) == 0) return give_up("the sequence " + options_.sequence + " is not there");
    const bool counts_down = (read_int8(found.get(), 0, 0) >> 63) != 0;
    if (counts_down || *PQgetvalue(found.get(), 0, 1) != 0)
      return give_up("the sequence " + options_.sequence + " counts down, or cycles");
    return true;
  }

  std::optional<std::vector<Block>> next_values(std::uint64_t count) {
    const auto text = std::to_string(count);
    const std::array values{options_.sequence.c_str(), text.c_str()};
    // A single one is a third cheaper without a series to walk.
    const auto found = count == 1 ? ask("SELECT nextval($1::regclass)", std::array{values[0]})
                                  : ask("SELECT nextval($1::regclass) FROM generate_series(1, $2::bigint)", values);
    if (!found) return std::nullopt;
    std::vector<Block> blocks;
    const int rows = PQntuples(found.get());
    for (int row = 0; row < rows; ++row) {
      const auto value = read_int8(found.get(), row, 0);
      if (value >> 63 != 0 || value == 0) continue;  // Below one: no number of ours.
      if (!blocks.empty() && value == blocks.back().last + 1) {
        ++blocks.back().last;
      } else if (blocks.empty() || value > blocks.back().last) {
        blocks.push_back({value, value});
      }
    }
    return blocks;
  }

  // Several processes may do this at once: they take turns, and only the first one moves it.
  bool raise(std::uint64_t floor) {
    const auto text = std::to_string(floor);
    const std::array values{options_.sequence.c_str(), text.c_str()};
    if (!ask("BEGIN", {})) return false;
    if (!ask("SELECT pg_advisory_xact_lock(hashtext('ssequel'), hashtext($1))", std::array{values[0]})) return false;
    if (!ask("SELECT setval($1::regclass, $2::bigint) WHERE coalesce(pg_sequence_last_value($1::regclass), 0) < "
             "$2::bigint",
             values))
      return false;
    return ask("COMMIT", {}) != nullptr;
  }

  // The last result of a query; null: it failed, or took too long.
  QueryResult ask(const char* query, std::span<const char* const> values) {
    auto* connection = connection_.get();
    if (PQsendQueryParams(connection, query, static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                          1) != 1) {
      give_up();
      return nullptr;
    }
    const auto until = Clock::now() + kQueryTimeout;
    QueryResult last;
    for (;;) {
      const int unsent = PQflush(connection);
      if (unsent < 0 || PQconsumeInput(connection) != 1) {
        give_up();
        return nullptr;
      }
      if (PQisBusy(connection) == 1) {
        if (!wait(unsent != 0 ? POLLIN | POLLOUT : POLLIN, until)) return nullptr;
        continue;
      }
      QueryResult result(PQgetResult(connection));
      if (!result) return last;
      const auto status = PQresultStatus(result.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        give_up(one_line(PQresultErrorMessage(result.get())));
        return nullptr;
      }
      last = std::move(result);
    }
  }

  // False: the time is over, or the process ends.
  bool wait(int events, Clock::time_point until) {
    std::array<pollfd, 2> both{pollfd{PQsocket(connection_.get()), static_cast<short>(events), 0},
                               pollfd{wake_, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<Millis>(until - Clock::now());
    const int ready = left.count() <= 0 ? 0 : ::poll(both.data(), both.size(), static_cast<int>(left.count()));
    if (both[1].revents != 0) return give_up("the process ends");
    if (ready == 0) return give_up("no answer in time");
    return true;
  }

  bool give_up(std::string why) {
    why_ = std::move(why);
    return false;
  }
  // libpq names host, port, user and database, never the password.
  bool give_up() { return give_up(one_line(PQerrorMessage(connection_.get()))); }

  const PostgresIdsOptions options_;
  Ledger& ledger_;
  const int wake_;  // An eventfd that stays readable from the end on.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  bool is_ending_ = false;
  // The thread's own.
  Connection connection_;
  SystemRandom random_;
  Backoff backoff_{100ms, 5s};
  std::string why_;
  std::thread thread_;
};

}  // namespace

bool has_postgres() noexcept { return true; }

Result<std::unique_ptr<PostgresIds>> PostgresIds::open(PostgresIdsOptions options, Ledger& ledger) {
  char* error = nullptr;
  auto* parsed = PQconninfoParse(options.url.c_str(), &error);
  PQfreemem(error);  // It quotes the text.
  if (parsed == nullptr) return fail(ErrorCode::Misconfigured, "postgres.url is no URL of a PostgreSQL database");
  PQconninfoFree(parsed);
  return std::make_unique<PostgresThread>(std::move(options), ledger);
}

}  // namespace ssequel::ids

#else

namespace ssequel::ids {

bool has_postgres() noexcept { return false; }

Result<std::unique_ptr<PostgresIds>> PostgresIds::open(PostgresIdsOptions, Ledger&) {
  return fail(ErrorCode::Unsupported, "this build has no PostgreSQL (SSEQUEL_POSTGRES=OFF)");
}

}  // namespace ssequel::ids

#endif
