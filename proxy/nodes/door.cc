#include "nodes/door.h"

#include <algorithm>
#include <array>
#include <utility>

#include "nodes/join.h"
#include "nodes/node_journal.h"
#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

// Logs whose pulse is one script's: Redis does nothing else meanwhile.
constexpr std::size_t kPulsesAtOnce = 64;

}  // namespace

Door::Door(NodeStore& house, net::DeadlineQueue& deadlines)
    : house_(house), deadlines_(deadlines), tick_(deadlines, *this) {
  auto client = redis::Client::create(deadlines, house.random(), client_options(), *this);
  // NodeStore::open() looked at all that can be wrong with it.
  if (client) client_ = std::move(*client);
  tick_.set(house.options().lease / 24);
}

Door::~Door() {
  *alive_ = false;
  if (client_) client_->flush();
  house_.set_state(this, {});
}

redis::ClientOptions Door::client_options() const {
  redis::ClientOptions options{.url = house_.url()};
  options.connect_timeout = house_.options().lease;
  options.command_timeout = std::max(house_.options().lease * 2 / 5, Millis(100));
  return options;
}

// ----------------------------------------------------------------------------------------------------------- logs

std::unique_ptr<replay::Journal> Door::open(const replay::LogRecord& record,
                                            std::shared_ptr<const replay::ReplayLog> log) {
  Joined joined;
  joined.names = names_of(house_.options().prefix, record);
  joined.record = record;
  joined.log = std::const_pointer_cast<replay::ReplayLog>(std::move(log));
  return std::make_unique<NodeJournal>(*this, std::move(joined), true);
}

std::unique_ptr<replay::Journal> Door::adopt(const replay::SavedLog& saved) {
  auto joined = joined_.extract(saved.handle);
  return std::make_unique<NodeJournal>(*this, std::move(*joined.mapped()), false);
}

void Door::join(const replay::LogRecord& proposal, const replay::Bounds& bounds, Encode encode, OnJoined done) {
  begin(std::make_unique<Join>(*this, names_of(house_.options().prefix, proposal), proposal, bounds, std::move(encode),
                               false, std::move(done)));
}

void Door::find(const std::string& route, const std::string& tag, const replay::Bounds& bounds, OnJoined done) {
  replay::LogRecord wanted;
  wanted.key = tag;
  wanted.route = route;
  begin(std::make_unique<Join>(*this, names_of_session(house_.options().prefix, route, tag), wanted, bounds, Encode(),
                               true, std::move(done)));
}

void Door::begin(std::unique_ptr<Join> join) {
  auto& begun = *join;
  joins_.emplace(&begun, std::move(join));
  begun.start();
}

void Door::end(Join& join) {
  const auto at = joins_.find(&join);
  if (at == joins_.end()) return;
  deadlines_.loop().defer([dead = std::shared_ptr<Join>(std::move(at->second))] {});
  joins_.erase(at);
}

std::uint64_t Door::keep_joined(Joined joined) {
  joined_.emplace(next_handle_, std::make_unique<Joined>(std::move(joined)));
  return next_handle_++;
}

void Door::abandon(const replay::SavedLog& saved) { joined_.erase(saved.handle); }

void Door::add(NodeJournal& journal) { journals_[journal.names().log] = &journal; }

void Door::remove(NodeJournal& journal) {
  dirty_.erase(&journal);
  due_.erase(&journal);
  const auto at = journals_.find(journal.names().log);
  if (at != journals_.end() && at->second == &journal) journals_.erase(at);
}

Tail& Door::tail(unsigned slot) {
  // One connection follows all, but a cluster's node knows its own slots only.
  const unsigned lane = house_.url().kind == redis::Url::Kind::Cluster ? slot : 0;
  auto& tail = tails_[lane];
  if (!tail) {
    tail = std::make_unique<Tail>(deadlines_, house_.random(), client_options(),
                                  wake_key(house_.options().prefix, lane, house_.name()), *client_);
  }
  return *tail;
}

// ----------------------------------------------------------------------------------------------------------- turns

void Door::flush_later(NodeJournal& journal) {
  dirty_.insert(&journal);
  schedule();
}

