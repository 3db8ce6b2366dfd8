// The resume point of a request: its Last-Event-ID field, or one of the query parameters that stand for it where the
// field is missing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ssequel::relay {

struct LastEventId {
  // nullopt: there is none (an empty one counts as none).
  // Present but unreadable (two fields, a query value that cannot stand in a field): value is empty, is_readable false.
  bool is_present = false;
  bool is_readable = false;
  bool from_query = false;
  bool has_tag = false;  // It, or one of several, has a tag's form: ours, and never the upstream's affair.
  std::string value;     // As it came; a query value percent-decoded once.
};

[[nodiscard]] LastEventId last_event_id_of(const http::RequestHead& head, const std::vector<std::string>& parameters);

// The query without those parameters, the others byte for byte in their order.
[[nodiscard]] std::string query_without(std::string_view query, const std::vector<std::string>& parameters);
// The raw value of a query parameter; nullopt if it is missing.
[[nodiscard]] std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name);
// The value of a cookie in a Cookie field's value.
[[nodiscard]] std::optional<std::string_view> cookie(std::string_view cookie_field, std::string_view name);

}  // namespace ssequel::relay
