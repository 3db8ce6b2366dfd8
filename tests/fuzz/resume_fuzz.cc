// Any Last-Event-ID against any log: resume() has an answer for every value, and no Suffix answer is ever wrong. The
// input is a short program that builds a log and its model side by side, then ids to ask for; an id may also be made
// from one that the log gave, bent a little.
#include <cstdint>
#include <cstdlib>

#include "../unit/replay/model.h"

namespace {

using namespace ssequel;
using namespace ssequel::replay;

void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  [[nodiscard]] bool is_empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view text(std::size_t size) {
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

struct Play {
  ReplayLog log;
  Model model;
  Millis now{1000};

  Play(const IdForm& form, std::uint64_t first, const Bounds& bounds)
      : log(form, first, bounds), model{bounds, form, first - 1, {}, 0, 0, {}} {}

  void append(Input& in) {
    const std::uint64_t number = static_cast<std::uint64_t>(log.next_number()) + in.byte() % 4;
    const auto kind = in.byte();
    std::optional<std::string> origin;
    if (kind % 4 == 1) origin = std::to_string(in.byte());
    // A line's end cannot stand in an id (WHATWG HTML §9.2.6).
    if (kind % 4 >= 2) origin = without_line_ends(in.text(kind / 4));
    const auto frame = frame_of(log.form(), number, origin, "x");
    log.append(frame, number, origin, now);
    std::string id;
    append_id(id, log.form(), number, origin.value_or(""));
    model.entries.emplace(model.appended(), Model::Entry{number, id, as_chunk(frame), origin, now});
  }
  static std::string without_line_ends(std::string_view text) {
    std::string out(text);
    std::erase_if(out, [](char c) { return c == '\r' || c == '\n'; });
    return out;
  }
  void publish(Place count) {
    model.published = std::min(model.appended(), model.published + count);
    log.publish(model.published);
  }

  void ask(std::string_view text) const {
    const auto answer = resume(log, text);
    if (answer.kind == Resume::Kind::Suffix) {
      require(model.is_right_suffix(text, answer));
      require(log.id_before(answer.place) == model.id_behind(answer.place));
      return;
    }
    require(!answer.ambiguous || answer.reason == sse::SyncReason::Unknown);
    // What the log gave and still knows, it must know, unless it might be the origin's.
    if (answer.ambiguous || text.empty()) return;
    for (Place place = model.first; place <= model.published; ++place) require(model.id_behind(place) != text);
  }
  void ask_bent(Input& in) const {
    std::string text = model.id_behind(in.byte() % (model.appended() + 1));
    const auto at = in.byte() % (text.size() + 1);
    switch (in.byte() % 5) {
      case 0:
        break;
      case 1:
        text.insert(at, 1, static_cast<char>(in.byte()));
        break;
      case 2:
        text.resize(at);
        break;
      case 3:
        if (at < text.size()) text[at] = static_cast<char>(in.byte());
        break;
      default:
        text += in.text(in.byte());
    }
    ask(text);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto shape = in.byte();
  const IdForm form{shape % 3 == 0 ? std::string() : kTag, shape % 3 == 2};
  constexpr std::uint64_t kFirsts[] = {1, 100, 999'999'999'998, 1'753'000'000'000'000};
  Play play(form, kFirsts[in.byte() % 4], {.events = in.byte() % 16u, .bytes = 4096, .age = Millis(50)});
  play.ask({});
  for (int steps = 0; !in.is_empty() && steps < 300; ++steps) {
    switch (in.byte() % 8) {
      case 0:
      case 1:
        play.append(in);
        break;
      case 2:
        play.publish(in.byte() % 8);
        break;
      case 3:
        play.now += Millis(in.byte());
        require(play.log.evict(play.now, ReplayLog::kNoPlace) == play.model.evict(play.now, ReplayLog::kNoPlace));
        break;
      case 4: {
        const auto bytes = in.byte();
        require(play.log.evict_bytes(bytes) == play.model.evict_bytes(bytes));
        break;
      }
      case 5:
        play.ask(in.text(in.byte()));
        break;
      case 6:
        play.ask(std::to_string(play.model.base + in.byte()));
        break;
      default:
        play.ask_bent(in);
    }
  }
  static_cast<void>(resume(play.log, std::nullopt));
  return 0;
}
