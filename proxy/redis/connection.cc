#include "redis/connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"

namespace ssequel::redis {

std::string to_string(const HostPort& host) {
  if (host.port == 0) return "unix:" + host.host;
  const bool is_ipv6 = host.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host.host + "]" : host.host) + ":" + std::to_string(host.port);
}

Connection::Connection(net::DeadlineQueue& deadlines, ConnectionOptions options, ConnectionOwner& owner)
    : loop_(deadlines.loop()), options_(std::move(options)), owner_(&owner), deadline_(deadlines, *this) {}

net::Owned<Connection> Connection::open(net::DeadlineQueue& deadlines, ConnectionOptions options,
                                        ConnectionOwner& owner) {
  net::Owned<Connection> made(new Connection(deadlines, std::move(options), owner));
  const auto& at = made->options_;
  net::Address address;
  if (at.host.port == 0) {
    address = {.kind = net::Address::Kind::Unix, .host = {}, .port = 0, .path = at.host.host};
  } else {
    address = {.kind = net::Address::Kind::Tcp, .host = at.host.host, .port = at.host.port, .path = {}};
  }
  made->deadline_.set(at.timeout);
  made->connect_ = net::Connect::start(deadlines, address, at.timeout, *made);
  return made;
}

void Connection::close() noexcept {
  owner_ = nullptr;
  deadline_.cancel();
  connect_.reset();
  stream_.reset();
  // Not at once: one of our functions, or a deferred flush, may be under way.
  loop_.defer([this] { delete this; });
}

// -------------------------------------------------------------------------------------------------- getting there

void Connection::on_connected(net::Owned<net::Stream> stream) {
  connect_.reset();
  stream_ = std::move(stream);
  stream_->set_listener(*this);
  stream_->start_reading();
  if (!options_.tls) return log_in();
  // Read anew each time: certificates are renewed while we run.
  auto context = TlsContext::load(*options_.tls);
  if (!context) return lose(Trouble::Denied, context.error().context);
  tls_.emplace(*context, options_.tls->name.empty() ? options_.host.host : options_.tls->name);
  state_ = State::Securing;
  secure({});
}

void Connection::on_connect_failed(const Error& error) {
  connect_.reset();
  lose(Trouble::Away, error.context);
}

void Connection::secure(std::string_view from_peer) {
  std::string plain;
  const auto fed = tls_->feed(from_peer, plain);
  if (const auto out = tls_->output(); !out.empty()) stream_->write(out);
  if (state_ == State::Securing && tls_->is_established()) log_in();
  if (!plain.empty() && is_open()) on_plain(plain);
  if (!fed && is_open())
    lose(fed.error().code == ErrorCode::Denied ? Trouble::Denied : Trouble::Away, fed.error().context);
}

void Connection::log_in() {
  state_ = State::LoggingIn;
  // AUTH and not HELLO: servers before 6.0 do not know that, and RESP2 is what we speak.
  const auto step = [this](Step which, std::initializer_list<std::string_view> arguments) {
    steps_.push_back(which);
    post(encode({arguments.begin(), arguments.size()}));
  };
  if (const auto& login = options_.login) {
    if (login->user.empty()) {
      step(Step::Auth, {"AUTH", login->password});
    } else {
      step(Step::Auth, {"AUTH", login->user, login->password});
    }
  }
  if (options_.db != 0) step(Step::Select, {"SELECT", std::to_string(options_.db)});
  if (options_.is_master_wanted) step(Step::Role, {"ROLE"});
  step(Step::Ping, {"PING"});
}

void Connection::on_step(Step step, const Reply& reply) {
  const bool is_error = reply.kind == Reply::Kind::Error;
  const auto trouble = is_error ? classify(reply.text) : Trouble::Other;
  // Who may not ask has learnt enough: the server is there, and what it refuses later will show.
  const bool is_optional = step == Step::Role || step == Step::Ping;
  if (is_error && !(is_optional && reply.text.starts_with("NOPERM"))) {
    // A server without a password refuses AUTH with ERR; an unknown database is the operator's to mend, too.
    return lose(trouble == Trouble::Other ? Trouble::Denied : trouble, reply.text);
  }
  if (step == Step::Role && !is_error) {
    const bool is_master = !reply.elements.empty() && reply.elements.front().text == "master";
    if (!is_master) return lose(Trouble::ReadOnly, "it is no master");
  }
  if (!steps_.empty()) return;
  state_ = State::Ready;
  deadline_.cancel();
  owner_->on_ready(*this);
}

