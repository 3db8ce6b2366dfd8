#include "relay/reattach.h"

#include <algorithm>

#include "base/ascii.h"
#include "relay/identity.h"
#include "relay/upstream_request.h"

namespace ssequel::relay {

bool has_reattach_field(const Route& route, const http::RequestHead& head) {
  return std::any_of(route.reattach.begin(), route.reattach.end(),
                     [&head](const std::string& name) { return head.fields.has(name); });
}

ReattachDigest::ReattachDigest(const Route& route, const http::RequestHead& head, std::string_view identity,
                               std::string_view last_event_id) {
  std::string parts;
  const auto add_part = [&parts](char kind, std::string_view part) {
    parts += kind;
    parts.append(std::to_string(part.size())).append(":").append(part);
  };
  add_part('r', route.name);
  add_part('i', identity);
  add_part('o', foreign_origin(head));
  add_part('m', head.method);
  add_part('h', ascii::to_lower(head.host));
  add_part('t', shared_target(head, route));
  add_part('l', last_event_id);
  for (const auto& name : route.reattach) {
    add_part('f', ascii::to_lower(name));
    // Several lines are several values: their number and order count.
    head.fields.for_each([&](const http::Field& field) {
      if (ascii::equals(field.name, name)) add_part('v', field.value);
    });
  }
  parts += 'c';  // All the rest is content.
  digest_.add(parts);
}

std::string ReattachDigest::finish() {
  const auto digest = digest_.finish();
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace ssequel::relay
