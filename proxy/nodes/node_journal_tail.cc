// The Redis journal: what other nodes append, as the tail or a fetch brings it.
#include <algorithm>
#include <deque>
#include <vector>

#include "nodes/node_journal.h"

namespace ssequel::nodes {
namespace {

using replay::Watch;

}  // namespace

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
  if (is_granted_ && is_fetching_) return;  // They come by the other way.
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
      hand_over_taken(entries);
      if (!*alive || is_diverged_) return;
      if (item->place() > next) return diverge("entries are missing in a log in Redis: its readers begin anew");
      if (item->incarnation != ahead_.incarnation || next != ahead_.from) {
        // Whether this log goes on with it, a pulse tells. Until then nothing more is followed.
        if (std::exchange(is_following_tail_, false)) door_.tail(joined_.names.slot).leave(joined_.names.log);
        is_stopped_ = true;
        pulse_at_ = Millis(0);
        door_.pulse_later(*this);
        return;
      }
      change_incarnation(std::string(item->incarnation));
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
  if (!joined_.log->has_begun()) {  // Redis lost where it began: it did before its first entry, in any case.
    joined_.record.first_number = entries.front().number;
    nodes_listener_->on_begin(joined_.record.first_number);
  }
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
  const auto alive = alive_;
  nodes_listener_->on_entries(entries);
  if (!*alive) return;
  entries.clear();
  review_wishes();
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
