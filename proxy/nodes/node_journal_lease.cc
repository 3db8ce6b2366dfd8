// The Redis journal: its keys, its pulse, the lease and the incarnation.
#include <algorithm>
#include <array>

#include "nodes/node_journal.h"
#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

using replay::Watch;

constexpr Millis kRemakeLater{500};

}  // namespace

void NodeJournal::make() {
  if (is_making_ || !door_.is_up()) return;
  is_making_ = true;
  const auto& names = joined_.names;
  const std::array<std::string_view, 4> keys{names.meta, names.log, names.nodes, names.given};
  const auto lease =
      writes_alone() ? std::to_string(static_cast<std::uint64_t>(door_.term().count())) : std::string("0");
  const auto at = is_new_ ? std::string("0") : std::to_string(place());
  auto fields = fields_of(joined_.record);
  std::string gap;
  if (!is_new_) {
    auto newest = joined_.log->has_begun() ? joined_.log->newest_number() : replay::Number{0};
    if (gives_places()) {
      newest = std::max<replay::Number>(newest, static_cast<std::uint64_t>(door_.house().clock().unix_micros()));
      gap = nodes_listener_->store_gap_lines();
    }
    std::string number;
    replay::append_number(number, joined_.record.form.spelling, newest);
    fields.insert(fields.end(), {{"number", number}, {"last_id", joined_.last_id}, {"head", joined_.head}});
  }
  const auto keep_for = keep(), at_ms = now_ms();
  std::vector<std::string_view> words = {door_.house().name(), keep_for, "",  "",   at,
                                         is_new_ ? "0" : "1",  lease,    gap, at_ms};
  for (const auto& [name, value] : fields) words.insert(words.end(), {name, value});
  door_.client().run(join_script(), keys, words, guarded(&NodeJournal::on_made));
}

void NodeJournal::on_made(const redis::Answer& answer) {
  is_making_ = false;
  if (!answer) return fail(answer.error());
  const auto alive = alive_;
  const auto meta = hash_of(*answer, 1);
  const auto from = replay::parse_number(get(meta, "from"), replay::Spelling::Decimal);
  if (is_new_) {
    is_new_ = false;
    joined_.incarnation = get(meta, "inc");
    // The name is random: nobody else can have made it.
    set_writer(batch_.words, joined_.incarnation, fence_);
    renewed_at_ = door_.now();
    pulse_at_ = door_.now() + door_.beat();
    flush();
    listener_->on_committed(place());
    return;
  }
  if (word_of(*answer) == "made") tell_loss();
  if (writes_alone() && word_of(*answer) == "made") {
    fence_.assign(1, '1');
    return go_on_alone(std::string(get(meta, "inc")));
  }
  set_stalled(std::nullopt);
  if (!*alive) return;
  if (writes_alone()) {  // Another node was first: a pulse says whether it goes on here.
    if (!flying_.empty()) retry_.set(kRetry);
    return door_.pulse_later(*this);
  }
  check_incarnation(std::string(get(meta, "inc")), static_cast<replay::Place>(from.value_or(0)));
  if (!*alive || is_diverged_) return;
  door_.pulse_later(*this);
  if (!gives_places()) return;
  if (!flying_.empty()) send();
}

bool NodeJournal::is_pulse_due(Millis now) const {
  if (is_new_ || is_pulsing_ || is_diverged_ || !nodes_listener_) return false;
  // A session that has ended is nobody's to lead.
  const bool is_at_work = watch_ != Watch::None || is_granted_ || (is_leading_ && !joined_.record.is_session);
  return is_at_work && now >= pulse_at_;
}

char NodeJournal::watch_digit() const {
  const bool may_lead = !gives_places() && !door_.is_standing_down() && door_.now() >= tired_until_;
  switch (watch_) {
    case Watch::None:
      return is_leading_ ? '3' : '0';
    case Watch::Keeps:
      return gives_places() ? '0' : '3';
    case Watch::Reads:
      if (!may_lead) return '2';
      return joined_.record.is_session && !is_leading_ ? '4' : '1';
  }
  return '0';
}

