#include "redis/sentinels.h"

#include <array>
#include <charconv>
#include <utility>

namespace ssequel::redis {

net::Owned<SentinelSearch> SentinelSearch::start(net::DeadlineQueue& deadlines, const Url& url, std::size_t first,
                                                 Millis timeout, SentinelListener& listener) {
  net::Owned<SentinelSearch> made(new SentinelSearch(deadlines, url, first, timeout, listener));
  made->ask_next();
  return made;
}

void SentinelSearch::close() noexcept {
  listener_ = nullptr;
  connection_.reset();
  deadlines_.loop().defer([this] { delete this; });
}

void SentinelSearch::ask_next() {
  ++asked_;
  connection_ = Connection::open(deadlines_,
                                 {.host = url_.hosts[next_++ % url_.hosts.size()],
                                  .login = url_.sentinel_login,
                                  .tls = url_.tls,
                                  .timeout = timeout_},
                                 *this);
}

void SentinelSearch::on_ready(Connection& connection) {
  const std::array<std::string_view, 3> question{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", url_.master_name};
  Command command;
  command.bytes = encode(question);
  command.due = deadlines_.loop().now() + timeout_;
  connection.send(std::move(command));
}

void SentinelSearch::on_answer(Connection& connection, Command, Reply reply) {
  const auto who = "the sentinel at " + to_string(connection.host());
  if (reply.kind == Reply::Kind::Error)
    return go_on({.trouble = classify(reply.text), .context = who + ": " + reply.text});
  HostPort master;
  if (reply.elements.size() == 2) {
    const auto& port = reply.elements[1].text;
    master.host = reply.elements[0].text;
    std::from_chars(port.data(), port.data() + port.size(), master.port);
  }
  if (master.host.empty() || master.port == 0)
    return go_on({.trouble = Trouble::Away, .context = who + " knows no master " + url_.master_name});
  connection_.reset();
  std::exchange(listener_, nullptr)->on_master(std::move(master));
}

void SentinelSearch::on_lost(Connection&, Failure why, std::vector<Command>) { go_on(std::move(why)); }

void SentinelSearch::go_on(Failure why) {
  connection_.reset();
  if (asked_ < url_.hosts.size()) return ask_next();
  std::exchange(listener_, nullptr)->on_no_master(why);
}

}  // namespace ssequel::redis