void Door::pulse_later(NodeJournal& journal) {
  due_.insert(&journal);
  schedule();
}

void Door::schedule() {
  if (std::exchange(is_scheduled_, true)) return;
  deadlines_.loop().defer([this, alive = alive_] {
    if (*alive) end_of_turn();
  });
}

void Door::end_of_turn() {
  is_scheduled_ = false;
  while (!dirty_.empty()) {
    auto* journal = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    journal->flush();
  }
  send_pulses();
}

void Door::on_deadline(net::Deadline&) {
  tick_.set(house_.options().lease / 24);
  const Millis time = now();
  std::vector<std::pair<NodeJournal*, std::shared_ptr<bool>>> all;
  all.reserve(journals_.size());
  for (const auto& [key, journal] : journals_) all.emplace_back(journal, journal->alive());
  for (const auto& [journal, alive] : all) {
    if (*alive) journal->check_lease(time);
    if (*alive && journal->is_pulse_due(time)) due_.insert(journal);
  }
  if (!due_.empty()) send_pulses();
  ask_wanted();
}

void Door::send_pulses() {
  if (due_.empty()) return;
  if (!is_up()) return due_.clear();  // on_up() has them all.
  std::map<unsigned, std::vector<NodeJournal*>> by_slot;
  for (auto* journal : std::exchange(due_, {})) {
    if (journal->wants_pulse()) by_slot[journal->names().slot].push_back(journal);
  }
  for (const auto& [slot, journals] : by_slot) {
    for (std::size_t i = 0; i < journals.size(); i += kPulsesAtOnce) {
      const auto from = journals.begin() + static_cast<std::ptrdiff_t>(i);
      const auto to = journals.begin() + static_cast<std::ptrdiff_t>(std::min(journals.size(), i + kPulsesAtOnce));
      send_pulses(std::vector<NodeJournal*>(from, to));
    }
  }
}

void Door::send_pulses(const std::vector<NodeJournal*>& journals) {
  std::vector<std::string_view> keys;
  std::vector<std::string> words = {house_.name(), std::to_string(term().count())};
  std::vector<std::pair<NodeJournal*, std::shared_ptr<bool>>> asked;
  for (auto* journal : journals) {
    const auto& names = journal->names();
    keys.insert(keys.end(), {names.meta, names.log, names.nodes});
    journal->add_pulse(words);
    asked.emplace_back(journal, journal->alive());
  }
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  client_->run(pulse_script(), keys, arguments,
               [this, alive = alive_, asked = std::move(asked), at = now()](const redis::Answer& answer) {
                 if (!*alive) return;
                 const auto pulses = answer ? pulses_of(*answer, asked.size()) : std::nullopt;
                 if (!answer) {
                   house_.count_error();
                   if (answer.error().trouble != redis::Trouble::Away) stand(answer.error().context);
                   is_pulse_refused_ = true;
                 } else if (std::exchange(is_pulse_refused_, false)) {
                   stand({});
                 }
                 for (std::size_t i = 0; i < asked.size(); ++i) {
                   const auto& [journal, lives] = asked[i];
                   if (!*lives) continue;
                   if (pulses) {
                     journal->on_pulse((*pulses)[i], at);
                   } else {
                     journal->on_pulse_failed();
                   }
                 }
               });
}

void Door::set_on_wanted(OnWanted on_wanted) { on_wanted_ = std::move(on_wanted); }

void Door::ask_wanted() {
  if (!on_wanted_ || !is_up() || is_standing_down_ || now() < wanted_at_) return;
  wanted_at_ = now() + beat();
  std::vector<std::string> words = {std::to_string(term().count())};
  for (const auto& [key, journal] : journals_) {
    const auto& record = journal->record();
    if (!journal->is_wanted()) continue;
    words.push_back(key);
    words.push_back(record.route + "\n" + record.target + "\n" + record.host);
  }
  const std::string key = house_.options().prefix + ":wanted";
  const std::array<std::string_view, 1> keys{key};
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  client_->run(wanted_script(), keys, arguments, [this, alive = alive_](const redis::Answer& answer) {
    if (*alive) on_wanted(answer);
  });
}

