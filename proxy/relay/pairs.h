// The pairs that requests carry besides fields: parameters of a query, cookies of a Cookie field. Raw bytes, in order.
#pragma once

#include <string_view>

#include "base/ascii.h"

namespace ssequel::relay {

// Calls use(name, value, whole) for each parameter between ampersands, empty ones too, until it returns false.
template <class Use>
void for_each_parameter(std::string_view query, Use use) {
  for (bool is_last = query.empty(); !is_last;) {
    const auto ampersand = query.find('&');
    const auto whole = query.substr(0, ampersand);
    is_last = ampersand == std::string_view::npos;
    if (!is_last) query.remove_prefix(ampersand + 1);
    const auto equals = whole.find('=');
    const auto value = equals == std::string_view::npos ? std::string_view() : whole.substr(equals + 1);
    if (!use(whole.substr(0, equals), value, whole)) return;
  }
}

// Calls use(name, value, whole) for each pair of a Cookie field's value (RFC 6265 §4.2.1) until it returns false.
template <class Use>
void for_each_cookie(std::string_view cookies, Use use) {
  while (!cookies.empty()) {
    const auto semicolon = cookies.find(';');
    const auto whole = ascii::trim(cookies.substr(0, semicolon));
    cookies.remove_prefix(semicolon == std::string_view::npos ? cookies.size() : semicolon + 1);
    if (whole.empty()) continue;
    const auto equals = whole.find('=');
    const auto value = equals == std::string_view::npos ? std::string_view() : ascii::trim(whole.substr(equals + 1));
    if (!use(ascii::trim(whole.substr(0, equals)), value, whole)) return;
  }
}

}  // namespace ssequel::relay
