#include "nodes/node_journal.h"

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

using replay::Watch;

// How long a client waits while it is found out whether an id is above all that was given.
constexpr Millis kWishPatience{1500};
// Keys that nobody renews go: what is in them is of use for as long as the window says, but not less than this.
constexpr Millis kLeastKept = std::chrono::minutes(5);
constexpr Millis kMostKept = std::chrono::hours(24);

}  // namespace

NodeJournal::NodeJournal(Door& door, Joined joined, bool is_new)
    : door_(door),
      joined_(std::move(joined)),
      retry_(door.deadlines(), *this),
      remake_(door.deadlines(), *this),
      wish_(door.deadlines(), *this),
      is_new_(is_new),
      serial_(door.house().serial()),
      told_last_id_(joined_.last_id),
      committed_last_id_(joined_.last_id) {
  door_.add(*this);
  if (!is_new_) return;
  fence_.assign(1, '1');  // Not = "1", in which GCC 12 sees an overlap that is none.
  renewed_at_ = door_.now();
  set_leading(true);
}

NodeJournal::~NodeJournal() {
  *alive_ = false;
  if (!wishes_.empty()) {
    door_.deadlines().loop().defer([wishes = std::move(wishes_)] {
      for (const auto& done : wishes) done(false);
    });
  }
  if (is_following_tail_) door_.tail(joined_.names.slot).leave(joined_.names.log);
  if (!is_new_ && (watch_ != Watch::None || is_leading_ || is_granted_)) send_release(true, "0");
  set_leading(false);
  door_.remove(*this);
}

redis::Client::OnAnswer NodeJournal::guarded(void (NodeJournal::*then)(const redis::Answer&)) {
  return [this, alive = alive_, then](const redis::Answer& answer) {
    if (*alive) (this->*then)(answer);
  };
}

replay::Place NodeJournal::place() const { return joined_.log->published(); }

std::string NodeJournal::keep() const {
  return std::to_string(
      static_cast<std::uint64_t>(std::clamp(joined_.log->bounds().age, kLeastKept, kMostKept).count()));
}

std::string NodeJournal::now_ms() const { return std::to_string(door_.house().clock().unix_micros() / 1000); }

void NodeJournal::set_leading(bool is_leading) {
  if (is_leading_ == is_leading) return;
  is_leading_ = is_leading;
  door_.house().count_leading(is_leading ? 1 : -1);
}

// ---------------------------------------------------------------------------------------------------- the channel

void NodeJournal::set_nodes_listener(replay::NodesListener& listener) {
  nodes_listener_ = &listener;
  review_tail();
  if (!door_.is_up()) {
    // Not from inside this call.
    door_.deadlines().loop().defer([this, alive = alive_] {
      if (*alive && !door_.is_up()) on_down({ErrorCode::PeerGone, "Redis is away"});
    });
  }
  if (is_new_) door_.flush_later(*this);
}

void NodeJournal::watch(Watch watch) {
  if (watch == watch_) return;
  watch_ = watch;
  if (!is_leading_) door_.pulse_later(*this);
}

void NodeJournal::set_foremost(replay::Place place) {
  foremost_ = std::max(place, foremost_);
  if (is_leading_) return;
  // A leader that nobody reads from on its own node goes by what the others say.
  const auto& bounds = joined_.log->bounds();
  const auto step = bounds.events == 0 ? 250 : std::max<std::uint64_t>(1, bounds.events / 8);
  if (foremost_ - told_foremost_ >= step ||
      joined_.log->position(foremost_) - joined_.log->position(told_foremost_) >= bounds.bytes / 16) {
    door_.pulse_later(*this);
  }
}

void NodeJournal::release(bool tired) {
  if (tired) tired_until_ = door_.now() + door_.house().options().lease;
  is_release_due_ = true;
  door_.flush_later(*this);
}

void NodeJournal::refuse(bool for_all) {
  refusal_ = for_all ? "2" : "1";
  is_release_due_ = true;
  door_.flush_later(*this);
}

void NodeJournal::stand_down() {
  if (watch_ != Watch::None) door_.pulse_later(*this);
}

// ------------------------------------------------------------------------------------------------------ catching up

void NodeJournal::catch_up(std::function<void(bool)> done) {
  wishes_.push_back(std::move(done));
  // Where an answer is to come already, it may be older than this wish: it is asked again then.
  wished_.reset();
  wish_.set(kWishPatience);
  ++looks_;
  door_.client().send({"HMGET", joined_.names.meta, "next", "inc", "from"}, joined_.names.meta,
                      guarded(&NodeJournal::on_looked));
}

void NodeJournal::on_looked(const redis::Answer& answer) {
  if (--looks_ != 0 || wishes_.empty()) return;  // A later one counts.
  const auto place_in = [&](std::size_t i) -> std::optional<replay::Place> {
    const auto& text = answer->elements[i].text;
    const auto number = replay::parse_number(text, replay::Spelling::Decimal);
    return number || text == "0" ? std::optional(static_cast<replay::Place>(number.value_or(0))) : std::nullopt;
  };
  const auto next = answer && answer->elements.size() == 3 ? place_in(0) : std::nullopt;
  if (!next) return end_wishes(false);
  if (!is_leading_ && !is_granted_) {
    // Where nobody reads, no pulse has told that the log goes on without what was lost.
    const auto alive = alive_;
    check_incarnation(answer->elements[1].text, place_in(2).value_or(0));
    if (!*alive) return;
    if (is_diverged_) return end_wishes(false);
  }
  wished_ = *next;
  review_wishes();
}

void NodeJournal::review_wishes() {
  if (!wished_ || wishes_.empty() || place() < *wished_) return;
  wished_.reset();
  // In a turn of its own: the channel may be at work.
  door_.deadlines().loop().defer([this, alive = alive_] {
    if (*alive && looks_ == 0) end_wishes(true);
  });
}

void NodeJournal::end_wishes(bool is_good) {
  wish_.cancel();
  wished_.reset();
  const auto alive = alive_;
  for (const auto& done : std::exchange(wishes_, {})) {
    done(is_good);
    if (!*alive) return;
  }
}

}  // namespace ssequel::nodes
