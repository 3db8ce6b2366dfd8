#include "nodes/node_journal.h"

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

using replay::Watch;

constexpr Millis kRetry{250};
constexpr Millis kRemakeLater{500};
// Keys that nobody renews go: what is in them is of use for as long as the window says, but not less than this.
constexpr Millis kLeastKept = std::chrono::minutes(5);
constexpr Millis kMostKept = std::chrono::hours(24);

std::string_view word_of(const redis::Reply& reply) {
  return reply.elements.empty() ? std::string_view() : std::string_view(reply.elements[0].text);
}

std::string text_of(std::uint64_t number) { return std::to_string(number); }

}  // namespace

NodeJournal::NodeJournal(Door& door, Joined joined, bool is_new)
    : door_(door),
      joined_(std::move(joined)),
      retry_(door.deadlines(), *this),
      remake_(door.deadlines(), *this),
      is_new_(is_new),
      told_last_id_(joined_.last_id),
      committed_last_id_(joined_.last_id) {
  door_.add(*this);
  if (!is_new_) return;
  fence_ = "1";
  renewed_at_ = door_.now();
  set_leading(true);
}

NodeJournal::~NodeJournal() {
  *alive_ = false;
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
  return text_of(static_cast<std::uint64_t>(std::clamp(joined_.log->bounds().age, kLeastKept, kMostKept).count()));
}

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

// ------------------------------------------------------------------------------------------------------- batches

void NodeJournal::put(char kind, std::vector<std::string> words) {
  for (const auto& word : words) batch_.bytes += word.size();
  batch_.words.emplace_back(1, kind);
  batch_.words.push_back(text_of(words.size()));
  std::move(words.begin(), words.end(), std::back_inserter(batch_.words));
  door_.flush_later(*this);
}

void NodeJournal::control(std::string_view name, std::string_view value) {
  put('c', {"control", std::string(name), "value", std::string(value)});
}

void NodeJournal::set_field(std::string_view name, std::string_view value) {
  put('s', {std::string(name), std::string(value)});
}

void NodeJournal::begin(replay::Number first_number) {
  std::string text;
  replay::append_number(text, joined_.record.form.spelling, first_number);
  joined_.record.first_number = first_number;
  set_field("first", text);
  control("begin", text);
}

void NodeJournal::append(const replay::JournalEntry& entry) {
  std::string number;
  replay::append_number(number, joined_.record.form.spelling, entry.number);
  std::vector<std::string> words = {"inc", joined_.incarnation, "fence", fence_, "number", number};
  if (entry.origin) words.insert(words.end(), {"origin", std::string(*entry.origin)});
  if (entry.last_id != told_last_id_) {
    told_last_id_ = entry.last_id;
    words.insert(words.end(), {"last", told_last_id_});
    set_field("last_id", told_last_id_);
  }
  words.insert(words.end(),
               {"at", std::to_string(door_.house().clock().unix_micros() / 1000), "frame", std::string(entry.frame)});
  if (std::exchange(is_loss_untold_, false)) set_field("lost", "0");
  put('e', std::move(words));
  batch_.end = entry.place + 1;
  batch_.number = std::move(number);
  batch_.last_id = told_last_id_;
}

void NodeJournal::submit(std::string_view lines, std::optional<std::string_view> origin) {
  std::vector<std::string> words = {"inc", joined_.incarnation, "node", door_.house().name()};
  if (origin) words.insert(words.end(), {"origin", std::string(*origin)});
  words.insert(words.end(),
               {"at", std::to_string(door_.house().clock().unix_micros() / 1000), "lines", std::string(lines)});
  put('e', std::move(words));
}

void NodeJournal::set_head(std::string_view serialized_head) {
  joined_.head = serialized_head;
  set_field("head", serialized_head);
  set_field("refused", "");
  set_field("open", "1");
  control("head", serialized_head);
}

void NodeJournal::set_away() {
  set_field("open", "0");
  control("away", "");
}

void NodeJournal::set_retry(std::uint64_t milliseconds) {
  set_field("retry", text_of(milliseconds));
  control("retry", text_of(milliseconds));
}