void NodeJournal::add_pulse(std::vector<std::string>& words) {
  is_pulsing_ = true;
  is_pulse_wanted_ = false;
  told_foremost_ = foremost_;
  asked_place_ = place();
  words.emplace_back(1, watch_digit());
  words.push_back(std::to_string(foremost_));
  words.push_back(is_leading_ || is_granted_ ? fence_ : std::string("none"));
  words.push_back(std::to_string(place()));
  words.push_back(joined_.incarnation);
  words.push_back(keep());
}

bool NodeJournal::wants_pulse() {
  if (is_new_ || is_diverged_ || !nodes_listener_) return false;
  if (!is_pulsing_) return true;
  is_pulse_wanted_ = true;
  return false;
}

void NodeJournal::on_pulse_failed() {
  is_pulsing_ = false;
  pulse_at_ = door_.now() + door_.beat() / 2;
}

void NodeJournal::check_lease(Millis now) {
  // As long again as the lease: a Redis that is soon back finds all as it was.
  const bool is_over = now - renewed_at_ > 2 * door_.house().options().lease;
  if (is_over && (is_leading_ || is_granted_) && !joined_.record.is_session) lose_lease();
}

void NodeJournal::on_pulse(const Pulse& pulse, Millis asked_at) {
  is_pulsing_ = false;
  const Millis now = door_.now();
  pulse_at_ = now + door_.beat();
  // So that a lease which runs out is taken at once.
  if (pulse.word == Pulse::Word::Follow) pulse_at_ = std::min(pulse_at_, now + pulse.remaining + Millis(5));
  const bool is_progress = pulse.foremost && (!foremost_elsewhere_ || *pulse.foremost > *foremost_elsewhere_);
  foremost_elsewhere_ = pulse.foremost;
  const auto alive = alive_;
  switch (pulse.word) {
    case Pulse::Word::Gone:
      if (is_leading_ || is_granted_) {
        if (!writes_alone()) lose_lease();
        remake_.set(Millis(1));
      } else if (!remake_.is_set()) {
        // The leader knows best what there was; of a session nobody else does.
        remake_.set(joined_.record.is_session ? 2 * door_.term() : kRemakeLater);
      }
      return;
    case Pulse::Word::Lead:
      if ((is_leading_ || is_granted_) && fence_ == pulse.fence &&
          (pulse.incarnation == joined_.incarnation || pulse.incarnation == ahead_.incarnation)) {
        renewed_at_ = asked_at;
        if (!pulse.is_same_run) restate();
        if (pulse.is_wanted && watch_ == Watch::Keeps) nodes_listener_->on_wanted_elsewhere();
      } else if (writes_alone() && (!pulse.has_lost || pulse.next > place())) {
        // Somebody else has taken it for lost, and said so: with the first entry behind a loss that loss is told.
        lose_lease();
        if (!*alive) return;
        check_incarnation(pulse.incarnation, pulse.from);
        if (!*alive || is_diverged_) return;
      } else if (writes_alone()) {
        // Redis has less than it told: what is missing there is here, and nobody else gives these places.
        renewed_at_ = asked_at;
        fence_ = pulse.fence;
        tell_loss();
        go_on_alone(pulse.incarnation);
      } else if (fence_ != pulse.fence || is_leading_ || is_granted_) {  // Else it was given up meanwhile.
        if (is_leading_ || is_granted_) lose_lease();
        renewed_at_ = asked_at;
        on_granted(pulse);
      }
      break;
    case Pulse::Word::Follow:
    case Pulse::Word::Free:
    case Pulse::Word::Final:
      if (is_leading_ || is_granted_) lose_lease();
      if (!*alive) return;
      check_incarnation(pulse.incarnation, pulse.from);
      if (!*alive || is_diverged_) return;
      if (gives_places() && (!pulse.is_same_run || asked_place_ > pulse.next)) renew();
      if (pulse.word == Pulse::Word::Free && !gives_places()) nodes_listener_->on_leader_away();
      break;
  }
  if (!*alive) return;
  if (is_progress) nodes_listener_->on_others_progress();
  if (!*alive) return;
  if (is_pulse_wanted_ || foremost_ > told_foremost_ + 1000) door_.pulse_later(*this);
}

