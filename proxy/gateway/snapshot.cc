#include "gateway/snapshot.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "relay/upstream_request.h"

namespace ssequel::gateway {
namespace {

// Of the subscriber's request for a stream: none of them is about the snapshot.
constexpr std::array<std::string_view, 10> kNotPassed = {"Accept",
                                                         "Range",
                                                         "If-Range",
                                                         "If-Match",
                                                         "If-None-Match",
                                                         "If-Modified-Since",
                                                         "If-Unmodified-Since",
                                                         "Content-Length",
                                                         "Content-Type",
                                                         "Expect"};

bool is_text(std::string_view content_type) {
  const auto media = ascii::to_lower(ascii::trim(content_type.substr(0, content_type.find(';'))));
  return media.starts_with("text/") || media == "application/json" || media.ends_with("+json");
}

}  // namespace

std::string snapshot_request(const relay::Route& route, const http::Fields& fields, std::string_view host,
                             std::string_view peer_address, bool via) {
  http::RequestHead head;
  head.method = "GET";
  head.origin_form = route.on_gap.snapshot;
  head.host = host;
  fields.for_each([&](const http::Field& field) {
    const auto is_it = [&](std::string_view name) { return ascii::equals(field.name, name); };
    if (std::none_of(kNotPassed.begin(), kNotPassed.end(), is_it)) head.fields.add(field.name, field.value);
  });
  head.fields.add("Accept", "application/json, text/*");
  std::string request;
  relay::append_passed_request(request, head, {.address = peer_address, .via = via}, &route,
                               {.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}});
  return request;
}

Snapshot read_snapshot(Result<SideAnswer> answer) {
  if (!answer) return {.content = {}, .error = answer.error().context};
  if (answer->status != 200) {
    return {.content = {}, .error = "the snapshot was answered with status " + std::to_string(answer->status)};
  }
  if (!is_text(answer->fields.get("Content-Type").value_or(std::string_view())) ||
      answer->fields.has("Content-Encoding")) {
    return {.content = {}, .error = "the snapshot is no text"};
  }
  if (answer->content.empty()) return {.content = {}, .error = "the snapshot is empty"};
  return {.content = std::move(answer->content), .error = {}};
}

}  // namespace ssequel::gateway
