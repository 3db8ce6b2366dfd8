#include "relay/stream_head.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/seeded_bug.h"
#include "http/hop_by_hop.h"
#include "http/serializer.h"

namespace ssequel::relay {
namespace {

constexpr std::string_view kResumeField = "Ssequel-Resume";

// Of the framing and representation that we replace, on every route.
constexpr std::array<std::string_view, 10> kReplaced = {"Content-Length", "Content-Encoding",  "Content-Type", "ETag",
                                                        "Trailer",        "X-Accel-Buffering", "Content-MD5",  "Digest",
                                                        "Content-Digest", "Repr-Digest"};
// Of one response: they say something about one exchange or one client.
constexpr std::array<std::string_view, 24> kPerResponse = {"Set-Cookie2",
                                                           "Date",
                                                           "Age",
                                                           "Expires",
                                                           "Last-Modified",
                                                           "Accept-Ranges",
                                                           "Content-Range",
                                                           "Retry-After",
                                                           "Location",
                                                           "Server-Timing",
                                                           "WWW-Authenticate",
                                                           "Authentication-Info",
                                                           "Proxy-Authenticate",
                                                           "Proxy-Authentication-Info",
                                                           "Clear-Site-Data",
                                                           "Authorization",
                                                           "Request-Id",
                                                           "CF-Ray",
                                                           "traceparent",
                                                           "tracestate",
                                                           "traceresponse",
                                                           "X-Runtime",
                                                           "X-Response-Time",
                                                           "X-Served-By"};
constexpr std::array<std::string_view, 8> kPerResponsePrefix = {
    "X-Request-", "X-Correlation-", "X-Trace", "X-Amzn-", "X-B3-", "X-RateLimit-", "RateLimit", "X-Session"};

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view other) { return ascii::equals(name, other); });
}

bool is_per_response(std::string_view name) {
  return is_one_of(name, kPerResponse) ||
         std::any_of(kPerResponsePrefix.begin(), kPerResponsePrefix.end(),
                     [&](std::string_view prefix) { return ascii::starts_with(name, prefix); });
}

std::string_view media_type(const http::Fields& fields) {
  const auto value = fields.get("Content-Type").value_or(std::string_view());
  return ascii::trim(value.substr(0, value.find(';')));
}

// varies: the response says already that it is for its Origin (Fetch §3.2.5).
void append_cors(std::string& out, const http::Fields& cors, bool varies) {
  bool is_per_origin = false;
  bool exposed = false;
  bool allowed = false;
  cors.for_each([&](const http::Field& field) {
    if (ascii::equals(field.name, "Access-Control-Allow-Origin")) {
      allowed = true;
      is_per_origin |= field.value != "*";
    }
    if (!ascii::equals(field.name, "Access-Control-Expose-Headers")) {
      http::append_field(out, field.name, field.value);
      return;
    }
    std::string value(field.value);
    if (!exposed) value += value.empty() ? kResumeField : std::string(", ") + std::string(kResumeField);
    exposed = true;
    http::append_field(out, field.name, value);
  });
  if (is_per_origin && !varies) http::append_field(out, "Vary", "Origin");
  if (allowed && !exposed) http::append_field(out, "Access-Control-Expose-Headers", kResumeField);
}

}  // namespace

bool is_cors_field(std::string_view name) noexcept { return ascii::starts_with(name, "Access-Control-"); }

bool has_event_stream_type(const http::Fields& fields) noexcept {
  return ascii::equals(media_type(fields), "text/event-stream");
}

bool is_event_stream(const http::ResponseHead& head, UpstreamFormat format) noexcept {
  if (head.status != 200) return false;
  const auto type = media_type(head.fields);
  switch (format) {
    case UpstreamFormat::Sse:
      return ascii::equals(type, "text/event-stream");
    case UpstreamFormat::Ndjson:
      return ascii::equals(type, "application/x-ndjson") || ascii::equals(type, "application/jsonl");
  }
  return false;
}