// The server is another one than before: of what this node said last, it has every entry, but it may have lost what
// stands behind the newest one.
void NodeJournal::restate() {
  if (!is_leading_) return;
  if (joined_.log->has_begun()) begin(joined_.record.first_number);
  if (joined_.head.empty()) return;
  if (is_open_) {
    set_head(std::string(joined_.head));
  } else {
    set_away();
  }
}

void NodeJournal::go_on_alone(const std::string& incarnation) {
  joined_.incarnation = incarnation;
  ahead_ = {};
  // What is under way went out under the token before, and was refused: its answer says nothing any more.
  ++batches_;
  is_flying_ = false;
  retry_.cancel();
  for (auto* batch : {&batch_, &flying_}) set_writer(batch->words, incarnation, fence_);
  if (!flying_.empty()) {
    send();
  } else {
    door_.flush_later(*this);
  }
}

void NodeJournal::lose_lease() {
  is_flying_ = is_release_due_ = false;
  refusal_ = "0";
  batch_ = {};
  flying_ = {};
  if (std::exchange(is_granted_, false)) return review_tail();
  if (!is_leading_) return;
  set_leading(false);
  told_last_id_ = committed_last_id_;
  review_tail();
  nodes_listener_->on_following(committed_last_id_);
}

void NodeJournal::on_granted(const Pulse& pulse) {
  fence_ = pulse.fence;
  const auto alive = alive_;
  check_incarnation(pulse.incarnation, pulse.from);
  if (!*alive || is_diverged_) return;
  has_lost_ = pulse.has_lost;
  is_granted_ = true;
  caught_up_at_ = pulse.next;
  batches_ = 0;
  fetch();
}

void NodeJournal::fetch() {
  if (!is_granted_ || is_fetching_) return;
  if (place() < caught_up_at_) {
    is_fetching_ = true;
    const auto from = "(" + to_string(joined_.position);
    door_.client().send({"XRANGE", joined_.names.log, from, "+", "COUNT", "256"}, joined_.names.log,
                        guarded(&NodeJournal::on_fetched));
    return;
  }
  if (!ahead_.incarnation.empty() && place() != ahead_.from) {
    return diverge("a log in Redis does not go on where this node is: its readers begin anew");
  }
  if (!ahead_.incarnation.empty()) change_incarnation(std::string(ahead_.incarnation));
  is_granted_ = false;
  set_leading(true);
  told_last_id_ = committed_last_id_ = joined_.last_id;
  is_loss_untold_ = has_lost_;
  if (has_lost_) tell_loss();
  review_tail();
  nodes_listener_->on_leading(has_lost_);
}

void NodeJournal::on_fetched(const redis::Answer& answer) {
  is_fetching_ = false;
  if (!is_granted_) return;
  if (!answer) return retry_.set(kRetry);
  const auto before = joined_.position;
  const auto alive = alive_;
  take(*answer);
  if (!*alive || is_diverged_) return;
  if (joined_.position == before && place() < caught_up_at_) {
    // What should be there is not: it was trimmed, or never was.
    is_diverged_ = true;
    nodes_listener_->on_diverged();
    return;
  }
  fetch();
}

