// Frames of any event with any origin id in any style: a client dispatches exactly the event, with our id; JSON data
// stays JSON and differs by the one member alone. And sync-required data is one JSON object on one line, whatever was
// asked for. The first byte chooses style and place; the first line is the origin id, the rest the event's data.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../unit/sse/reference_parser.h"
#include "sse/frame.h"
#include "sse/json.h"

namespace {

using namespace ssequel::sse;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

bool is_one_line(std::string_view text) { return text.find_first_of("\r\n") == std::string_view::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  using Kind = OriginStyle::Kind;
  constexpr Kind kKinds[] = {Kind::None, Kind::Comment, Kind::Field, Kind::Json};
  const OriginStyle style{kKinds[bytes[0] % 4], "origin"};
  const auto place = bytes[0] % 8 < 4 ? IdPlace::First : IdPlace::Last;
  const std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
  const std::string_view origin = rest.substr(0, end);
  const std::string_view data = rest.substr(std::min(end + 1, rest.size()));

  const std::string lines = event_lines("type", data);
  std::string plain;
  append_frame(plain, "1", lines, {}, style, place);
  std::string frame;
  append_frame(frame, "1", lines, origin, style, place);
  const auto before = reference::dispatched_by(plain);
  const auto after = reference::dispatched_by(frame);
  require(before.size() == 1 && after.size() == 1, "a frame is one event");
  require(after[0].type == "type" && after[0].last_event_id == "1", "with the event's type and our id");
  if (style.kind == Kind::Json && !origin.empty() && json::is_object(data) && is_one_line(data)) {
    const std::string member = [&] {
      std::string out = "\"origin\":";
      json::append_string(out, origin);
      return out;
    }();
    require(json::is_object(after[0].data), "an object stays an object");
    const std::size_t at = after[0].data.find('{') + 1;
    require(after[0].data.compare(at, member.size(), member) == 0, "our member is the first");
    std::string without = after[0].data;
    without.erase(at, member.size() + (without[at + member.size()] == ',' ? 1 : 0));
    require(without == before[0].data, "and nothing else has changed");
  } else {
    require(after == before, "the origin id changes nothing else");
  }

  for (const auto requested : {origin, data, rest}) {
    const std::string sync = sync_required_data(SyncReason::Unknown, requested, origin, {}, data);
    require(is_one_line(sync) && json::is_object(sync), "sync-required data is one object on one line");
    require(json::cut_utf8(requested, 128).size() <= 128, "a cut text is cut");
  }
  (void)json::is_object(rest);
  return 0;
}
