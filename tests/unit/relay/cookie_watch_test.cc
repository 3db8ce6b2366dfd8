#include "relay/cookie_watch.h"

#include <doctest/doctest.h>

#include "unit/relay/requests.h"

namespace ssequel::relay {
namespace {

Route keyed() {
  Route route;
  route.mode = Mode::Shared;
  route.name = "feed";
  return route;
}

// What is told after so many requests with these cookies, each with its number in place of `#`.
std::string told_after(CookieWatch& watch, int times, std::string cookies, FieldList more = {},
                       std::string_view target = "/events/a") {
  std::string told;
  for (int i = 0; i < times; ++i) {
    auto head = request(target, more);
    auto value = cookies;
    for (auto at = value.find('#'); at != std::string::npos; at = value.find('#')) {
      value.replace(at, 1, std::to_string(i));
    }
    head.fields.add("Cookie", value);
    told = watch.on_new_key(keyed(), head);
    if (!told.empty()) return told;
  }
  return told;
}

TEST_CASE("a cookie that changes beside one that stays is told after a few changes") {
  CookieWatch watch;
  CHECK(told_after(watch, CookieWatch::kChanges, "sid=1; csrf=#; _ga=#") == "");
  CHECK(told_after(watch, 2, "sid=1; csrf=x#; _ga=#") == "csrf");
}

TEST_CASE("all that keep changing are told, by name") {
  CookieWatch watch;
  CHECK(told_after(watch, 20, "sid=1; a=#; b=#") == "a, b");
}

TEST_CASE("different logins on one path are no change of one client's") {
  CookieWatch watch;
  CHECK(told_after(watch, 100, "sid=#") == "");
  CHECK(told_after(watch, 100, "sid=x#; other=#") == "");
}

TEST_CASE("a lone cookie that changes is told where its client comes again") {
  CookieWatch watch;
  CHECK(told_after(watch, 20, "sid=#", {{"Last-Event-ID", "1AAAAAAAAAAAAAAAAAAAAA-5"}}) == "sid");
}

TEST_CASE("where another field of the identity changes too, cookies alone are not the reason") {
  CookieWatch watch;
  for (int i = 0; i < 50; ++i) {
    const auto token = "Bearer " + std::to_string(i);
    CHECK(told_after(watch, 1, "sid=1; csrf=" + std::to_string(i), {{"Authorization", token}}) == "");
  }
}

TEST_CASE("paths are apart, and what is known of them is bounded") {
  CookieWatch watch;
  for (int i = 0; i < 3000; ++i) {
    const auto target = "/events/" + std::to_string(i);
    CHECK(told_after(watch, 2, "sid=1; csrf=#", {}, target) == "");
  }
}

}  // namespace
}  // namespace ssequel::relay