void Door::on_wanted(const redis::Answer& answer) {
  if (!answer) return;  // Whatever it was is told elsewhere.
  std::vector<replay::WantedLog> all;
  for (std::size_t i = 1; i < answer->elements.size(); ++i) {
    const std::string_view text = answer->elements[i].text;
    const auto first = text.find('\n');
    const auto second = first == text.npos ? text.npos : text.find('\n', first + 1);
    if (second == text.npos) continue;
    all.push_back({.route = std::string(text.substr(0, first)),
                   .target = std::string(text.substr(first + 1, second - first - 1)),
                   .host = std::string(text.substr(second + 1))});
  }
  on_wanted_(all);
}

void Door::stand_down() {
  is_standing_down_ = true;
  for (const auto& [key, journal] : journals_) journal->stand_down();
}

// ----------------------------------------------------------------------------------------------------------- Redis

void Door::stand(const std::string& why) {
  if (why.empty() && !is_up()) return;
  house_.set_state(this, why);
}

void Door::on_up() {
  house_.set_state(this, {});
  if (house_.claims_review()) review();
  std::vector<std::pair<NodeJournal*, std::shared_ptr<bool>>> all;
  for (const auto& [key, journal] : journals_) all.emplace_back(journal, journal->alive());
  for (const auto& [journal, alive] : all) {
    if (*alive) journal->on_up();
  }
  std::vector<Join*> joins;
  for (const auto& [key, join] : joins_) joins.push_back(key);
  for (auto* join : joins) {
    if (joins_.contains(join)) join->on_up();
  }
  for (const auto& [journal, alive] : all) {
    if (*alive && journal->is_pulse_due(now())) due_.insert(journal);
  }
  send_pulses();
}

void Door::on_down(const redis::Failure& why) {
  house_.set_state(this, why.context);
  house_.count_error();
  const Error error{ErrorCode::PeerGone, why.context};
  std::vector<std::pair<NodeJournal*, std::shared_ptr<bool>>> all;
  for (const auto& [key, journal] : journals_) all.emplace_back(journal, journal->alive());
  for (const auto& [journal, alive] : all) {
    if (*alive) journal->on_down(error);
  }
}

void Door::review() {
  const auto look = [this](const char* setting, auto warn) {
    client_->send({"CONFIG", "GET", setting}, {}, [this, alive = alive_, setting, warn](const redis::Answer& answer) {
      if (!*alive) return;
      if (!answer || answer->elements.size() < 2) {
        house_.logger().info("Redis does not tell this setting: see for yourself that it loses no data",
                             {{"setting", setting}});
        return;
      }
      warn(answer->elements[1].text);
    });
  };
  look("appendonly", [this](const std::string& value) {
    if (value != "no") return;
    house_.logger().warn(
        "Redis keeps no append-only file: what it loses at a restart is told to clients as a store-gap; "
        "set appendonly yes",
        {});
  });
  look("maxmemory-policy", [this](const std::string& value) {
    if (!value.starts_with("allkeys") && !value.starts_with("volatile")) return;
    // Keys here have an expiry: volatile policies take them, too.
    house_.logger().warn(
        "Redis may evict the store's keys when its memory is full, and clients then lose events; set "
        "maxmemory-policy noeviction",
        {{"maxmemory-policy", value}});
  });
  client_->send({"INFO", "server"}, {}, [this, alive = alive_](const redis::Answer& answer) {
    if (!*alive) return;
    if (!answer) {
      house_.logger().warn(
          "Redis refuses INFO: where it loses entries together with the node that wrote them, nobody notices; allow "
          "this user the command",
          {});
      return;
    }
    const auto at = answer->text.find("redis_version:");
    const auto version = at == std::string::npos ? std::string() : answer->text.substr(at + 14, 8);
    const bool is_old = version.starts_with("2.") || version.starts_with("3.") || version.starts_with("4.") ||
                        version.starts_with("5.") || version.starts_with("6.0");
    if (is_old)
      house_.logger().error("this Redis is too old for the store, which needs 6.2", {{"redis_version", version}});
  });
}

}  // namespace ssequel::nodes
