#include "relay/cookie_watch.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/ascii.h"
#include "relay/identity.h"

namespace ssequel::relay {

std::string CookieWatch::on_new_key(const Route& route, const http::RequestHead& head) {
  const auto pairs = identity_cookie_pairs(head.fields, route.identity);
  if (pairs.empty()) return {};
  auto without = route.identity;
  std::erase_if(without.fields, [](const std::string& name) { return ascii::equals(name, "Cookie"); });
  const std::hash<std::string_view> hash;
  if (places_.size() >= kMaxPlaces) places_.clear();
  auto& place = places_[hash(channel_key(route, head, identity_of(head.fields, without)))];
  std::vector<std::pair<std::string, std::size_t>> cookies;
  for (const auto& [name, pair] : pairs) cookies.emplace_back(name, hash(pair));
  std::vector<std::string> changed;
  bool is_known = head.fields.has("Last-Event-ID");
  for (const auto& [name, value] : cookies) {
    const std::string& wanted = name;
    const auto before = std::find_if(place.cookies.begin(), place.cookies.end(),
                                     [&wanted](const auto& cookie) { return cookie.first == wanted; });
    if (before == place.cookies.end()) continue;
    if (before->second == value) {
      is_known = true;
    } else {
      changed.push_back(name);
    }
  }
  place.cookies = std::move(cookies);
  if (changed.empty() || !is_known) return {};
  for (auto& name : changed) {
    if (place.changed.size() < pairs.size() + 16) place.changed.insert(std::move(name));
  }
  if (++place.changes < kChanges) return {};
  std::string names;
  for (const auto& name : place.changed) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

}  // namespace ssequel::relay
