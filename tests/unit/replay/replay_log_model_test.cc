// The log against a plain model, under random operations. SSEQUEL_SEED=N repeats one run.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "unit/replay/model.h"

namespace ssequel::replay {
namespace {

class Twins {
 public:
  Twins(std::uint64_t seed, const Bounds& bounds, IdForm form, std::uint64_t first_number)
      : random_(seed), log_(form, first_number, bounds), model_{bounds, form, first_number - 1, {}, 0, 0, {}} {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      compare_state();
      compare_look_ups();
      compare_read();
    }
  }

 private:
  std::uint64_t up_to(std::uint64_t bound) { return random_() % (bound + 1); }

  void step() {
    now_ += Millis(up_to(3) == 0 ? up_to(40) : 0);
    switch (up_to(13)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        return append();
      case 6:
      case 7:
      case 8:
        return publish();
      case 9:
      case 10:
        return evict();
      case 11:
        return end();
      case 12:
        if (up_to(3) == 0) log_.shrink_to_fit();
        return;
      default:
        return evict_bytes();
    }
  }

  void append() {
    const auto number = static_cast<std::uint64_t>(log_.next_number()) + (up_to(9) == 0 ? up_to(5) : 0);
    const auto origin = some_origin();
    const auto place = up_to(1) == 0 ? sse::IdPlace::First : sse::IdPlace::Last;
    // Mostly small, now and then over a segment's size.
    const std::string data(up_to(20) == 0 ? up_to(9000) : up_to(200), 'd');
    const auto frame = frame_of(log_.form(), number, origin, data, place, {sse::OriginStyle::Kind::Comment, {}});
    CHECK(log_.append(frame, number, origin, now_) == model_.appended());
    std::string id;
    append_id(id, log_.form(), number, origin.value_or(""));
    model_.entries.emplace(model_.appended(), Model::Entry{number, id, as_chunk(frame), origin, now_});
  }
  std::optional<std::string> some_origin() {
    switch (up_to(3)) {
      case 0:
        return std::nullopt;
      case 1:
        return std::to_string(up_to(300));  // May read like an id of ours.
      case 2:
        return "origin-" + std::to_string(up_to(20));  // Repeats.
      default:
        return std::string(up_to(60), static_cast<char>('a' + up_to(25)));
    }
  }
  void publish() {
    model_.published += up_to(model_.appended() - model_.published);
    log_.publish(model_.published);
  }
  void evict() {
    const Place keep_from = up_to(1) == 0 ? ReplayLog::kNoPlace : model_.first + up_to(5);
    CHECK(log_.evict(now_, keep_from) == model_.evict(now_, keep_from));
  }
  void evict_bytes() {
    if (up_to(5) != 0) return;
    const auto bytes = up_to(2000);
    CHECK(log_.evict_bytes(bytes) == model_.evict_bytes(bytes));
  }
  void end() {
    const bool is_clean = up_to(1) == 0;
    log_.add_end(is_clean);
    model_.ends.push_back({model_.appended(), is_clean});
  }

  void compare_state() {
    CHECK(log_.first() == model_.first);
    CHECK(log_.published() == model_.published);
    CHECK(log_.appended() == model_.appended());
    CHECK(log_.next_number() == model_.last_number() + 1);
    CHECK(log_.window_events() == model_.published - model_.first);
    CHECK(log_.window_bytes() == model_.bytes());
    CHECK(log_.has_numeric_origin() == model_.has_numeric_origin());
    const auto held = model_.appended() - model_.first;
    CHECK(log_.is_full() ==
          ((model_.bounds.events != 0 && held >= model_.bounds.events) || model_.bytes() >= model_.bounds.bytes));
    const bool any = model_.first < model_.published;
    CHECK(log_.oldest_id() == (any ? std::optional(model_.entries.at(model_.first).id) : std::nullopt));
    CHECK(log_.newest_id() == (any ? std::optional(model_.entries.at(model_.published - 1).id) : std::nullopt));
    CHECK(log_.ends() == model_.ends.size());
    const bool at_end = !model_.ends.empty() && model_.ends.back().at == model_.appended();
    CHECK(log_.last_end().has_value() == at_end);
    if (at_end) CHECK(log_.last_end()->is_clean == model_.ends.back().is_clean);
  }