// ------------------------------------------------------------------------------------------------------- commands

void Connection::send(Command command) {
  SSEQUEL_ASSERT(is_ready(), "commands are for connections that are ready");
  // The first time as a whole: a NOSCRIPT for it would put it behind what is sent meanwhile.
  if (command.script != nullptr && std::find(known_.begin(), known_.end(), command.script) == known_.end()) {
    known_.push_back(command.script);
    spell_out(command);
  }
  if (std::exchange(command.is_asking, false)) {
    static constexpr std::array<std::string_view, 1> kAsking{"ASKING"};
    Command asking;
    asking.bytes = encode(kAsking);
    asking.due = command.due;
    send(std::move(asking));
  }
  post(command.bytes);
  commands_.push_back(std::move(command));
  if (commands_.size() == 1) watch();
}

void Connection::post(std::string_view bytes) {
  out_.append(bytes);
  if (std::exchange(is_flush_deferred_, true)) return;
  loop_.defer([this] {
    is_flush_deferred_ = false;
    flush();
  });
}

void Connection::flush() {
  if (!is_open() || out_.empty()) return;
  if (!tls_) {
    stream_->write(out_);
  } else if (auto written = tls_->write(out_); written) {
    stream_->write(tls_->output());
  } else {
    return lose(Trouble::Away, written.error().context);
  }
  constexpr std::size_t kKept = 256 * 1024;
  if (out_.capacity() > kKept) out_.shrink_to_fit();
  out_.clear();
}

void Connection::watch() {
  if (commands_.empty()) return deadline_.cancel();
  deadline_.set(std::max(commands_.front().due - loop_.now(), Millis(0)));
}

void Connection::on_read(std::string_view bytes) {
  if (tls_) return secure(bytes);
  on_plain(bytes);
}

void Connection::on_plain(std::string_view bytes) {
  if (auto fed = reader_.feed(bytes); !fed) return lose(Trouble::Away, fed.error().context);
  while (is_open()) {
    auto reply = reader_.next();
    if (!reply) return lose(Trouble::Away, reply.error().context);
    if (!*reply) return;
    on_reply(std::move(**reply));
  }
}

void Connection::on_reply(Reply reply) {
  if (!steps_.empty()) {
    const auto step = steps_.front();
    steps_.pop_front();
    return on_step(step, reply);
  }
  if (commands_.empty()) return lose(Trouble::Away, "an answer that nobody asked for: " + reply.text);
  auto command = std::move(commands_.front());
  commands_.pop_front();
  watch();
  owner_->on_answer(*this, std::move(command), std::move(reply));
}

// ---------------------------------------------------------------------------------------------------------- losing

void Connection::on_eof() { lose(Trouble::Away, "the connection was closed"); }

void Connection::on_broken(const Error& error) { lose(Trouble::Away, error.context); }

void Connection::on_deadline(net::Deadline&) {
  lose(Trouble::Away, state_ == State::Ready ? "no answer in time" : "no connection in time");
}

void Connection::lose(Trouble trouble, std::string_view what) {
  if (!is_open()) return;
  const bool may_have_run = state_ == State::Ready;
  state_ = State::Lost;
  deadline_.cancel();
  connect_.reset();
  stream_.reset();
  std::vector<Command> unanswered(std::make_move_iterator(commands_.begin()), std::make_move_iterator(commands_.end()));
  commands_.clear();
  owner_->on_lost(*this,
                  {.trouble = trouble,
                   .context = "Redis at " + to_string(options_.host) + ": " + std::string(what),
                   .may_have_run = may_have_run},
                  std::move(unanswered));
}

}  // namespace ssequel::redis
