#include "relay/upstream_request.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "http/hop_by_hop.h"
#include "http/serializer.h"
#include "relay/identity.h"
#include "relay/last_event_id.h"

namespace ssequel::relay {
namespace {

// No Connection field makes these go away: removing one would change who asks, for what, or where the content ends. The
// last two are what an authoriser goes by.
constexpr std::array<std::string_view, 8> kNeverNamed = {
    "Host",          "Content-Length", "Last-Event-ID",     "Cookie",
    "Authorization", "Origin",         "X-Original-Method", "X-Original-URI"};
// A shared stream is one for all: no subscriber's conditions, ranges or codings count.
constexpr std::array<std::string_view, 12> kNotShared = {"Host",
                                                         "Last-Event-ID",
                                                         "Range",
                                                         "If-Range",
                                                         "If-Match",
                                                         "If-None-Match",
                                                         "If-Modified-Since",
                                                         "If-Unmodified-Since",
                                                         "Accept-Encoding",
                                                         "Content-Length",
                                                         "Content-Type",
                                                         "Expect"};

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view other) { return ascii::equals(name, other); });
}

bool is_protected(std::string_view name, const Route* route) {
  if (is_one_of(name, kNeverNamed) || ascii::starts_with(name, "X-Forwarded-")) return true;
  if (!route) return false;
  if (is_identity_field(name, route->identity)) return true;
  const auto is_it = [&](std::string_view other) { return ascii::equals(name, other); };
  if (std::any_of(route->reattach.begin(), route->reattach.end(), is_it)) return true;
  return std::any_of(route->key.begin(), route->key.end(), [&](const KeyPart& part) {
    return part.kind == KeyPart::Kind::Header && ascii::equals(part.name, name);
  });
}

bool has_upstream_field(const Route& route, std::string_view name) {
  return std::any_of(route.upstream_fields.begin(), route.upstream_fields.end(),
                     [&](const auto& field) { return ascii::equals(field.first, name); });
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

// What every request gets from us, besides its own fields, unless the operator says something else there.
class Forwarding {
 public:
  explicit Forwarding(const Peer& peer) : peer_(peer) {}
  Forwarding(const Peer& peer, const Route& route)
      : peer_(peer),
        has_for_(has_upstream_field(route, "X-Forwarded-For")),
        has_proto_(has_upstream_field(route, "X-Forwarded-Proto")),
        has_host_(has_upstream_field(route, "X-Forwarded-Host")) {}

  // True if the field was taken care of.
  bool take(std::string& out, const http::Field& field) {
    if (ascii::equals(field.name, "X-Forwarded-For")) {
      forwarded_for_ += forwarded_for_.empty() ? "" : ", ";
      forwarded_for_ += field.value;
      return true;
    }
    if (ascii::equals(field.name, "X-Forwarded-Proto")) has_proto_ = true;
    if (ascii::equals(field.name, "X-Forwarded-Host")) has_host_ = true;
    if (ascii::equals(field.name, "Via") && peer_.via) {
      append_line(out, field.name, field.value);
      return true;
    }
    return false;
  }
  void finish(std::string& out, std::string_view host) {
    if (!peer_.address.empty()) {
      forwarded_for_ += forwarded_for_.empty() ? "" : ", ";
      forwarded_for_ += peer_.address;
    }
    if (!forwarded_for_.empty() && !has_for_) append_line(out, "X-Forwarded-For", forwarded_for_);
    if (!has_proto_) out += "X-Forwarded-Proto: http\r\n";
    if (!has_host_ && !host.empty()) append_line(out, "X-Forwarded-Host", host);
    if (peer_.via) out += "Via: 1.1 ssequel\r\n";
  }

 private:
  const Peer& peer_;
  std::string forwarded_for_;
  bool has_for_ = false;
  bool has_proto_ = false;
  bool has_host_ = false;
};

std::string target_without_parameters(const http::RequestHead& head, const Route& route) {
  std::string target(head.path());
  const auto query = query_without(head.query(), route.last_event_id_query);
  if (!query.empty()) target += "?" + query;
  return target;
}

}  // namespace

void append_passed_request(std::string& out, const http::RequestHead& head, const Peer& peer, const Route* route,
                           const UpstreamLastEventId& id) {
  const bool touched = id.kind != UpstreamLastEventId::Kind::Untouched;
  http::append_request_line(out, head.method,
                            touched && route ? target_without_parameters(head, *route) : head.origin_form);
  const http::ConnectionOptions connection(head.fields);
  Forwarding forwarding(peer);
  bool has_host = false;
  head.fields.for_each([&](const http::Field& field) {
    if (http::is_hop_by_hop(field.name)) return;
    if (!connection.empty() && connection.names(field.name) && !is_protected(field.name, route)) return;
    if (touched && ascii::equals(field.name, "Last-Event-ID")) return;
    // Events have to be read to be given ids.
    if (route && ascii::equals(field.name, "Accept-Encoding")) return;
    if (ascii::equals(field.name, "Host")) {
      // The authority of an absolute-form target wins over the field (RFC 9112 §3.2.2).
      append_line(out, field.name, head.host);
      has_host = true;
      return;
    }
    if (forwarding.take(out, field)) return;
    append_line(out, field.name, field.value);
  });
  if (!has_host) append_line(out, "Host", head.host.empty() ? "localhost" : std::string_view(head.host));
  if (route) append_line(out, "Accept-Encoding", "identity");
  // Checked: an origin id may have come back inside a client's Last-Event-ID, where it could hold anything.
  if (id.kind == UpstreamLastEventId::Kind::Replaced) http::append_field(out, "Last-Event-ID", id.value);
  forwarding.finish(out, head.host);
  if (head.framing.kind == http::Framing::Kind::Chunked) out += "Transfer-Encoding: chunked\r\n";
  if (head.is_upgrade) {
    append_line(out, "Connection", "upgrade");
    head.fields.for_each([&](const http::Field& field) {
      if (ascii::equals(field.name, "Upgrade")) append_line(out, field.name, field.value);
    });
  }
  out += "\r\n";
}

void append_shared_request(std::string& out, const http::Fields& fields, std::string_view target, std::string_view host,
                           const Peer& peer, const Route& route, bool with_identity,
                           std::optional<std::string_view> last_event_id) {
  http::append_request_line(out, "GET", target);
  const http::ConnectionOptions connection(fields);
  Forwarding forwarding(peer, route);
  if (!has_upstream_field(route, "Host")) append_line(out, "Host", host.empty() ? "localhost" : host);
  bool has_accept = has_upstream_field(route, "Accept");
  fields.for_each([&](const http::Field& field) {
    if (http::is_hop_by_hop(field.name) || is_one_of(field.name, kNotShared)) return;
    if (connection.names(field.name) && !is_protected(field.name, &route)) return;
    if (!with_identity && is_identity_field(field.name, route.identity)) return;
    if (has_upstream_field(route, field.name)) return;
    if (forwarding.take(out, field)) return;
    has_accept |= ascii::equals(field.name, "Accept");
    append_line(out, field.name, field.value);
  });
  if (!has_accept) append_line(out, "Accept", "text/event-stream");
  for (const auto& [name, value] : route.upstream_fields) http::append_field(out, name, value);
  if (last_event_id && !last_event_id->empty()) http::append_field(out, "Last-Event-ID", *last_event_id);
  forwarding.finish(out, host);
  out += "\r\n";
}

std::string shared_target(const http::RequestHead& head, const Route& route) {
  return target_without_parameters(head, route);
}

}  // namespace ssequel::relay
