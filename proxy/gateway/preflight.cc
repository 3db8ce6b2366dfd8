#include "gateway/preflight.h"

#include "base/ascii.h"

namespace ssequel::gateway {
namespace {

constexpr std::string_view kRequested = "Access-Control-Request-Headers";
constexpr std::string_view kAllowed = "Access-Control-Allow-Headers";
constexpr std::string_view kName = "last-event-id";

}  // namespace

void Preflight::start_preflight(http::RequestHead& head) {
  if (head.fields.lists(kRequested, kName)) {
    asked_ = true;
    head.fields.for_each([&](const http::Field& field) {
      if (!ascii::equals(field.name, kRequested)) return;
      ascii::for_each_element(field.value, [&](std::string_view name) {
        if (ascii::equals(name, kName)) return;
        if (!rest_.empty()) rest_ += ",";
        rest_ += name;
      });
    });
    if (rest_.empty()) {
      head.fields.remove(kRequested);
    } else {
      head.fields.set(kRequested, rest_);
    }
  }
  start(head, nullptr, {});
}

void Preflight::amend_head(http::ResponseHead& head) {
  if (!asked_ || head.status < 200 || head.status > 299 || !head.fields.has("Access-Control-Allow-Origin")) return;
  const bool any = head.fields.lists(kAllowed, "*");
  bool allows_rest = true;
  ascii::for_each_element(rest_, [&](std::string_view name) {
    if (!any && !head.fields.lists(kAllowed, name)) allows_rest = false;
  });
  if (!allows_rest || head.fields.lists(kAllowed, kName)) return;
  const auto allowed = head.fields.get(kAllowed);
  if (!allowed) {
    head.fields.add(kAllowed, kName);
    return;
  }
  std::string value;
  head.fields.for_each([&](const http::Field& field) {
    if (!ascii::equals(field.name, kAllowed) || field.value.empty()) return;
    if (!value.empty()) value += ", ";
    value += field.value;
  });
  if (!value.empty()) value += ", ";
  value += kName;
  head.fields.remove(kAllowed);
  head.fields.add(kAllowed, value);
}

}  // namespace ssequel::gateway