StreamHead make_stream_head(const http::ResponseHead& upstream, std::string_view request_origin, bool is_shared) {
  StreamHead head;
  head.origin = request_origin;
  const http::ConnectionOptions connection(upstream.fields);
  upstream.fields.for_each([&](const http::Field& field) {
    const bool is_named = connection.names(field.name) && !seeded_bug("hop-field-leaks");
    if (http::is_hop_by_hop(field.name) || is_named) return;
    if (is_cors_field(field.name)) {
      head.cors.add(field.name, field.value);
      return;
    }
    // A cookie is the opener's own, on session routes too: a replay never sets it again.
    const bool is_cookie = ascii::equals(field.name, "Set-Cookie") && !seeded_bug("cookie-replayed");
    if (is_cookie || is_one_of(field.name, kReplaced)) return;
    if (is_shared && is_per_response(field.name)) return;
    head.fields.add(field.name, field.value);
  });
  const auto type = upstream.fields.get("Content-Type").value_or(std::string_view());
  head.fields.add("Content-Type", has_event_stream_type(upstream.fields) ? type : "text/event-stream");
  if (!head.fields.has("Cache-Control")) head.fields.add("Cache-Control", "no-cache, no-transform");
  head.fields.add("X-Accel-Buffering", "no");
  return StreamHead(head);  // It is kept as long as its log: a copy has no room to grow.
}

std::string serialize(const StreamHead& head) {
  std::string out;
  head.fields.append_to(out);
  out += "\r\n";
  head.cors.append_to(out);
  out += "\r\n";
  return out += head.origin;
}

std::optional<StreamHead> parse_stream_head(std::string_view text) {
  StreamHead head;
  for (auto* fields : {&head.fields, &head.cors}) {
    for (;;) {
      const auto end = text.find("\r\n");
      if (end == std::string_view::npos) return std::nullopt;
      const auto line = text.substr(0, end);
      text.remove_prefix(end + 2);
      if (line.empty()) break;
      const auto colon = line.find(": ");
      if (colon == 0 || colon == std::string_view::npos) return std::nullopt;
      fields->add(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  head.origin = text;
  return head;
}

void append_client_head(std::string& out, const StreamHead& head, const ClientHead& client) {
  http::append_status_line(out, 200, "OK");
  head.fields.append_to(out);
  if (client.cors)
    append_cors(out, *client.cors, head.fields.lists("Vary", "Origin") || head.fields.lists("Vary", "*"));
  if (client.set_cookies) {
    client.set_cookies->for_each([&](const http::Field& field) {
      if (ascii::equals(field.name, "Set-Cookie")) http::append_field(out, field.name, field.value);
    });
  }
  if (!client.resume.empty()) http::append_field(out, kResumeField, client.resume);
  if (client.via) out += "Via: 1.1 ssequel\r\n";
  if (client.is_chunked) out += "Transfer-Encoding: chunked\r\n";
  if (!client.keep_alive || !client.is_chunked) out += "Connection: close\r\n";
  out += "\r\n";
}

void append_bare_head(std::string& out, std::optional<std::string_view> origin, bool is_chunked, bool keep_alive,
                      std::string_view resume) {
  StreamHead head;
  head.fields.add("Content-Type", "text/event-stream");
  head.fields.add("Cache-Control", "no-cache, no-transform");
  head.fields.add("X-Accel-Buffering", "no");
  if (origin && http::is_field_value(*origin)) {
    head.fields.add("Access-Control-Allow-Origin", *origin);
    head.fields.add("Access-Control-Allow-Credentials", "true");
    if (!resume.empty()) head.fields.add("Access-Control-Expose-Headers", kResumeField);
    head.fields.add("Vary", "Origin");
  }
  append_client_head(out, head, {.is_chunked = is_chunked, .keep_alive = keep_alive, .resume = resume});
}

}  // namespace ssequel::relay
