#include "relay/last_event_id.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/percent.h"
#include "http/serializer.h"
#include "relay/pairs.h"
#include "replay/event_id.h"

namespace ssequel::relay {
namespace {

bool is_one_of(std::string_view name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name) {
  std::optional<std::string_view> found;
  for_each_parameter(query, [&](std::string_view candidate, std::string_view value, std::string_view) {
    if (candidate != name) return true;
    found = value;
    return false;
  });
  return found;
}

std::string query_without(std::string_view query, const std::vector<std::string>& parameters) {
  std::string out;
  bool first = true;
  for_each_parameter(query, [&](std::string_view name, std::string_view, std::string_view whole) {
    if (is_one_of(name, parameters)) return true;
    if (!first) out += '&';
    first = false;
    out += whole;
    return true;
  });
  return out;
}

std::optional<std::string_view> cookie(std::string_view cookie_field, std::string_view name) {
  std::optional<std::string_view> found;
  for_each_cookie(cookie_field, [&](std::string_view candidate, std::string_view value, std::string_view) {
    if (candidate == name) found = value;
    return !found;
  });
  return found;
}

LastEventId last_event_id_of(const http::RequestHead& head, const std::vector<std::string>& parameters) {
  LastEventId id;
  std::size_t lines = 0;
  head.fields.for_each([&](const http::Field& field) {
    if (!ascii::equals(field.name, "Last-Event-ID")) return;
    ++lines;
    id.has_tag |= replay::has_tag_form(field.value);
    id.value = field.value;
  });
  // An empty field counts as none.
  if (lines > 1 || !id.value.empty()) {
    id.is_present = true;
    id.is_readable = lines == 1;
    if (!id.is_readable) id.value.clear();
    return id;
  }
  for (const auto& name : parameters) {
    const auto raw = query_parameter(head.query(), name);
    if (!raw || raw->empty()) continue;
    id.value = percent_decode(*raw);
    id.is_present = true;
    id.from_query = true;
    id.is_readable = http::is_field_value(id.value);
    if (!id.is_readable) id.value.clear();
    id.has_tag = replay::has_tag_form(id.value);
    return id;
  }
  return {};
}

}  // namespace ssequel::relay
