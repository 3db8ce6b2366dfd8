// Requests for tests, as the parser would give them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "http/message.h"

namespace ssequel::relay {

using FieldList = std::initializer_list<std::pair<std::string_view, std::string_view>>;

inline http::Fields fields_of(FieldList list) {
  http::Fields fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

inline http::RequestHead request(std::string_view target, FieldList fields = {}, std::string_view host = "h") {
  http::RequestHead head;
  head.method = "GET";
  head.target = head.origin_form = target;
  head.host = host;
  head.fields = fields_of(fields);
  return head;
}

}  // namespace ssequel::relay
