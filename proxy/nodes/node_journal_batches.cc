// The Redis journal: what is handed in, and its way there, one batch at a time.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "nodes/node_journal.h"
#include "nodes/scripts.h"

namespace ssequel::nodes {
void NodeJournal::put(char kind, std::vector<std::string> words) {
  for (const auto& word : words) batch_.bytes += word.size();
  batch_.words.emplace_back(1, kind);
  batch_.words.push_back(std::to_string(words.size()));
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
  words.insert(words.end(), {"at", now_ms(), "frame", std::string(entry.frame)});
  if (std::exchange(is_loss_untold_, false)) set_field("lost", "0");
  put('e', std::move(words));
  batch_.end = entry.place + 1;
  batch_.number = std::move(number);
  batch_.last_id = told_last_id_;
}

void NodeJournal::submit(std::string_view lines, std::optional<std::string_view> origin) {
  std::vector<std::string> words = {"inc", joined_.incarnation, "node", door_.house().name()};
  if (origin) words.insert(words.end(), {"origin", std::string(*origin)});
  words.insert(words.end(), {"at", now_ms(), "lines", std::string(lines)});
  put('e', std::move(words));
}

void NodeJournal::set_head(std::string_view serialized_head) {
  joined_.head = serialized_head;
  is_open_ = true;
  set_field("head", serialized_head);
  set_field("refused", "");
  set_field("open", "1");
  control("head", serialized_head);
}

void NodeJournal::set_away() {
  is_open_ = false;
  set_field("open", "0");
  control("away", "");
}

void NodeJournal::set_retry(std::uint64_t milliseconds) {
  set_field("retry", std::to_string(milliseconds));
  control("retry", std::to_string(milliseconds));
}

void NodeJournal::set_end(const replay::End& end) {
  set_field("ended", fmt::format("{} {}", end.at, end.is_clean ? 1 : 0));
  control("end", end.is_clean ? "1" : "0");
}

void NodeJournal::evicted(replay::Place first) {
  if (!is_leading_ && !gives_places()) return;
  batch_.trim = std::to_string(first);
  set_field("floor", fmt::format("{} {}", first, joined_.log->id_before(first)));
}

void NodeJournal::flush() {
  if (!listener_ || !nodes_listener_ || is_diverged_) return;
  if (is_new_) return make();
  if (is_flying_ || !flying_.empty() || retry_.is_set() || !door_.is_up()) return;  // It goes again first.
  if (batch_.empty() || !(is_leading_ || gives_places())) return release_if_told();
  flying_ = std::exchange(batch_, {});
  ++batches_;
  send();
}

void NodeJournal::send() {
  is_flying_ = true;
  const auto& names = joined_.names;
  const std::array<std::string_view, 3> keys{names.meta, names.log, names.given};
  // Unique among what this node ever hands in: a journal of the log may follow another one.
  const auto batch = fmt::format("{}.{}", serial_, batches_);
  const auto at = std::to_string(place());
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
    if (!gives_places() && !writes_alone()) lose_lease();
    remake_.set(Millis(1));
    return;
  }
  if ((word == "behind" || word == "fenced") && writes_alone()) {  // A pulse says under what token it goes on.
    retry_.set(kRetry);
    return door_.pulse_later(*this);
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
  review_wishes();
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
  if (&deadline == &wish_) return end_wishes(false);
  if (&deadline == &remake_) {
    if (watch_ != replay::Watch::None || is_leading_ || !batch_.empty() || !flying_.empty()) make();
    return;
  }
  if (!door_.is_up()) return;  // on_up() is to come.
  if (is_new_) return make();
  if (is_granted_) return fetch();
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
  if (is_granted_ && !is_fetching_) fetch();
}

}  // namespace ssequel::nodes