void NodeJournal::set_end(const replay::End& end) {
  set_field("ended", text_of(end.at) + (end.is_clean ? " 1" : " 0"));
  control("end", end.is_clean ? "1" : "0");
}

void NodeJournal::evicted(replay::Place first) {
  if (!is_leading_ && !gives_places()) return;
  batch_.trim = text_of(first);
  set_field("floor", text_of(first) + " " + joined_.log->id_before(first));
}

void NodeJournal::flush() {
  if (!listener_ || !nodes_listener_ || is_diverged_) return;
  if (is_new_) return make();
  if (is_flying_ || retry_.is_set() || !door_.is_up()) return;
  if (batch_.empty() || !(is_leading_ || gives_places())) return release_if_told();
  flying_ = std::exchange(batch_, {});
  ++batches_;
  send();
}

void NodeJournal::send() {
  is_flying_ = true;
  const auto& names = joined_.names;
  const std::array<std::string_view, 3> keys{names.meta, names.log, names.given};
  // Unique among what this node ever hands in under one token.
  const auto batch = text_of(batches_);
  const auto at = text_of(place());
  std::vector<std::string_view> words = {door_.house().name()};
  if (gives_places()) {
    words.insert(words.end(), {joined_.incarnation, batch, flying_.trim, names.given_field});
  } else {
    words.insert(words.end(),
                 {fence_, joined_.incarnation, batch, at, flying_.trim, names.given_field, flying_.number});
  }
  words.insert(words.end(), flying_.words.begin(), flying_.words.end());
  sent_at_ = std::chrono::steady_clock::now();
  door_.client().run(gives_places() ? submit_script() : append_script(), keys, words,
                     [this, alive = alive_, number = batches_, fence = fence_](const redis::Answer& answer) {
                       // Of a batch that was dropped with its lease nothing is heard any more.
                       if (*alive && is_flying_ && number == batches_ && fence == fence_) on_sent(answer);
                     });
}

void NodeJournal::on_sent(const redis::Answer& answer) {
  is_flying_ = false;
  if (!answer) return fail(answer.error());
  const auto word = word_of(*answer);
  if (word == "ok") return on_committed(*answer);
  if (word == "gone") {
    if (!gives_places()) lose_lease();
    remake_.set(Millis(1));
    return;
  }
  if (word == "restarted") return renew();
  if (gives_places()) {  // Of another incarnation: as soon as that is known, it goes again.
    is_flying_ = false;
    retry_.set(kRetry);
    door_.pulse_later(*this);
    return;
  }
  // Fenced, or Redis has less than it told us: what it has by now, the next pulse says.
  lose_lease();
  door_.pulse_later(*this);
}

void NodeJournal::on_committed(const redis::Reply& reply) {
  door_.house().count_commit(std::chrono::duration<double>(std::chrono::steady_clock::now() - sent_at_).count());
  set_stalled(std::nullopt);
  if (!gives_places() && reply.elements.size() == 3) {
    if (auto id = parse_stream_id(reply.elements[1].text + "-" + reply.elements[2].text)) joined_.position = *id;
  }
  const auto end = flying_.end;
  if (end) {
    committed_last_id_ = flying_.last_id;
    joined_.last_id = committed_last_id_;
  }
  flying_ = {};
  door_.flush_later(*this);
  // The channel may be closed from in here.
  listener_->on_committed(end.value_or(gives_places() ? 0 : place()));
}

void NodeJournal::fail(const redis::Failure& failure) {
  door_.house().count_error();
  retry_.set(kRetry);
  set_stalled(
      Error{failure.trouble == redis::Trouble::Denied ? ErrorCode::Denied : ErrorCode::RetryLater, failure.context});
}

void NodeJournal::set_stalled(const std::optional<Error>& why) {
  if (stalled_.has_value() == why.has_value()) return;
  stalled_ = why;
  door_.stand(why ? why->context : std::string());
  if (!listener_) return;
  if (why) {
    listener_->on_stalled(*why);
  } else {
    listener_->on_recovered();
  }
}

void NodeJournal::on_deadline(net::Deadline& deadline) {
  if (&deadline == &remake_) {
    if (watch_ != Watch::None || is_leading_ || !batch_.empty() || !flying_.empty()) make();
    return;
  }
  if (!door_.is_up()) return;  // on_up() is to come.
  if (is_new_) return make();
  if (!flying_.empty() && !is_flying_) {
    if (is_leading_ || gives_places()) return send();
    return;
  }
  flush();
}

