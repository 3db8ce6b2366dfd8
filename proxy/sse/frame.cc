#include "sse/frame.h"

#include "sse/buffer.h"
#include "sse/json.h"

namespace ssequel::sse {
namespace {

constexpr std::size_t kMaxRequestedBytes = 128;

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).push_back('\n');
}

// The value of the only data field among lines, as a view of them; nullopt if there is another one.
std::optional<std::string_view> only_data(std::string_view lines) {
  std::optional<std::string_view> found;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
    if (!line.starts_with("data") || (line.size() > 4 && line[4] != ':')) continue;
    if (found.has_value()) return std::nullopt;
    line.remove_prefix(line.size() == 4 ? 4 : 5);
    if (line.starts_with(' ')) line.remove_prefix(1);
    found = line;
  }
  return found;
}

// The event's lines, with the origin id as the first member of its JSON object where it is one. An object that has a
// member of this name already keeps it behind ours, and nearly all readers take the last of equals (RFC 8259 §4), so
// that its clients see what they saw before.
void append_with_member(std::string& out, std::string_view lines, std::string_view name, std::string_view origin) {
  const auto data = only_data(lines);
  if (!data.has_value() || !json::is_object(*data)) {
    out.append(lines);
    return;
  }
  const std::size_t brace = data->find('{');
  const std::size_t inside = static_cast<std::size_t>(data->data() - lines.data()) + brace + 1;
  out.append(lines.substr(0, inside));
  json::append_string(out, name);
  out.push_back(':');
  json::append_string(out, origin);
  if (lines[lines.find_first_not_of(" \t", inside)] != '}') out.push_back(',');
  out.append(lines.substr(inside));
}

}  // namespace

void append_frame(std::string& out, std::string_view id, std::string_view lines, std::optional<std::string_view> origin,
                  const OriginStyle& style, IdPlace place) {
  using Kind = OriginStyle::Kind;
  const Kind kind = origin.has_value() && !origin->empty() ? style.kind : Kind::None;
  const auto append_id = [&] {
    append_field(out, "id", id);
    if (kind == Kind::Comment) out.append(": origin ").append(*origin).push_back('\n');
  };
  if (place == IdPlace::First) {
    append_id();
  } else if (lines.starts_with(kByteOrderMark)) {
    out.append(kHeartbeat);
  }
  if (kind == Kind::Json) {
    append_with_member(out, lines, style.name, *origin);
  } else {
    out.append(lines);
  }
  if (kind == Kind::Field) append_field(out, style.name, *origin);
  if (place == IdPlace::Last) append_id();
  out.push_back('\n');
}

std::string_view to_string(SyncReason reason) noexcept {
  switch (reason) {
    case SyncReason::Window:
      return "window";
    case SyncReason::Ahead:
      return "ahead";
    case SyncReason::Unknown:
      return "unknown";
    case SyncReason::Lagged:
      return "lagged";
    case SyncReason::Dropped:
      return "dropped";
    case SyncReason::UpstreamGap:
      return "upstream-gap";
    case SyncReason::StoreGap:
      return "store-gap";
    case SyncReason::UpstreamLost:
      return "upstream-lost";
  }
  return "unknown";
}

std::string sync_required_data(SyncReason reason, std::optional<std::string_view> requested,
                               std::optional<std::string_view> oldest, std::optional<std::string_view> newest,
                               std::string_view error) {
  std::string out;
  const auto append_member = [&](std::string_view name, std::optional<std::string_view> value) {
    out.push_back(out.empty() ? '{' : ',');
    json::append_string(out, name);
    out.push_back(':');
    if (value.has_value()) {
      json::append_string(out, *value);
    } else {
      out.append("null");
    }
  };
  append_member("reason", to_string(reason));
  if (requested.has_value()) {
    append_member("requested", json::cut_utf8(*requested, kMaxRequestedBytes));
  } else {
    append_member("requested", std::nullopt);
  }
  append_member("oldest", oldest);
  append_member("newest", newest);
  if (!error.empty()) append_member("error", error);
  out.push_back('}');
  return out;
}

std::string event_lines(std::string_view name, std::string_view data) {
  std::string out;
  name = name.substr(0, name.find_first_of("\r\n"));
  if (!name.empty()) append_field(out, "event", name);
  for (;;) {
    const std::size_t end = data.find_first_of("\r\n");
    append_field(out, "data", data.substr(0, end));
    if (end == std::string_view::npos) return out;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
}

std::string priming_block(std::string_view id) {
  std::string out;
  append_field(out, "id", id);
  out.push_back('\n');
  return out;
}

std::string retry_line(std::uint64_t milliseconds) {
  std::string out;
  append_field(out, "retry", std::to_string(milliseconds));
  return out;
}

}  // namespace ssequel::sse