  void compare_look_ups() {
    const auto number = model_.base - 2 + up_to(model_.last_number() - model_.base + 6);
    std::string text;
    append_id(text, log_.form(), number, {});
    if (model_.appended() != 0 && up_to(3) != 0) {
      const auto& entry = model_.entries.at(up_to(model_.appended() - 1));
      text = entry.id;
      compare_find(entry.number, text);
    }
    compare_find(number, text);
    compare_resume(text);
    const auto origin = some_origin().value_or("x");
    CHECK(log_.find_origin(origin) == model_.find_origin(origin));
    CHECK(log_.has_origin(origin) == model_.has_origin(origin));
    compare_resume(origin.empty() ? "x" : origin);

    const Place place = up_to(model_.appended() + 2);
    const auto time = log_.time_of(place);
    REQUIRE(time.has_value() == model_.in_window(place));
    if (time) CHECK(*time == model_.entries.at(place).time);
    const auto before = log_.id_before(place);
    if (place == 0 || (place >= model_.first && place <= model_.published)) {
      CHECK(before == model_.id_behind(place));
    } else if (!before.empty()) {
      REQUIRE(place <= model_.appended());
      CHECK(before == model_.id_behind(place));
    }
    const Place start = model_.first + up_to(model_.appended() - model_.first);  // Readers stand in the window.
    // A reader knows of every end that stands before its start.
    const auto seen = model_.ends.size() - std::min<std::size_t>(model_.ends.size(), up_to(2));
    const auto expected = model_.end_for(start, seen);
    const auto end = log_.end_for(start, seen);
    REQUIRE(end.has_value() == expected.has_value());
    if (end) CHECK((end->at == expected->at && end->is_clean == expected->is_clean));
  }
  void compare_find(std::uint64_t number, const std::string& text) {
    const auto found = log_.find(number, text);
    const auto expected = model_.find(number, text);
    CAPTURE(number);
    CAPTURE(text);
    CHECK(found.kind == expected.kind);
    CHECK(found.place == expected.place);
  }
  void compare_resume(const std::string& text) {
    const auto answer = resume(log_, text);
    CAPTURE(text);
    if (answer.kind == Resume::Kind::Suffix) {
      CHECK(model_.is_right_suffix(text, answer));
    } else if (!answer.ambiguous) {
      for (Place place = model_.first; place <= model_.published; ++place) CHECK(model_.id_behind(place) != text);
    }
  }

  void compare_read() {
    const Place from = up_to(model_.published + 1);
    const Place stop = up_to(2) == 0 ? from + up_to(10) : ReplayLog::kNoPlace;
    const std::size_t max_runs = 1 + up_to(4);
    const std::size_t max_bytes = up_to(3) == 0 ? up_to(300) : up_to(20'000);
    const Place end = std::min(model_.published, stop);
    const bool readable = log_.read(from, stop, max_runs, max_bytes, runs_);
    CHECK(readable == (from >= model_.first));
    if (!readable || from >= end) {
      CHECK(runs_.empty());
      return;
    }
    REQUIRE(!runs_.empty());
    CHECK(runs_.size() <= max_runs);
    Place place = from;
    std::size_t bytes = 0;
    for (const auto& run : runs_) {
      CHECK(run.first == place);
      CHECK(run.end > place);
      CHECK(run.end <= end);
      std::string expected;
      for (; place < run.end; ++place) expected += model_.entries.at(place).chunk;
      CHECK(run.bytes == expected);
      bytes += run.bytes.size();
      compare_boundary(run);
    }
    CHECK((bytes <= max_bytes || place == from + 1));
    // It stopped for a reason.
    if (place < end && runs_.size() < max_runs) {
      CHECK(bytes + model_.entries.at(place).chunk.size() > max_bytes);
    }
  }
  void compare_boundary(const Run& run) {
    const auto offset = up_to(run.bytes.size() - 1);
    std::size_t end = 0;
    Place place = run.first;
    while (end <= offset) end += model_.entries.at(place++).chunk.size();
    const auto boundary = log_.boundary(run, offset);
    CHECK(boundary.next == place);
    CHECK(boundary.offset == end);
  }

  std::mt19937_64 random_;
  Millis now_{1'000'000};
  ReplayLog log_;
  Model model_;
  std::vector<Run> runs_;
};

std::vector<std::uint64_t> seeds() {
  if (const char* given = std::getenv("SSEQUEL_SEED")) return {std::strtoull(given, nullptr, 10)};
  return {1, 2, 3, std::random_device()()};
}

TEST_CASE("the log agrees with a plain map under random operations") {
  const Bounds tight{.events = 8, .bytes = 100'000, .age = Millis(10'000)};
  const Bounds by_bytes{.events = 0, .bytes = 3'000, .age = Millis(10'000)};
  const Bounds by_age{.events = 0, .bytes = 1'000'000, .age = Millis(300)};
  for (const auto seed : seeds()) {
    CAPTURE(seed);
    Twins(seed, tight, {}, 50).run(600);
    Twins(seed, by_bytes, {}, 1'753'000'000'000'000).run(600);
    Twins(seed, by_age, {}, 100).run(600);
    Twins(seed, tight, {kTag, false}, 3).run(600);
    Twins(seed, by_age, {kTag, true}, 3).run(600);
  }
}

}  // namespace
}  // namespace ssequel::replay