void NodeJournal::renew() {
  if (std::exchange(is_renewing_, true)) return;
  const auto at = std::to_string(place());
  const auto micros =
      std::to_string(static_cast<std::uint64_t>(std::max<std::int64_t>(0, door_.house().clock().unix_micros())));
  const auto gap = nodes_listener_->store_gap_lines(), at_ms = now_ms();
  const std::array<std::string_view, 2> keys{joined_.names.meta, joined_.names.log};
  const std::array<std::string_view, 6> words{joined_.incarnation, at, micros, door_.house().name(), at_ms, gap};
  door_.client().run(renew_script(), keys, words, guarded(&NodeJournal::on_renewed));
}

void NodeJournal::on_renewed(const redis::Answer& answer) {
  is_renewing_ = false;
  if (!answer) return fail(answer.error());
  if (word_of(*answer) == "gone" || answer->elements.size() != 3) {
    remake_.set(Millis(1));
    return;
  }
  if (word_of(*answer) == "renewed") tell_loss();
  const auto from = replay::parse_number(answer->elements[2].text, replay::Spelling::Decimal);
  const auto alive = alive_;
  set_stalled(std::nullopt);
  if (!*alive) return;
  check_incarnation(answer->elements[1].text, static_cast<replay::Place>(from.value_or(0)));
  if (!*alive || is_diverged_) return;
  if (!flying_.empty() && !is_flying_) send();
}

void NodeJournal::check_incarnation(const std::string& incarnation, replay::Place from) {
  const bool was_stopped = std::exchange(is_stopped_, false);
  if (incarnation == joined_.incarnation) {
    ahead_ = {};
    if (!was_stopped) return review_tail();
    // It stands in front of an entry of none that Redis knows of yet: not asked again without a pause.
    is_stopped_ = true;
    pulse_at_ = door_.now() + door_.beat() / 4;
    return;
  }
  // It has entries that the log, as it goes on, has not: whoever read them is told by what he gets anew.
  if (place() > from) return diverge("a log in Redis lost entries that this node has sent: its readers begin anew");
  if (place() == from) return change_incarnation(incarnation);
  // It changed more than once since: whether what this node has is all in it cannot be told.
  if (was_stopped && ahead_.incarnation == incarnation)
    return diverge("a log in Redis changed twice behind this node: its readers begin anew");
  ahead_ = {incarnation, from};
  review_tail();
}

void NodeJournal::change_incarnation(const std::string& incarnation) {
  joined_.incarnation = incarnation;
  ahead_ = {};
  // What was handed in and not committed goes on in the new one.
  for (auto* batch : {&batch_, &flying_}) set_writer(batch->words, incarnation, fence_);
  review_tail();
}

void NodeJournal::diverge(const char* why) {
  is_diverged_ = true;
  door_.house().logger().warn(why, {{"route", joined_.record.route}, {"log", joined_.names.log}});
  nodes_listener_->on_diverged();
}

void NodeJournal::tell_loss() {
  door_.house().count_gap();
  door_.house().logger().warn(
      "Redis lost entries of a log, or may have: its ids jump, and its clients are told by a store-gap",
      {{"route", joined_.record.route}, {"log", joined_.names.log}});
}

void NodeJournal::release_if_told() {
  if (!is_release_due_ || is_flying_ || !flying_.empty()) return;
  is_release_due_ = false;
  const char* refused = std::exchange(refusal_, "0");
  if (!is_leading_ && *refused == '0') return;
  send_release(false, refused);
  set_leading(false);
  review_tail();
  pulse_at_ = door_.now() + Millis(50);  // Who else wants it comes first.
}

void NodeJournal::send_release(bool leaves, const char* refused) {
  const auto& names = joined_.names;
  const std::array<std::string_view, 3> keys{names.meta, names.log, names.nodes};
  const std::array<std::string_view, 5> words{door_.house().name(), fence_, joined_.incarnation, leaves ? "1" : "0",
                                              refused};
  door_.client().run(release_script(), keys, words, [](const redis::Answer&) {});
}

}  // namespace ssequel::nodes
