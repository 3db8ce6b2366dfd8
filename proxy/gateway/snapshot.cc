#include "gateway/snapshot.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/ascii.h"
#include "gateway/worker.h"
#include "relay/identity.h"
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

Snapshots::Snapshots(Worker& worker)
    : worker_(worker), rounds_(worker, [](Worker& other) -> SideRounds& { return other.snapshots().rounds_; }) {}

void Snapshots::ask(const SnapshotRequest& request, SnapshotWaiter& waiter) {
  SideRounds::Ask ask;
  // A log has no name of its own that fits all routes, but only one address while somebody asks for it.
  ask.key = std::to_string(reinterpret_cast<std::uintptr_t>(&request.log)) + ":" +
            relay::credential_of(request.fields, request.route.identity);
  ask.holds_for = Millis(-1);
  ask.max_content = request.route.event_bytes;
  ask.text = [&] { return snapshot_request(request, worker_.settings().options.via); };
  ask.judge = [](Worker&, Millis, Result<SideAnswer> answer) {
    auto snapshot = read_snapshot(std::move(answer));
    const bool is_for_all = !snapshot.error.empty();
    return SideRounds::Telling{
        .tell = [snapshot = std::move(snapshot)](SideWaiter& told,
                                                 bool) { static_cast<SnapshotWaiter&>(told).on_snapshot(snapshot); },
        .is_for_all = is_for_all};
  };
  rounds_.ask(ask, waiter);
}

std::string snapshot_request(const SnapshotRequest& request, bool via) {
  http::RequestHead head;
  head.method = "GET";
  head.origin_form = request.route.on_gap.snapshot;
  head.host = request.host;
  request.fields.for_each([&](const http::Field& field) {
    const auto is_it = [&](std::string_view name) { return ascii::equals(field.name, name); };
    if (std::none_of(kNotPassed.begin(), kNotPassed.end(), is_it)) head.fields.add(field.name, field.value);
  });
  head.fields.add("Accept", "application/json, text/*");
  std::string text;
  relay::append_passed_request(text, head, {.address = request.peer_address, .via = via}, &request.route,
                               {.kind = relay::UpstreamLastEventId::Kind::Removed, .value = {}});
  return text;
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
