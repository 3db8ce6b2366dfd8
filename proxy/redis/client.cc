#include "redis/client.h"

#include <algorithm>
#include <utility>

#include "redis/client_base.h"
#include "redis/tls.h"

namespace ssequel::redis {

Result<net::Owned<Client>> Client::create(net::DeadlineQueue& deadlines, Random& random, ClientOptions options,
                                          ClientListener& listener) {
  if (auto usable = check(options.url); !usable) return tl::unexpected<Error>(usable.error());
  return options.url.kind == Url::Kind::Cluster ? make_cluster_client(deadlines, random, std::move(options), listener)
                                                : make_master_client(deadlines, random, std::move(options), listener);
}

Result<void> Client::check(const Url& url) {
  if (!url.tls) return {};
  auto usable = TlsContext::load(*url.tls);
  if (!usable) return tl::unexpected<Error>(usable.error());
  return {};
}

void Client::send(std::initializer_list<std::string_view> arguments, std::string_view key, OnAnswer on_answer) {
  send(Arguments(arguments.begin(), arguments.size()), key, std::move(on_answer));
}

// --------------------------------------------------------------------------------------------------- ClientBase

ClientBase::ClientBase(net::DeadlineQueue& deadlines, Random& random, ClientOptions options, ClientListener& listener)
    : deadlines_(deadlines),
      loop_(deadlines.loop()),
      random_(random),
      options_(std::move(options)),
      listener_(&listener),
      backoff_(options_.reconnect_min, options_.reconnect_max) {}

void ClientBase::close() noexcept {
  listener_ = nullptr;
  let_go();
  // Not at once: one of our functions may be under way.
  loop_.defer([this] { delete this; });
}

void ClientBase::send(Arguments arguments, std::string_view key, Millis timeout, OnAnswer on_answer) {
  Command command;
  command.bytes = encode(arguments);
  command.on_answer = std::move(on_answer);
  command.due = loop_.now() + timeout;
  if (!key.empty()) command.slot = static_cast<int>(hash_slot(key));
  accept(std::move(command));
}

void ClientBase::send(Arguments arguments, std::string_view key, OnAnswer on_answer) {
  send(arguments, key, options_.command_timeout, std::move(on_answer));
}

void ClientBase::run(const Script& script, Arguments keys, Arguments arguments, OnAnswer on_answer) {
  Command command;
  command.bytes = encode_script(script, keys, arguments);
  command.script = &script;
  command.on_answer = std::move(on_answer);
  command.due = loop_.now() + options_.command_timeout;
  if (!keys.empty()) command.slot = static_cast<int>(hash_slot(keys.front()));
  accept(std::move(command));
}

void ClientBase::accept(Command command) {
  command.counted = command.bytes.size();
  pending_bytes_ += command.counted;
  if (pending_bytes_ > kMaxPendingBytes)
    return refuse(std::move(command), {.trouble = Trouble::Away, .context = "Redis: too much waits for its answer"});
  dispatch(std::move(command));
}

void ClientBase::finish(Command command, Reply reply) {
  if (reply.kind == Reply::Kind::Error) {
    const auto trouble = classify(reply.text);
    // "ERR unknown command 'X', with args beginning with: …": the arguments are nobody's business.
    reply.text.resize(std::min(reply.text.size(), reply.text.find(", with args beginning with")));
    return finish(std::move(command), Failure{.trouble = trouble, .context = std::move(reply.text)});
  }
  pending_bytes_ -= command.counted;
  const auto on_answer = std::move(command.on_answer);
  if (on_answer) on_answer(std::move(reply));
}

void ClientBase::finish(Command command, Failure failure) {
  pending_bytes_ -= command.counted;
  const auto on_answer = std::move(command.on_answer);
  if (on_answer) on_answer(tl::unexpected<Failure>(std::move(failure)));
}

void ClientBase::finish(std::vector<Command> commands, const Failure& failure) {
  for (auto& command : commands) {
    if (is_closed()) return;
    finish(std::move(command), failure);
  }
}

void ClientBase::refuse(Command command, Failure failure) {
  refused_.emplace_back(std::move(command), std::move(failure));
  if (refused_.size() > 1) return;
  loop_.defer([this] { fail_refused(); });
}

void ClientBase::fail_refused() {
  // Who is told may send again, and be refused again: that is the next turn's.
  auto refused = std::exchange(refused_, {});
  for (auto& [command, failure] : refused) {
    if (is_closed()) return;
    finish(std::move(command), std::move(failure));
  }
}

void ClientBase::expire(Waiting& waiting) {
  const auto now = loop_.now();
  std::vector<Command> late;
  std::erase_if(waiting, [&](Command& command) {
    if (command.due > now) return false;
    late.push_back(std::move(command));
    return true;
  });
  finish(std::move(late), {.trouble = Trouble::Away, .context = "Redis: no connection in time"});
}

void ClientBase::tell_up() {
  is_up_ = true;
  is_down_told_ = false;
  listener_->on_up();
}

void ClientBase::tell_down(const Failure& why) {
  is_up_ = false;
  if (std::exchange(is_down_told_, true)) return;
  listener_->on_down(why);
}

ConnectionOptions ClientBase::connection_options(const HostPort& host) const {
  return {.host = host,
          .login = options_.url.login,
          .db = options_.url.db,
          .tls = options_.url.tls,
          .is_master_wanted = false,
          .timeout = options_.connect_timeout};
}

Millis ClientBase::next_wait() {
  const auto now = loop_.now();
  // After some quiet time a failure is the first one again.
  if (now - failed_at_ > 2 * options_.reconnect_max) backoff_.reset();
  failed_at_ = now;
  return backoff_.next(random_);
}

}  // namespace ssequel::redis
