#include "replay/resume.h"

#include "base/seeded_bug.h"

namespace ssequel::replay {
namespace {

// Own ids below this may be mistaken for an origin's numbers; ids that began at the time of day are far above.
constexpr Number kSmallNumber = 1'000'000'000'000;

Resume sync(sse::SyncReason reason) { return {.kind = Resume::Kind::Sync, .reason = reason}; }
Resume suffix(Place place, bool by_origin = false) {
  return {.kind = Resume::Kind::Suffix, .place = place, .by_origin = by_origin};
}

}  // namespace

Resume resume(const ReplayLog& log, std::optional<std::string_view> last_event_id) {
  using enum sse::SyncReason;
  if (seeded_bug("origin-id-first") && last_event_id) {
    if (const auto place = log.find_origin(*last_event_id)) return suffix(*place + 1, true);
  }
  if (!last_event_id || last_event_id->size() > kMaxLastEventId) return sync(Unknown);
  const ParsedId id = parse_id(*last_event_id);
  const bool untagged = log.form().tag.empty();
  Found found;
  if (id.fits(log.form())) {
    found = log.find(id.number, *last_event_id);
    const bool given = found.kind != Found::Kind::Never && found.kind != Found::Kind::Ahead;
    if (given && untagged && log.form().spelling == Spelling::Decimal && log.newest_number() < kSmallNumber &&
        log.has_numeric_origin()) {
      Resume answer = sync(Unknown);
      answer.ambiguous = true;
      return answer;
    }
    if (found.kind == Found::Kind::Entry && seeded_bug("resume-repeats-one")) return suffix(found.place);
    if (found.kind == Found::Kind::Entry && seeded_bug("resume-skips-one")) return suffix(found.place + 2);
    if (found.kind == Found::Kind::Entry) return suffix(found.place + 1);
    if (found.kind == Found::Kind::Floor) return suffix(found.place);
    if (found.kind == Found::Kind::Evicted && seeded_bug("evicted-untold")) return suffix(log.first());
    if (found.kind == Found::Kind::Evicted) return sync(Window);
  }
  if (const auto place = log.find_origin(*last_event_id)) return suffix(*place + 1, true);
  if (found.kind == Found::Kind::Ahead && seeded_bug("ahead-untold")) return suffix(log.published());
  return sync(found.kind == Found::Kind::Ahead ? Ahead : Unknown);
}

}  // namespace ssequel::replay