void NodeJournal::on_down(const Error& why) { set_stalled(why); }

void NodeJournal::on_up() {
  retry_.cancel();
  set_stalled(std::nullopt);
  if (is_new_) return make();
  pulse_at_ = Millis(0);
  // What was under way when the connection went is asked for again: its number tells whether it was executed.
  if (!flying_.empty() && !is_flying_ && (is_leading_ || gives_places())) {
    send();
  } else {
    door_.flush_later(*this);
  }
  if (is_granted_ && !is_catching_up_) catch_up();
}

// ---------------------------------------------------------------------------------------------------- being there

void NodeJournal::make() {
  if (is_making_ || !door_.is_up()) return;
  is_making_ = true;
  const auto& names = joined_.names;
  const std::array<std::string_view, 4> keys{names.meta, names.log, names.nodes, names.given};
  const auto lease = is_new_ ? text_of(static_cast<std::uint64_t>(door_.term().count())) : std::string("0");
  const auto at = is_new_ ? std::string("0") : text_of(place());
  auto fields = fields_of(joined_.record);
  if (!is_new_) {
    std::string number;
    replay::append_number(number, joined_.record.form.spelling,
                          joined_.log->has_begun() ? joined_.log->newest_number() : replay::Number{0});
    fields.insert(fields.end(), {{"number", number}, {"last_id", joined_.last_id}, {"head", joined_.head}});
  }
  const auto keep_for = keep();
  std::vector<std::string_view> words = {door_.house().name(), keep_for, "", "", at, is_new_ ? "0" : "1", lease};
  for (const auto& [name, value] : fields) words.insert(words.end(), {name, value});
  door_.client().run(join_script(), keys, words, guarded(&NodeJournal::on_made));
}

void NodeJournal::on_made(const redis::Answer& answer) {
  is_making_ = false;
  if (!answer) return fail(answer.error());
  const auto meta = hash_of(*answer, 1);
  const auto from = replay::parse_number(get(meta, "from"), replay::Spelling::Decimal);
  if (is_new_) {
    is_new_ = false;
    joined_.incarnation = get(meta, "inc");
    // The name is random: nobody else can have made it.
    for (std::size_t i = 0; i + 1 < batch_.words.size(); ++i) {
      if (batch_.words[i] == "inc" && batch_.words[i + 1].empty()) batch_.words[i + 1] = joined_.incarnation;
    }
    renewed_at_ = door_.now();
    pulse_at_ = door_.now() + door_.beat();
    flush();
    listener_->on_committed(place());
    return;
  }
  if (word_of(*answer) == "made") door_.house().count_gap();
  check_incarnation(std::string(get(meta, "inc")), static_cast<replay::Place>(from.value_or(0)));
  if (is_diverged_) return;
  door_.pulse_later(*this);
  if (!gives_places()) return;
  if (word_of(*answer) == "made") nodes_listener_->on_leading(true);
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
      return may_lead ? '1' : '2';
  }
  return '0';
}

void NodeJournal::add_pulse(std::vector<std::string>& words) {
  is_pulsing_ = true;
  is_pulse_wanted_ = false;
  told_foremost_ = foremost_;
  asked_at_ = door_.now();
  words.emplace_back(1, watch_digit());
  words.push_back(text_of(foremost_));
  words.push_back(is_leading_ || is_granted_ ? fence_ : std::string("none"));
  words.push_back(text_of(place()));
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
        lose_lease();
        remake_.set(Millis(1));
      } else if (!remake_.is_set()) {
        remake_.set(kRemakeLater);  // The leader knows best what there was.
      }
      return;
    case Pulse::Word::Lead:
      if ((is_leading_ || is_granted_) && fence_ == pulse.fence) {
        renewed_at_ = asked_at;
        if (pulse.is_wanted && watch_ == Watch::Keeps) nodes_listener_->on_wanted_elsewhere();
      } else if (fence_ != pulse.fence) {  // Else it was given up meanwhile.
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
      if (gives_places() && (!pulse.is_same_run || place() > pulse.next)) renew();
      if (pulse.word == Pulse::Word::Free && !gives_places()) nodes_listener_->on_leader_away();
      break;
  }
  if (!*alive) return;
  if (is_progress) nodes_listener_->on_others_progress();
  if (!*alive) return;
  if (is_pulse_wanted_ || foremost_ > told_foremost_ + 1000) door_.pulse_later(*this);
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
  if (pulse.incarnation != joined_.incarnation) {
    check_incarnation(pulse.incarnation, pulse.from);
    if (is_diverged_) return;
  }
  has_lost_ = pulse.has_lost;
  is_granted_ = true;
  caught_up_at_ = pulse.next;
  batches_ = 0;
  catch_up();
}

