#include "redis/slots.h"

#include <charconv>

namespace ssequel::redis {
namespace {

bool is_nobody(std::string_view host) { return host.empty() || host == "?"; }

}  // namespace

std::vector<SlotRange> parse_slots(const Reply& reply, const HostPort& asked) {
  std::vector<SlotRange> ranges;
  for (const auto& range : reply.elements) {
    if (range.elements.size() < 3 || range.elements[2].elements.size() < 2) continue;
    const auto first = range.elements[0].integer;
    const auto last = range.elements[1].integer;
    const auto& master = range.elements[2].elements;
    const auto port = master[1].integer;
    if (first < 0 || last < first || last >= std::int64_t{kSlots} || port < 1 || port > 65535) continue;
    ranges.push_back({static_cast<unsigned>(first),
                      static_cast<unsigned>(last),
                      {is_nobody(master[0].text) ? asked.host : master[0].text, static_cast<std::uint16_t>(port)}});
  }
  return ranges;
}

std::optional<Redirection> parse_redirection(std::string_view error, const HostPort& asked) {
  Redirection found;
  if (error.starts_with("ASK ")) {
    found.is_ask = true;
    error.remove_prefix(4);
  } else if (error.starts_with("MOVED ")) {
    error.remove_prefix(6);
  } else {
    return std::nullopt;
  }
  const auto space = error.find(' ');
  const auto colon = error.rfind(':');  // An IPv6 address has some of its own.
  if (space == error.npos || colon == error.npos || colon < space) return std::nullopt;
  const auto number = [](std::string_view text, auto& out) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
    return code == std::errc() && end == text.data() + text.size();
  };
  if (!number(error.substr(0, space), found.slot) || found.slot >= kSlots) return std::nullopt;
  if (!number(error.substr(colon + 1), found.to.port) || found.to.port == 0) return std::nullopt;
  const auto host = error.substr(space + 1, colon - space - 1);
  found.to.host = is_nobody(host) ? asked.host : std::string(host);
  return found;
}

}  // namespace ssequel::redis
