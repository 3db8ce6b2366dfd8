#include "relay/identity.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/sha256.h"
#include "relay/last_event_id.h"

namespace ssequel::relay {
namespace {

void add_part(std::string& out, char kind, std::string_view part) {
  out += kind;
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

void add_optional(std::string& out, char kind, std::optional<std::string_view> part) {
  if (part) {
    add_part(out, kind, *part);
  } else {
    out += kind;  // Missing is not empty.
    out += '-';
  }
}

std::string normalized_host(std::string_view host) {
  auto out = ascii::to_lower(host);
  if (out.ends_with(":80")) out.resize(out.size() - 3);
  return out;
}

void add_cookies(std::string& out, std::string_view value, const std::optional<std::vector<std::string>>& wanted) {
  while (!value.empty()) {
    const auto semicolon = value.find(';');
    const auto pair = ascii::trim(value.substr(0, semicolon));
    value.remove_prefix(semicolon == std::string_view::npos ? value.size() : semicolon + 1);
    if (pair.empty()) continue;
    const auto name = ascii::trim(pair.substr(0, pair.find('=')));
    const bool counts =
        wanted ? std::find(wanted->begin(), wanted->end(), name) != wanted->end() : !is_noise_cookie(name);
    if (counts) add_part(out, 'c', pair);
  }
}

}  // namespace

bool is_noise_cookie(std::string_view name) noexcept {
  static constexpr std::array kPrefixes = {
      "_ga",          "_gid",      "_gat",          "_gcl_",      "_fbp",        "_fbc",   "_hj",
      "_pk_",         "_uet",      "_clck",         "_clsk",      "AWSALB",      "AWSELB", "__cf_bm",
      "__cflb",       "__cfruid",  "cf_clearance",  "_cfuvid",    "ak_bmsc",     "bm_",    "incap_ses_",
      "visid_incap_", "nlbi_",     "_dd_s",         "amplitude_", "mp_",         "ajs_",   "optimizely",
      "__utm",        "_mkto_trk", "INGRESSCOOKIE", "SERVERID",   "ARRAffinity", "ph_phc_"};
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
  std::string parts;
  fields.for_each([&](const http::Field& field) {
    if (!is_identity_field(field.name, identity)) return;
    if (ascii::equals(field.name, "Cookie")) {
      add_cookies(parts, field.value, identity.cookies);
    } else {
      add_part(parts, 'n', ascii::to_lower(field.name));
      add_part(parts, 'v', field.value);
    }
  });
  if (parts.empty()) return {};
  const Digest digest = sha256(parts);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string channel_key(const Route& route, const http::RequestHead& head, std::string_view identity) {
  std::string key;
  add_part(key, 'r', route.name);
  for (const KeyPart& part : route.key) {
    switch (part.kind) {
      case KeyPart::Kind::Host:
        add_part(key, 'h', normalized_host(head.host));
        break;
      case KeyPart::Kind::Path:
        add_part(key, 'p', head.path());
        break;
      case KeyPart::Kind::Query:
        add_part(key, 'q', query_without(head.query(), route.last_event_id_query));
        break;
      case KeyPart::Kind::Identity:
        add_part(key, 'i', identity);
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
        std::optional<std::string_view> value;
        head.fields.for_each([&](const http::Field& field) {
          if (!value && ascii::equals(field.name, "Cookie")) value = cookie(field.value, part.name);
        });
        add_optional(key, 'k', value);
        break;
      }
      case KeyPart::Kind::QueryParameter:
        add_optional(key, 'u', query_parameter(head.query(), part.name));
        break;
    }
  }
  return key;
}

}  // namespace ssequel::relay
