// The head of a request as it goes to the upstream (RFC 9110 §7.6, RFC 9112 §3): pure text from text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "relay/route.h"

namespace ssequel::relay {

struct Peer {
  std::string_view address;  // Of the client, without port; empty: unknown.
  bool via = false;          // Add Via.
};

// What becomes of the Last-Event-ID on its way up.
struct UpstreamLastEventId {
  enum class Kind {
    Untouched,  // As the client sent it, byte for byte.
    Removed,
    Replaced  // By `value`.
  } kind = Kind::Untouched;
  std::string value;
};

// A client's request, passed on: its fields in their order, case and number, but for hop-by-hop ones; X-Forwarded-For
// appended to, -Proto and -Host set where missing. Last-Event-ID, identity fields and Host cannot be named away by
// Connection. With the empty line. route: null for transparent requests. target_parameters: the query parameters that
// stand for Last-Event-ID are taken out where it is removed or replaced.
void append_passed_request(std::string& out, const http::RequestHead& head, const Peer& peer, const Route* route,
                           const UpstreamLastEventId& id);

// The request of a shared channel: GET of the target; the fields of one subscriber's request less its conditions,
// ranges and codings, and less its identity fields unless with_identity; the route's upstream_fields instead of any of
// the same name; the channel's own Last-Event-ID.
void append_shared_request(std::string& out, const http::Fields& fields, std::string_view target, std::string_view host,
                           const Peer& peer, const Route& route, bool with_identity,
                           std::optional<std::string_view> last_event_id);

// The target of a shared channel's request: the subscriber's, without the parameters that stand for Last-Event-ID.
[[nodiscard]] std::string shared_target(const http::RequestHead& head, const Route& route);

}  // namespace ssequel::relay
