#include "nodes/join.h"

#include <algorithm>
#include <array>

#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

// See NodeJournal::keep(): the first pulse makes it what it should be.
constexpr std::string_view kKeepAtFirst = "300000";

std::size_t size_of(const redis::Reply& reply) {
  std::size_t size = reply.text.size();
  for (const auto& element : reply.elements) size += size_of(element);
  return size;
}

std::uint64_t number_in(std::string_view text) {
  return static_cast<std::uint64_t>(replay::parse_number(text, replay::Spelling::Decimal).value_or(0));
}

}  // namespace

Join::Join(Door& door, LogNames names, replay::LogRecord proposal, const replay::Bounds& bounds,
           replay::Store::Encode encode, bool is_found, replay::Store::OnJoined done)
    : door_(door),
      joined_({.names = std::move(names), .record = std::move(proposal), .gives_places = static_cast<bool>(encode)}),
      bounds_(bounds),
      encode_(std::move(encode)),
      is_found_(is_found),
      done_(std::move(done)),
      patience_(door.deadlines(), *this),
      retry_(door.deadlines(), *this) {}

redis::Client::OnAnswer Join::guarded(void (Join::*then)(const redis::Answer&)) {
  return [this, alive = alive_, then](const redis::Answer& answer) {
    if (*alive) (this->*then)(answer);
  };
}

void Join::start() {
  patience_.set(kPatience);
  ask();
}

void Join::on_up() {
  if (!is_asking_) ask();
}

void Join::on_deadline(net::Deadline& deadline) {
  if (&deadline == &retry_) {
    if (!is_asking_) ask();
    return;
  }
  fail(ErrorCode::RetryLater, "no answer from Redis");
}

void Join::fail(ErrorCode code, std::string context) {
  const auto done = std::move(done_);
  door_.end(*this);  // Destroyed after this turn.
  done(tl::unexpected<Error>(Error{code, std::move(context)}));
}

void Join::ask() {
  is_asking_ = true;
  retry_.cancel();
  joined_.log.reset();
  joined_.position = {};
  const auto& names = joined_.names;
  if (is_found_) {
    door_.client().send({"HGETALL", names.meta}, names.meta, guarded(&Join::on_meta));
    return;
  }
  const std::array<std::string_view, 4> keys{names.meta, names.log, names.nodes, names.given};
  const auto& record = joined_.record;
  std::string start;
  if (record.has_start) replay::append_number(start, record.form.spelling, record.first_number - 1);
  const auto fields = fields_of(record);
  std::vector<std::string_view> words = {
      door_.house().name(), kKeepAtFirst, start, names.given_field, "0", "0", "0", "", ""};
  for (const auto& [name, value] : fields) words.insert(words.end(), {name, value});
  door_.client().run(join_script(), keys, words, guarded(&Join::on_meta));
}

void Join::on_meta(const redis::Answer& answer) {
  is_asking_ = false;
  if (!answer) {
    door_.house().count_error();
    retry_.set(kRetry);
    return;
  }
  if (!is_found_ && !answer->elements.empty() && answer->elements[0].text == "given") {
    // What the key's earlier logs gave is given to nothing else.
    const auto highest = replay::parse_number(answer->elements.back().text, joined_.record.form.spelling);
    joined_.record.first_number = highest.value_or(joined_.record.first_number) + 2;
    return ask();
  }
  meta_ = hash_of(*answer, is_found_ ? 0 : 1);
  if (is_found_ && meta_.empty()) return fail(ErrorCode::NotFound, "there is no such log");
  auto record = record_of(meta_);
  if (!record) return fail(ErrorCode::Malformed, "a log in Redis that is not ours: " + joined_.names.meta);
  record->key = joined_.record.key;
  if (!is_found_) {
    record->signature = joined_.record.signature;
    record->method = joined_.record.method;
    record->target = joined_.record.target;
    record->host = joined_.record.host;
  }
  joined_.record = std::move(*record);
  joined_.incarnation = get(meta_, "inc");
  joined_.head = get(meta_, "head");
  joined_.last_id = get(meta_, "last_id");
  joined_.is_led = get(meta_, "open") == "1";
  load();
}

void Join::load() {
  is_asking_ = true;
  const auto from = "(" + to_string(joined_.position);
  door_.client().send({"XRANGE", joined_.names.log, from, "+", "COUNT", std::to_string(most_)}, joined_.names.log,
                      guarded(&Join::on_window));
}

