// Two requests of hostile making: they share a channel's key, and an identity, exactly if what the route names is the
// same in both. The oracle knows nothing of how keys are put together; it compares the parts.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "relay/identity.h"
#include "relay/last_event_id.h"

namespace {

using namespace ssequel;
using namespace ssequel::relay;
using Kind = KeyPart::Kind;
using Values = std::vector<std::string>;

void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  // Without what the parser would not let through here.
  std::string text(std::string_view without) {
    std::string out(rest_.substr(0, byte() % 8));
    rest_.remove_prefix(std::min(rest_.size(), out.size()));
    std::erase_if(out, [&](char c) { return without.find(c) != std::string_view::npos; });
    return out;
  }

 private:
  std::string_view rest_;
};

// What counts of a request, each part by itself.
struct Parts {
  std::string host, path, query, identity;
  Values a, b, cookies, parameters;
  bool operator==(const Parts&) const = default;
};

struct Asked {
  http::RequestHead head;
  Parts parts;
};

std::string lower_host(std::string host) {
  host = ascii::to_lower(host);
  if (host.ends_with(":80")) host.resize(host.size() - 3);
  return host;
}

Asked ask(Input& in) {
  Asked asked;
  auto& [head, parts] = asked;
  head.method = "GET";
  head.host = in.text("\r\n");
  parts.host = lower_host(head.host);
  parts.path = "/" + in.text("?#\r\n");
  parts.identity = in.text({});
  head.origin_form = parts.path;
  for (unsigned left = in.byte() % 4, first = 1; left != 0; --left, first = 0) {
    const auto kind = in.byte() % 4;
    const auto value = in.text("&#\r\n");
    const std::string name = kind == 0 ? "q" : kind == 1 ? "lastEventId" : in.text("&=#\r\n");
    const auto whole = name + "=" + value;
    head.origin_form += (first != 0 ? "?" : "&") + whole;
    if (name == "q") parts.parameters.push_back(value);
    if (name != "lastEventId") parts.query += "&" + whole;
  }
  for (auto left = in.byte() % 6; left != 0; --left) {
    const auto kind = in.byte() % 4;
    const auto value = in.text(kind == 2 ? ";\r\n \t" : "\r\n");
    switch (kind) {
      case 0:
        head.fields.add("a", value);
        parts.a.push_back(value);
        break;
      case 1:
        head.fields.add("B", value);
        parts.b.push_back(value);
        break;
      case 2:
        head.fields.add("Cookie", "c=" + value + "; other=" + in.text(";\r\n \t"));
        parts.cookies.push_back(value);
        break;
      default:
        head.fields.add("Unnamed", value);
    }
  }
  return asked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Route route = [] {
    Route made;
    made.key = {{Kind::Host, ""},    {Kind::Path, ""},    {Kind::Query, ""},   {Kind::Identity, ""},
                {Kind::Header, "A"}, {Kind::Header, "b"}, {Kind::Cookie, "c"}, {Kind::QueryParameter, "q"}};
    made.identity.fields = {"A", "B*", "Cookie"};
    made.identity.cookies = Values{"c"};
    return made;
  }();
  Input in(data, size);
  const auto one = ask(in);
  const auto other = ask(in);
  const auto key = channel_key(route, one.head, one.parts.identity);
  require((key == channel_key(route, other.head, other.parts.identity)) == (one.parts == other.parts));
  require(key == channel_key(route, one.head, one.parts.identity));

  const auto identity = identity_of(one.head.fields, route.identity);
  const bool has_any = !one.parts.a.empty() || !one.parts.b.empty() || !one.parts.cookies.empty();
  require(identity.size() == (has_any ? 32u : 0u));
  if (identity == identity_of(other.head.fields, route.identity)) {
    // The order between fields of different names may count besides.
    require(one.parts.a == other.parts.a && one.parts.b == other.parts.b && one.parts.cookies == other.parts.cookies);
  }

  // The other readers of the same bytes: total, and the query's rest has none of what was taken out.
  const auto id = last_event_id_of(one.head, route.last_event_id_query);
  require(id.is_present || (!id.is_readable && id.value.empty()));
  const auto rest = query_without(one.head.query(), route.last_event_id_query);
  for (const auto& name : route.last_event_id_query) require(!query_parameter(rest, name));
  require(query_without(rest, route.last_event_id_query) == rest);
  return 0;
}
