// Who is asking: the request's identity fields, and the key of the channel it may share. Keys are injective: parts are
// length-prefixed, so that no two different requests share one by the way their parts are put together.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "relay/route.h"

namespace ssequel::relay {

// A digest of the identity fields a request has, their names and values; empty if it has none. 32 raw bytes otherwise.
// Neither the order of different fields nor that of different cookies counts.
[[nodiscard]] std::string identity_of(const http::Fields& fields, const Identity& identity);

// The same of what an authoriser says of a request (`identity.authorize`); empty if it says nothing.
[[nodiscard]] std::string authorised_identity(std::string_view said);

// By what an upstream may know who is asking: the identity, and all that usually says so whether the route counts it or
// not. What one request was told, let in or given, another one is only if this is the same. Empty if there is nothing.
[[nodiscard]] std::string credential_of(const http::Fields& fields, const Identity& identity);

// True if the field belongs to the identity (a name, or a prefix ending in *).
[[nodiscard]] bool is_identity_field(std::string_view name, const Identity& identity) noexcept;
// The cookies that are part of a request's identity, (name, whole pair), and their names as a log line tells them. The
// first few of them, and none with a name of more than 64 bytes. Views of `fields`.
[[nodiscard]] std::vector<std::pair<std::string_view, std::string_view>> identity_cookie_pairs(
    const http::Fields& fields, const Identity& identity);
[[nodiscard]] std::string identity_cookies(const http::Fields& fields, const Identity& identity);
// Cookies that say nothing of who is asking: analytics, load balancers, bot checks.
[[nodiscard]] bool is_noise_cookie(std::string_view name) noexcept;

// The page's origin (RFC 6454 §7) that a request comes from, as it said; empty if it said none, or the host that it
// asks. A browser names its own host when it posts, and not when it gets (Fetch §3.2), so that the two mean the same
// page.
[[nodiscard]] std::string_view foreign_origin(const http::RequestHead& head) noexcept;

// What of a route decides how a log's entries read and who shares it: a change of it begins new logs.
[[nodiscard]] std::string log_signature(const Route& route);

// The key of a shared channel: route, the parts that the route names, and the signature. identity: as identity_of()
// gave it, or what the authoriser said instead.
[[nodiscard]] std::string channel_key(const Route& route, const http::RequestHead& head, std::string_view identity);
// A channel of this route and no identity has the key that any request for its target and host makes: nothing else is
// a part of it.
[[nodiscard]] bool is_known_by_target(const Route& route, bool has_identity);
// The key without the signature: the same for all logs that a key had, whatever reloads made of them. Of a session's
// tag, all of it.
[[nodiscard]] std::string_view start_key(std::string_view key);

}  // namespace ssequel::relay