void Join::begin_log(replay::Place first, replay::Number floor) {
  const auto& record = joined_.record;
  if (first == 0) {
    joined_.log = std::make_shared<replay::ReplayLog>(record.form, record.first_number, bounds_);
    return;
  }
  replay::Past past{.first = first, .floor_id = {}, .floor_number = floor};
  // "PLACE ID" of the last entry that left the window.
  const auto told = get(meta_, "floor");
  const auto space = told.find(' ');
  if (space != told.npos && number_in(told.substr(0, space)) == first) {
    const auto id = told.substr(space + 1);
    const auto parsed = replay::parse_id(id);
    if (parsed.fits(record.form) && parsed.number <= floor) {
      past.floor_id = id;
      past.floor_number = parsed.number;
    }
  }
  past.floor_number = std::max(past.floor_number, record.first_number == 0 ? 0 : record.first_number - 1);
  // Whoever is told that the window is gone goes on from here.
  if (past.floor_id.empty()) replay::append_id(past.floor_id, record.form, past.floor_number, {});
  joined_.log = std::make_shared<replay::ReplayLog>(record.form, record.first_number, bounds_, std::move(past));
}

void Join::on_window(const redis::Answer& answer) {
  is_asking_ = false;
  if (!answer) {
    door_.house().count_error();
    retry_.set(kRetry);
    return;
  }
  const auto size = size_of(*answer);
  if (size > 1024 * 1024) most_ = std::max<std::size_t>(1, most_ / 4);
  if (size < 256 * 1024) most_ = std::min(kMaxElements, most_ * 2);
  const bool is_last = answer->elements.empty();
  if (!take(*answer)) {
    retry_.set(kRetry);
    return;
  }
  if (is_last) return finish();
  load();
}

bool Join::take(const redis::Reply& elements) {
  const Millis now = door_.house().clock().now();
  const auto now_ms = door_.house().clock().unix_micros() / 1000;
  for (const auto& element : elements.elements) {
    const auto item = item_of(element, joined_.record.form.spelling);
    if (!item) {
      if (element.elements.empty()) return false;
      const auto id = parse_stream_id(element.elements[0].text);
      if (!id) return false;
      joined_.position = *id;
      continue;
    }
    joined_.position = item->id;
    if (!item->is_entry()) {
      if (item->control == "head") joined_.head = item->value;
      if (item->control == "head") joined_.is_led = true;
      if (item->control == "away" || item->control == "free") joined_.is_led = false;
      if (item->control == "retry") meta_["retry"] = item->value;
      if (item->control == "end" && joined_.log && joined_.log->appended() == item->id.first) {
        joined_.log->add_end(item->value == "1");
      }
      if (item->control == "begin" && joined_.record.first_number == 0) {
        joined_.record.first_number = replay::parse_number(item->value, joined_.record.form.spelling).value_or(0);
      }
      continue;
    }
    // Entries may be missing where Redis lost some: the window begins behind that.
    if (joined_.log && (item->place() != joined_.log->appended() || item->number < joined_.log->next_number())) {
      joined_.log.reset();
    }
    if (!joined_.log) {
      if (item->number == 0) return false;
      if (joined_.record.first_number == 0) joined_.record.first_number = item->number;
      begin_log(item->place(), item->number - 1);
      if (joined_.log->next_number() > item->number) return false;
    }
    const auto age = Millis(std::max<std::int64_t>(0, now_ms - item->at_ms));
    if (item->last_id) joined_.last_id = *item->last_id;
    // The greater one: both are times in microseconds.
    if (std::pair(item->incarnation.size(), item->incarnation) >
        std::pair(joined_.incarnation.size(), std::string_view(joined_.incarnation))) {
      joined_.incarnation = item->incarnation;
    }
    if (item->frame.empty() && !encode_) return false;
    std::string_view frame = item->frame;
    if (frame.empty()) {
      scratch_.clear();
      encode_(scratch_, item->number, item->lines, item->origin);
      frame = scratch_;
    }
    joined_.log->append(frame, item->number, item->origin, now - age);
  }
  return true;
}

void Join::finish() {
  if (!joined_.log) {
    const auto next = number_in(get(meta_, "next"));
    const auto number = replay::parse_number(get(meta_, "number"), joined_.record.form.spelling);
    begin_log(next, number.value_or(0));
  }
  auto& log = *joined_.log;
  if (const auto ended = get(meta_, "ended"); !ended.empty() && !log.last_end()) {
    if (number_in(ended.substr(0, ended.find(' '))) == log.appended()) log.add_end(ended.ends_with('1'));
  }
  log.publish(log.appended());
  if (log.has_begun()) log.set_saved();
  replay::SavedLog saved{.record = joined_.record,
                         .log = joined_.log,
                         .head = joined_.head,
                         .last_id = joined_.last_id,
                         .retry_ms = std::nullopt,
                         .has_lost = false,
                         .is_led = joined_.is_led,
                         .handle = 0};
  if (const auto retry = get(meta_, "retry"); !retry.empty()) saved.retry_ms = number_in(retry);
  saved.handle = door_.keep_joined(std::move(joined_));
  const auto done = std::move(done_);
  door_.end(*this);
  done(std::move(saved));
}

}  // namespace ssequel::nodes