void NodeJournal::catch_up() {
  if (!is_granted_ || is_catching_up_) return;
  if (place() < caught_up_at_) {
    is_catching_up_ = true;
    const auto from = "(" + to_string(joined_.position);
    door_.client().send({"XRANGE", joined_.names.log, from, "+", "COUNT", "256"}, joined_.names.log,
                        guarded(&NodeJournal::on_caught_up));
    return;
  }
  is_granted_ = false;
  set_leading(true);
  told_last_id_ = committed_last_id_ = joined_.last_id;
  is_loss_untold_ = has_lost_;
  if (has_lost_) door_.house().count_gap();
  review_tail();
  nodes_listener_->on_leading(has_lost_);
}

void NodeJournal::on_caught_up(const redis::Answer& answer) {
  is_catching_up_ = false;
  if (!answer || !is_granted_) return;  // on_up() is to come, or the lease is lost.
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
  catch_up();
}

void NodeJournal::renew() {
  if (std::exchange(is_renewing_, true)) return;
  const auto at = text_of(place());
  const auto micros =
      text_of(static_cast<std::uint64_t>(std::max<std::int64_t>(0, door_.house().clock().unix_micros())));
  const std::array<std::string_view, 1> keys{joined_.names.meta};
  const std::array<std::string_view, 3> words{joined_.incarnation, at, micros};
  door_.client().run(renew_script(), keys, words, guarded(&NodeJournal::on_renewed));
}

void NodeJournal::on_renewed(const redis::Answer& answer) {
  is_renewing_ = false;
  if (!answer) return fail(answer.error());
  if (word_of(*answer) == "gone" || answer->elements.size() != 3) {
    remake_.set(Millis(1));
    return;
  }
  const bool is_mine = word_of(*answer) == "renewed";
  const auto from = replay::parse_number(answer->elements[2].text, replay::Spelling::Decimal);
  const auto alive = alive_;
  check_incarnation(answer->elements[1].text, static_cast<replay::Place>(from.value_or(0)));
  if (!*alive || is_diverged_) return;
  if (is_mine) {
    door_.house().count_gap();
    nodes_listener_->on_leading(true);
    if (!*alive) return;
  }
  if (!flying_.empty() && !is_flying_) send();
}

