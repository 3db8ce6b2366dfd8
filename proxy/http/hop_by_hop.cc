#include "http/hop_by_hop.h"

#include <algorithm>

#include "base/ascii.h"

namespace ssequel::http {

bool is_hop_by_hop(std::string_view name) noexcept {
  switch (name.size()) {  // Asked for every field of every message: most names fail at their length.
    case 2:
      return ascii::equals(name, "te");
    case 7:
      return ascii::equals(name, "upgrade");
    case 10:
      return ascii::equals(name, "connection") || ascii::equals(name, "keep-alive");
    case 14:
      return ascii::equals(name, "http2-settings");
    case 16:
      return ascii::equals(name, "proxy-connection");
    case 17:
      return ascii::equals(name, "transfer-encoding");
  }
  return false;
}

ConnectionOptions::ConnectionOptions(const Fields& fields) {
  fields.for_each([&](const Field& field) {
    if (!ascii::equals(field.name, "connection")) return;
    ascii::for_each_element(field.value, [&](std::string_view option) {
      if (!ascii::equals(option, "close") && !ascii::equals(option, "keep-alive")) named_.push_back(option);
    });
  });
}

bool ConnectionOptions::names(std::string_view name) const noexcept {
  return std::any_of(named_.begin(), named_.end(),
                     [&](std::string_view option) { return ascii::equals(option, name); });
}

}  // namespace ssequel::http
