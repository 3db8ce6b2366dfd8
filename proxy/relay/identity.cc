#include "relay/identity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/ascii.h"
#include "base/seeded_bug.h"
#include "base/sha256.h"
#include "relay/last_event_id.h"
#include "relay/pairs.h"

namespace ssequel::relay {
namespace {

// A shared channel's key: this part, with all that a request says, and behind it the log's signature.
constexpr char kStart = 'b';
// What an operator is told of a request's cookies: so many names, none longer.
constexpr std::size_t kMaxNamed = 16;
constexpr std::size_t kMaxCookieName = 64;

void add_part(std::string& out, char kind, std::string_view part) {
  out += kind;
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

std::string normalized_host(std::string_view host) {
  auto out = ascii::to_lower(host);
  if (out.ends_with(":80")) out.resize(out.size() - 3);
  return out;
}

template <class Use>
void for_each_identity_cookie(const http::Fields& fields, const Identity& identity, Use use) {
  fields.for_each([&](const http::Field& field) {
    if (!ascii::equals(field.name, "Cookie")) return;
    for_each_cookie(field.value, [&](std::string_view name, std::string_view, std::string_view pair) {
      const auto& wanted = identity.cookies;
      const bool counts =
          wanted ? std::find(wanted->begin(), wanted->end(), name) != wanted->end() : !is_noise_cookie(name);
      if (counts) use(name, pair);
      return true;
    });
  });
}

// An authority without the port that its scheme means anyway.
std::string_view without_port(std::string_view authority, std::string_view port) noexcept {
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

}  // namespace

bool is_noise_cookie(std::string_view name) noexcept {
  // Whole names where they are known: AWSELBAuthSessionCookie-0 is a login, AWSELB is none.
  static constexpr auto kNames = std::to_array<std::string_view>(
      {// Analytics and advertising.
       "_ga", "_gid", "_gat", "_gali", "_gcl_au", "_gcl_aw", "_gcl_dc", "_fbp", "_fbc", "_uetsid", "_uetvid", "_clck",
       "_clsk", "_hjid", "_hjTLDTest", "_hjFirstSeen", "_hjAbsoluteSessionInProgress", "__utma", "__utmb", "__utmc",
       "__utmt", "__utmv", "__utmz", "_dd_s", "_mkto_trk", "ajs_anonymous_id", "__hstc", "__hssc", "__hssrc",
       "hubspotutk", "optimizelyEndUserId", "_vwo_uuid",
       // Load balancers.
       "AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "AWSELB", "AWSELBCORS", "__cflb", "INGRESSCOOKIE",
       "SERVERID", "ARRAffinity", "ARRAffinitySameSite",
       // Bot checks.
       "__cf_bm", "__cfruid", "cf_clearance", "_cfuvid", "ak_bmsc", "_abck", "bm_sz", "bm_sv", "bm_mi", "bm_so",
       "bm_s"});
  static constexpr auto kPrefixes =
      std::to_array<std::string_view>({"_ga_", "_gac_", "_gat_", "_hjSession", "_hjIncluded", "_pk_id", "_pk_ref",
                                       "_pk_ses", "incap_ses_", "visid_incap_", "nlbi_", "ph_phc_"});
  if (name.ends_with("_session")) return false;  // As frameworks name an application's own: _ga_session of one "ga".
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  if (name.starts_with("mp_") && name.ends_with("_mixpanel")) return true;
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_identity_field(std::string_view name, const Identity& identity) noexcept {
  return std::any_of(identity.fields.begin(), identity.fields.end(), [&](std::string_view wanted) {
    if (wanted.ends_with('*')) return ascii::starts_with(name, wanted.substr(0, wanted.size() - 1));
    return ascii::equals(name, wanted);
  });
}

std::string identity_of(const http::Fields& fields, const Identity& identity) {
  // The order of different fields and cookies says nothing, and intermediaries change it; that of several lines of one
  // name, or several cookies of one, does.
  std::multimap<std::string, std::string_view> lines;  // Equal ones in the order of their coming.
  std::multimap<std::string_view, std::string_view> cookies;
  fields.for_each([&](const http::Field& field) {
    if (ascii::equals(field.name, "Cookie") || !is_identity_field(field.name, identity)) return;
    lines.emplace(ascii::to_lower(field.name), field.value);
  });
  if (is_identity_field("Cookie", identity)) {
    for_each_identity_cookie(fields, identity,
                             [&](std::string_view name, std::string_view pair) { cookies.emplace(name, pair); });
  }
  if (lines.empty() && cookies.empty()) return {};
  std::string parts;
  for (const auto& [name, value] : lines) {
    add_part(parts, 'n', name);
    add_part(parts, 'v', value);
  }
  for (const auto& [name, pair] : cookies) add_part(parts, 'c', pair);
  const Digest digest = sha256(parts);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string credential_of(const http::Fields& fields, const Identity& identity) {
  static const Identity kUsual;
  return identity_of(fields, identity) + identity_of(fields, kUsual);
}

std::string authorised_identity(std::string_view said) {
  if (said.empty()) return {};
  std::string parts;
  add_part(parts, 'a', said);
  const Digest digest = sha256(parts);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::vector<std::pair<std::string_view, std::string_view>> identity_cookie_pairs(const http::Fields& fields,
                                                                                 const Identity& identity) {
  std::vector<std::pair<std::string_view, std::string_view>> cookies;
  if (!is_identity_field("Cookie", identity)) return cookies;
  for_each_identity_cookie(fields, identity, [&](std::string_view name, std::string_view pair) {
    if (cookies.size() < kMaxNamed && name.size() <= kMaxCookieName) cookies.emplace_back(name, pair);
  });
  return cookies;
}

std::string identity_cookies(const http::Fields& fields, const Identity& identity) {
  std::string names;
  for (const auto& [name, pair] : identity_cookie_pairs(fields, identity)) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

std::string_view foreign_origin(const http::RequestHead& head) noexcept {
  const auto origin = head.fields.get("Origin").value_or(std::string_view());
  // Whether TLS was spoken, only what stands in front of us knows: either scheme, and what it leaves unsaid as a port.
  constexpr std::pair<std::string_view, std::string_view> kSchemes[] = {{"http://", ":80"}, {"https://", ":443"}};
  for (const auto& [scheme, port] : kSchemes) {
    if (!ascii::starts_with(origin, scheme)) continue;
    if (ascii::equals(without_port(origin.substr(scheme.size()), port), without_port(head.host, port))) return {};
  }
  return origin;
}

std::string log_signature(const Route& route) {
  std::string out;
  const Ids& ids = route.ids;
  add_part(out, 'm', std::to_string(static_cast<int>(route.mode)));
  add_part(out, 't', std::to_string(static_cast<int>(ids.strategy)));
  // Others of these make other numbers; the settings of other strategies say nothing.
  switch (ids.strategy) {
    case Strategy::Sequence:
    case Strategy::Ulid:
    case Strategy::Postgres:
      break;
    case Strategy::Redis:
      add_part(out, 'c', ids.counter);
      break;
    case Strategy::Snowflake:
      add_part(out, 'e', std::to_string(ids.epoch_ms));
      add_part(out, 'b', std::to_string(ids.node_bits));
      break;
  }
  // What one node places and what each does are no one log.
  if (route.producers == Producers::All) add_part(out, 'p', "all");
  add_part(out, 'n', ids.start ? std::to_string(*ids.start) : "auto");
  add_part(out, 'a', ids.always_tag ? "1" : "0");
  add_part(out, 'o', std::to_string(static_cast<int>(ids.origin.kind)));
  add_part(out, 'O', ids.origin.name);
  add_part(out, 'p', std::to_string(static_cast<int>(ids.place)));
  for (const KeyPart& part : route.key) {
    add_part(out, 'k', std::to_string(static_cast<int>(part.kind)));
    add_part(out, 'K', part.name);
  }
  return out;
}

std::string channel_key(const Route& route, const http::RequestHead& head, std::string_view identity) {
  std::string key;
  add_part(key, 'r', route.name);
  if (seeded_bug("two-upstreams")) add_part(key, 'x', head.fields.get("User-Agent").value_or(std::string_view()));
  for (const KeyPart& part : route.key) {
    switch (part.kind) {
      case KeyPart::Kind::Host:
        add_part(key, 'h', normalized_host(head.host));
        break;
      case KeyPart::Kind::Path:
        add_part(key, 'p', head.path());
        break;
      case KeyPart::Kind::Query:
        if (seeded_bug("key-without-query")) break;
        add_part(key, 'q', query_without(head.query(), route.last_event_id_query));
        break;
      case KeyPart::Kind::Identity:
        if (!seeded_bug("key-without-identity")) add_part(key, 'i', identity);
        break;
      case KeyPart::Kind::Header: {
        // Several lines are several values: their number and order count.
        head.fields.for_each([&](const http::Field& field) {
          if (ascii::equals(field.name, part.name)) add_part(key, 'f', field.value);
        });
        key += 'F';
        break;
      }
      case KeyPart::Kind::Cookie: {
        // Which of several of one name counts is the upstream's affair, so all do; for parameters too.
        head.fields.for_each([&](const http::Field& field) {
          if (!ascii::equals(field.name, "Cookie")) return;
          for_each_cookie(field.value, [&](std::string_view name, std::string_view, std::string_view pair) {
            if (name == part.name) add_part(key, 'k', pair);
            return true;
          });
        });
        key += 'K';
        break;
      }
      case KeyPart::Kind::QueryParameter:
        for_each_parameter(head.query(), [&](std::string_view name, std::string_view, std::string_view whole) {
          if (name == part.name) add_part(key, 'u', whole);
          return true;
        });
        key += 'U';
        break;
    }
  }
  std::string whole;
  add_part(whole, kStart, key);
  // A log whose ids read otherwise is another log: a reload that changes them begins anew.
  whole += log_signature(route);
  return whole;
}

bool is_known_by_target(const Route& route, bool has_identity) {
  if (has_identity) return false;
  return std::none_of(route.key.begin(), route.key.end(), [](const KeyPart& part) {
    return part.kind == KeyPart::Kind::Header || part.kind == KeyPart::Kind::Cookie;
  });
}

std::string_view start_key(std::string_view key) {
  if (!key.starts_with(kStart)) return key;
  const auto colon = key.find(':');
  std::size_t size = 0;
  // A tag has no colon.
  if (colon == std::string_view::npos) return key;
  const auto parsed = std::from_chars(key.data() + 1, key.data() + colon, size);
  if (parsed.ec != std::errc() || parsed.ptr != key.data() + colon) return key;
  return key.substr(0, colon + 1 + size);
}

}  // namespace ssequel::relay
