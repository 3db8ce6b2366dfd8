#include "relay/identity.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "base/ascii.h"
#include "replay/journal.h"
#include "unit/relay/requests.h"

namespace ssequel::relay {
namespace {

std::string identity(FieldList fields, const Identity& of = {}) { return identity_of(fields_of(fields), of); }

TEST_CASE("a request without identity fields has no identity") {
  CHECK(identity({}) == "");
  CHECK(identity({{"Accept", "text/event-stream"}, {"X-Forwarded-For", "10.0.0.1"}, {"X-Authority", "a"}}) == "");
}

TEST_CASE("an identity is a digest: it has no credential in it") {
  const auto digest = identity({{"Authorization", "Bearer secret"}});
  CHECK(digest.size() == 32);
  CHECK(digest.find("secret") == std::string::npos);
  CHECK(digest == identity({{"authorization", "Bearer secret"}, {"Accept", "*/*"}}));
}

TEST_CASE("each of the identity fields makes another identity, its value too") {
  std::map<std::string, std::string> seen;
  for (const char* name : {"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Auth-Token", "X-Auth-",
                           "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Client-Cert",
                           "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data", "Mcp-Session-Id"}) {
    for (const char* value : {"a=1", "a=2"}) {
      const auto digest = identity({{name, value}});
      CHECK(digest.size() == 32);
      CHECK(seen.emplace(digest, name).second);
    }
  }
  CHECK(identity({{"Authorization", ""}}) != "");
}

TEST_CASE("identity fields are known by name or prefix, without case") {
  const Identity of;
  CHECK(is_identity_field("AUTHORIZATION", of));
  CHECK(is_identity_field("x-auth-request-user", of));
  CHECK_FALSE(is_identity_field("X-Auth", of));
  CHECK_FALSE(is_identity_field("Authorization2", of));
  CHECK_FALSE(is_identity_field("X-Forwarded-For", of));
  CHECK_FALSE(is_identity_field("Authorization", {.fields = {"X-User"}}));
}

TEST_CASE("the start key of a shared channel is all of its key but the log's signature") {
  Route route;
  route.mode = Mode::Shared;
  route.name = "feed";
  http::RequestHead head;
  head.method = "GET";
  head.host = "example.test";
  head.origin_form = "/events/a?x=1";
  const auto key = channel_key(route, head, "me");
  CHECK(start_key(key).size() < key.size());
  auto other = route;
  other.ids.place = sse::IdPlace::Last;
  other.ids.start = 7;
  const auto changed = channel_key(other, head, "me");
  CHECK(changed != key);
  CHECK(start_key(changed) == start_key(key));
  CHECK(start_key(channel_key(route, head, "you")) != start_key(key));
  head.origin_form = "/events/b?x=1";
  CHECK(start_key(channel_key(route, head, "me")) != start_key(key));
  // What a store remembers numbers by is the same.
  CHECK(replay::LogRecord{.key = key, .signature = log_signature(route)}.start_key() == start_key(key));
}

TEST_CASE("the start key of a session's tag is the tag") {
  for (const char* tag : {"b123456789012345678901", "1AAAAAAAAAAAAAAAAAAAAA", "b", "b:", "b5", ""}) {
    CHECK(start_key(tag) == tag);
  }
}

TEST_CASE("the order of different fields and of different cookies is none of the identity's") {
  const auto one = identity({{"Authorization", "a"}, {"X-Api-Key", "k"}, {"Cookie", "a=1; b=2"}});
  CHECK(one == identity({{"Cookie", "a=1; b=2"}, {"x-api-key", "k"}, {"Authorization", "a"}}));
  CHECK(one == identity({{"Authorization", "a"}, {"X-Api-Key", "k"}, {"Cookie", "b=2;a=1"}}));
  CHECK(one == identity({{"Cookie", "b=2"}, {"Authorization", "a"}, {"Cookie", "a=1"}, {"X-Api-Key", "k"}}));
  CHECK(one != identity({{"Authorization", "k"}, {"X-Api-Key", "a"}, {"Cookie", "a=1; b=2"}}));
  CHECK(one != identity({{"Authorization", "a"}, {"X-Api-Key", "k"}, {"Cookie", "a=2; b=1"}}));
  // Of several of one name the first or the last may count.
  CHECK(identity({{"Cookie", "a=1; a=2"}}) != identity({{"Cookie", "a=2; a=1"}}));
}

TEST_CASE("an operator is told the names of the cookies that count, never their values") {
  const auto fields = fields_of({{"Cookie", "sid=secret; _ga=1; csrf=9"}, {"Cookie", "theme=dark"}});
  CHECK(identity_cookies(fields, {}) == "sid, csrf, theme");
  CHECK(identity_cookies(fields, {.cookies = std::vector<std::string>{"sid"}}) == "sid");
  CHECK(identity_cookies(fields, {.fields = {"Authorization"}}) == "");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "cookie" + std::to_string(i) + "=x; ";
  many += std::string(5000, 'n') + "=x";
  CHECK(identity_cookies(fields_of({{"Cookie", many}}), {}).size() < 200);
}

TEST_CASE("two lines are two values: their number and place count") {
  const auto one = identity({{"Authorization", "a"}});
  const auto two = identity({{"Authorization", "a"}, {"Authorization", "b"}});
  CHECK(one != two);
  CHECK(two != identity({{"Authorization", "b"}, {"Authorization", "a"}}));
  CHECK(two != identity({{"Authorization", "a, b"}}));
  CHECK(two != identity({{"Authorization", "ab"}}));
}

TEST_CASE("values cannot be shifted from one field to another") {
  CHECK(identity({{"X-Auth-A", "bX-Auth-C"}}) != identity({{"X-Auth-A", "b"}, {"X-Auth-C", ""}}));
  CHECK(identity({{"X-Auth-A", "v1:b"}}) != identity({{"X-Auth-Av1", "b"}}));
  CHECK(identity({{"Cookie", "a=1; b=2"}}) != identity({{"Cookie", "a=1b=2"}}));
}

TEST_CASE("cookies count, but for those of analytics, load balancers and bot checks") {
  const auto login = identity({{"Cookie", "session=abc"}});
  CHECK(login.size() == 32);
  CHECK(login != identity({{"Cookie", "session=abd"}}));
  CHECK(login != identity({{"Cookie", "session=abc; other=1"}}));
  CHECK(login == identity({{"Cookie", "_ga=GA1.2.3; session=abc; AWSALB=x; __cf_bm=y"}}));
  CHECK(login == identity({{"Cookie", " session=abc ;"}}));
  CHECK(identity({{"Cookie", "_ga=GA1.2.3; _ga_AB12CD=1; _gid=4"}}) == "");
}

TEST_CASE("cookies in one line or in several are the same cookies") {
  CHECK(identity({{"Cookie", "a=1; b=2"}}) == identity({{"Cookie", "a=1"}, {"Cookie", "b=2"}}));
}

TEST_CASE("noise has whole names: an application's own cookie is no noise by how it begins") {
  for (const char* name : {"_ga",           "_ga_1A2B3C",     "_gid",         "_gat",
                           "_gat_UA-1-1",   "_gcl_au",        "_fbp",         "_hjSessionUser_12",
                           "_pk_id.1.1fff", "_pk_ses.1.1fff", "_uetsid",      "_clck",
                           "AWSALB",        "AWSALBCORS",     "AWSALBTG",     "AWSELB",
                           "__cf_bm",       "__cflb",         "cf_clearance", "_cfuvid",
                           "ak_bmsc",       "bm_sz",          "__utma",       "incap_ses_1_2",
                           "visid_incap_1", "SERVERID",       "ARRAffinity",  "mp_1234_mixpanel"}) {
    CAPTURE(name);
    CHECK(is_noise_cookie(name));
  }
  for (const char* name : {"",
                           "session",
                           "sid",
                           "_gallery_session",
                           "_ga_session",
                           "_hj_session",
                           "mp_session",
                           "bm_token",
                           "SERVERIDENTITY",
                           "_gatekeeper",
                           "_pk_token",
                           "AWSELBAuthSessionCookie-0",
                           "AWSALBAuthNonce",
                           "_GA",
                           "x_ga",
                           "__Host-session",
                           "JSESSIONID",
                           "connect.sid",
                           "CF_Authorization",
                           "ajs_user_id",
                           "XSRF-TOKEN"}) {
    CAPTURE(name);
    CHECK_FALSE(is_noise_cookie(name));
  }
}

TEST_CASE("a list of cookies names all that count, noise or not") {
  const Identity of{.cookies = std::vector<std::string>{"sid", "_ga"}};
  const auto digest = identity({{"Cookie", "sid=1"}}, of);
  CHECK(digest.size() == 32);
  CHECK(digest == identity({{"Cookie", "theme=dark; sid=1; csrf=9"}}, of));
  CHECK(digest != identity({{"Cookie", "sid=1; _ga=1"}}, of));
  CHECK(digest != identity({{"Cookie", "SID=1"}}, of));
  CHECK(identity({{"Cookie", "theme=dark"}}, of) == "");
  CHECK(identity({{"Cookie", "sid=1"}}, {.cookies = std::vector<std::string>{}}) == "");
}

// -------------------------------------------------------------------------------------------------- channel_key

Route route_with(std::vector<KeyPart> key) {
  Route route;
  route.name = "feed";
  route.mode = Mode::Shared;
  route.key = std::move(key);
  return route;
}
using Kind = KeyPart::Kind;

TEST_CASE("the default key tells hosts, paths, queries and identities apart") {
  const auto route = route_with(Route().key);
  const auto key = channel_key(route, request("/a?b"), "");
  CHECK(key == channel_key(route, request("/a?b"), ""));
  CHECK(key != channel_key(route, request("/a?b", {}, "other"), ""));
  CHECK(key != channel_key(route, request("/a?c"), ""));
  CHECK(key != channel_key(route, request("/b?b"), ""));
  CHECK(key != channel_key(route, request("/a%3Fb"), ""));
  CHECK(key != channel_key(route, request("/a"), ""));
  CHECK(key != channel_key(route, request("/a?b"), "x"));
  CHECK(channel_key(route, request("/A"), "") != channel_key(route, request("/a"), ""));
  CHECK(channel_key(route, request("/a?x=1&y=2"), "") != channel_key(route, request("/a?y=2&x=1"), ""));
  CHECK(channel_key(route, request("/a?x=%41"), "") != channel_key(route, request("/a?x=A"), ""));
}

TEST_CASE("two routes never share a channel") {
  auto one = route_with({{Kind::Path, ""}});
  auto other = one;
  other.name = "news";
  CHECK(channel_key(one, request("/a"), "") != channel_key(other, request("/a"), ""));
}

TEST_CASE("the host counts in lower case, without the default port") {
  const auto route = route_with({{Kind::Host, ""}});
  const auto of = [&](std::string_view host) { return channel_key(route, request("/", {}, host), ""); };
  CHECK(of("Example.COM:80") == of("example.com"));
  CHECK(of("[::1]:80") == of("[::1]"));
  CHECK(of("example.com:8080") != of("example.com"));
  CHECK(of("example.com:180") != of("example.com:1"));
  CHECK(of("") != of("h"));
}

TEST_CASE("the parameters that stand for Last-Event-ID are no part of a key") {
  const auto route = route_with({{Kind::Path, ""}, {Kind::Query, ""}});
  CHECK(channel_key(route, request("/a?x=1&lastEventId=5"), "") == channel_key(route, request("/a?x=1"), ""));
  CHECK(channel_key(route, request("/a?lastEventId=5"), "") == channel_key(route, request("/a"), ""));
}

TEST_CASE("what the key does not name does not count") {
  const auto route = route_with({{Kind::Path, ""}});
  CHECK(channel_key(route, request("/a?x", {{"Cookie", "a=1"}}, "one"), "i") ==
        channel_key(route, request("/a", {}, "two"), ""));
}

TEST_CASE("fields in a key: missing is not empty, and several lines are several values") {
  const auto route = route_with({{Kind::Header, "X-Tenant"}, {Kind::Header, "X-Zone"}});
  std::map<std::string, int> keys;
  const auto add = [&](FieldList fields) { ++keys[channel_key(route, request("/", fields), "")]; };
  add({});
  add({{"X-Tenant", ""}});
  add({{"X-Zone", ""}});
  add({{"X-Tenant", "a"}});
  add({{"X-Zone", "a"}});
  add({{"X-Tenant", "a"}, {"X-Tenant", "b"}});
  add({{"X-Tenant", "b"}, {"X-Tenant", "a"}});
  add({{"X-Tenant", "ab"}});
  add({{"X-Tenant", "a"}, {"X-Zone", "b"}});
  add({{"X-Tenant", "Ff1:b"}});
  CHECK(keys.size() == 10);
  CHECK(channel_key(route, request("/", {{"x-tenant", "a"}}), "") ==
        channel_key(route, request("/", {{"X-TENANT", "a"}, {"Other", "b"}}), ""));
}

TEST_CASE("cookies and parameters in a key: missing is not empty, and every one of the name counts") {
  const auto cookies = route_with({{Kind::Cookie, "sid"}});
  const auto cookie_key = [&](FieldList fields) { return channel_key(cookies, request("/", fields), ""); };
  CHECK(cookie_key({}) != cookie_key({{"Cookie", "sid="}}));
  CHECK(cookie_key({{"Cookie", "a=1; sid=2"}}) == cookie_key({{"Cookie", "sid=2; b=3"}}));
  CHECK(cookie_key({{"Cookie", "sid=2"}}) != cookie_key({{"Cookie", "sid=3"}}));
  CHECK(cookie_key({{"Cookie", "sid=2"}}) != cookie_key({{"Cookie", "sid=2; sid=3"}}));
  CHECK(cookie_key({{"Cookie", "sid=2; sid=4"}}) != cookie_key({{"Cookie", "sid=2; sid=3"}}));
  const auto parameters = route_with({{Kind::QueryParameter, "room"}});
  const auto parameter_key = [&](std::string_view target) { return channel_key(parameters, request(target), ""); };
  CHECK(parameter_key("/") != parameter_key("/?room="));
  CHECK(parameter_key("/?room=1&x=2") == parameter_key("/other?y=3&room=1"));
  CHECK(parameter_key("/?room=1") != parameter_key("/?room=2"));
  CHECK(parameter_key("/?room=1&room=3") != parameter_key("/?room=1&room=2"));
}

// Requests of few and awkward values, so that collisions would be found: digits, colons and the letters that keys are
// made of.
TEST_CASE("keys are injective: equal keys only for equal requests") {
  const auto route = route_with({{Kind::Host, ""},
                                 {Kind::Path, ""},
                                 {Kind::Query, ""},
                                 {Kind::Identity, ""},
                                 {Kind::Header, "A"},
                                 {Kind::Header, "B"},
                                 {Kind::Cookie, "c"},
                                 {Kind::QueryParameter, "q"}});
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto text = [&] {
    static constexpr std::string_view kLetters = "1:2hpqifFkKuU-";
    std::string out;
    for (auto left = random() % 4; left != 0; --left) out += kLetters[random() % kLetters.size()];
    return out;
  };
  struct Parts {
    std::string host, path, query, identity;
    std::vector<std::string> a, b;
    std::vector<std::string> cookies;
    auto operator<=>(const Parts&) const = default;
    // Written out: GCC 12 at -O2 forgets the vectors' comparison that a defaulted one calls.
    bool operator==(const Parts& other) const { return (*this <=> other) == 0; }
  };
  std::map<std::string, Parts> seen;
  std::map<Parts, std::string> keys;
  for (int round = 0; round < 40000; ++round) {
    Parts parts{text(), "/" + text(), text(), text(), {}, {}, {}};
    http::Fields fields;
    for (auto left = random() % 3; left != 0; --left) fields.add("A", parts.a.emplace_back(text()));
    for (auto left = random() % 3; left != 0; --left) fields.add("B", parts.b.emplace_back(text()));
    for (auto left = random() % 3; left != 0; --left) {
      fields.add("Cookie", "c=" + parts.cookies.emplace_back(text()));
    }
    if (random() % 2 != 0) parts.query += (parts.query.empty() ? "q=" : "&q=") + text();
    auto head = request(parts.path + (parts.query.empty() ? "" : "?" + parts.query), {}, parts.host);
    head.fields = fields;
    const auto key = channel_key(route, head, parts.identity);
    parts.host = ascii::to_lower(parts.host);  // As a host's name means it.
    const auto known = seen.emplace(key, parts);
    CHECK(known.first->second == parts);
    const auto again = keys.emplace(parts, key);
    CHECK(again.first->second == key);
  }
}

TEST_CASE("a page of the host that is asked has no foreign origin, whichever scheme it was read by") {
  const auto origin = [](std::string_view said, std::string_view host) {
    return std::string(foreign_origin(request("/events", {{"Origin", said}}, host)));
  };
  CHECK(foreign_origin(request("/events")) == "");
  for (const auto& [said, host] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"http://app.example", "app.example"},
           {"https://app.example", "App.Example"},
           {"https://app.example", "app.example:443"},
           {"http://app.example:80", "app.example"},
           {"http://app.example:8080", "app.example:8080"},
           {"http://[::1]:3000", "[::1]:3000"}}) {
    CHECK(origin(said, host) == "");
  }
  for (const auto& [said, host] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"http://evil.example", "app.example"},
           {"http://app.example.evil.example", "app.example"},
           {"http://app.example:8080", "app.example"},
           {"https://app.example:80", "app.example"},
           {"http://app.example", "app.example:8080"},
           {"ftp://app.example", "app.example"},
           {"app.example", "app.example"},
           {"null", "null"},
           {"http://", "app.example"}}) {
    CHECK(origin(said, host) == said);
  }
}

}  // namespace
}  // namespace ssequel::relay