void NodeJournal::check_incarnation(const std::string& incarnation, replay::Place from) {
  if (incarnation == joined_.incarnation) return review_tail();
  if (place() > from) {
    // It has entries that the log, as it goes on, has not: whoever read them is told by what he gets anew.
    is_diverged_ = true;
    door_.house().logger().warn("a log in Redis lost entries that this node has sent: its readers begin anew",
                                {{"route", joined_.record.route}, {"log", joined_.names.log}});
    nodes_listener_->on_diverged();
    return;
  }
  joined_.incarnation = incarnation;
  // What was handed in and not committed goes on in the new one.
  for (auto* batch : {&batch_, &flying_}) {
    for (std::size_t i = 0; i + 1 < batch->words.size(); ++i) {
      if (batch->words[i] == "inc") batch->words[i + 1] = incarnation;
    }
  }
  review_tail();
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

// ------------------------------------------------------------------------------------------------- what others say

void NodeJournal::review_tail() {
  const bool follows_tail = follows() && !is_new_ && !is_diverged_ && nodes_listener_ != nullptr;
  if (follows_tail == is_following_tail_) return;
  is_following_tail_ = follows_tail;
  auto& tail = door_.tail(joined_.names.slot);
  if (follows_tail) {
    tail.follow(joined_.names.log, *this);
  } else {
    tail.leave(joined_.names.log);
  }
}

void NodeJournal::on_elements(const redis::Reply& elements) {
  if (is_granted_ && is_catching_up_) return;  // They come by the other way.
  take(elements);
}

void NodeJournal::take(const redis::Reply& elements) {
  std::vector<replay::SharedEntry> entries;
  entries.reserve(elements.elements.size());
  const auto alive = alive_;
  const auto now_ms = door_.house().clock().unix_micros() / 1000;
  auto next = joined_.log->appended();
  std::deque<std::string> last_ids;  // What entries' views look at.
  for (const auto& element : elements.elements) {
    const auto item = item_of(element, joined_.record.form.spelling);
    if (!item) {
      // Not ours: it is passed by.
      if (!element.elements.empty()) {
        if (const auto id = parse_stream_id(element.elements[0].text))
          joined_.position = std::max(joined_.position, *id);
      }
      continue;
    }
    if (item->id <= joined_.position) continue;
    if (!item->is_entry()) {
      joined_.position = item->id;
      hand_over_taken(entries);
      if (!*alive || is_diverged_) return;
      take_control(*item);
      if (!*alive || is_diverged_) return;
      continue;
    }
    if (item->incarnation != joined_.incarnation || item->place() > next) {
      // Whether this log goes on with it, a pulse tells. Until then nothing more is followed.
      hand_over_taken(entries);
      if (!*alive || is_diverged_) return;
      if (item->incarnation == joined_.incarnation) {
        is_diverged_ = true;
        nodes_listener_->on_diverged();
        return;
      }
      if (std::exchange(is_following_tail_, false)) door_.tail(joined_.names.slot).leave(joined_.names.log);
      pulse_at_ = Millis(0);
      door_.pulse_later(*this);
      return;
    }
    joined_.position = item->id;
    if (item->place() < next) continue;
    if (item->last_id) joined_.last_id = *item->last_id;
    last_ids.push_back(joined_.last_id);
    entries.push_back({.place = item->place(),
                       .number = item->number,
                       .origin = item->origin,
                       .last_id = last_ids.back(),
                       .frame = item->frame,
                       .lines = item->lines,
                       .age = Millis(std::max<std::int64_t>(0, now_ms - item->at_ms))});
    ++next;
  }
  hand_over_taken(entries);
}

void NodeJournal::hand_over_taken(std::vector<replay::SharedEntry>& entries) {
  if (entries.empty()) return;
  auto least = joined_.log->next_number();
  for (const auto& entry : entries) {
    if (entry.number >= least) {
      least = entry.number + 1;
      continue;
    }
    // Somebody else's hand was in it.
    is_diverged_ = true;
    door_.house().logger().error("a log in Redis has numbers that do not rise", {{"log", joined_.names.log}});
    nodes_listener_->on_diverged();
    return;
  }
  committed_last_id_ = entries.back().last_id;
  nodes_listener_->on_entries(entries);
  entries.clear();
}

void NodeJournal::take_control(const Item& item) {
  if (item.control == "head") {
    joined_.head = item.value;
    nodes_listener_->on_head(item.value);
  } else if (item.control == "begin") {
    const auto number = replay::parse_number(item.value, joined_.record.form.spelling);
    if (number) {
      joined_.record.first_number = *number;
      nodes_listener_->on_begin(*number);
    }
  } else if (item.control == "retry") {
    const auto ms = replay::parse_number(item.value, replay::Spelling::Decimal);
    if (ms) nodes_listener_->on_retry_elsewhere(static_cast<std::uint64_t>(*ms));
  } else if (item.control == "end") {
    nodes_listener_->on_end(item.value == "1");
  } else if (item.control == "final") {
    nodes_listener_->on_final();
  } else if (item.control == "away") {
    nodes_listener_->on_leader_away();
  } else if (item.control == "free") {
    const auto alive = alive_;
    nodes_listener_->on_leader_away();
    if (!*alive || watch_ != Watch::Reads) return;
    pulse_at_ = Millis(0);
    door_.pulse_later(*this);
  }
}

}  // namespace ssequel::nodes
