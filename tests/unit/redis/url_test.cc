#include "redis/url.h"

#include <doctest/doctest.h>

namespace ssequel::redis {
namespace {

Url read(std::string_view text) {
  CAPTURE(text);
  auto url = parse_url(text);
  REQUIRE_MESSAGE(url.has_value(), (url ? "" : url.error().context));
  return *url;
}

TEST_CASE("one server") {
  CHECK(read("redis://127.0.0.1") == Url{.hosts = {{"127.0.0.1", 6379}}});
  CHECK(read("redis://cache:7000/3") == Url{.hosts = {{"cache", 7000}}, .db = 3});
  CHECK(read("REDIS://cache/") == Url{.hosts = {{"cache", 6379}}});
  CHECK(read("redis://[::1]:7000") == Url{.hosts = {{"::1", 7000}}});
  CHECK(read("unix:/run/redis.sock") == Url{.hosts = {{"/run/redis.sock", 0}}});
}

TEST_CASE("a login, percent-decoded") {
  CHECK(read("redis://app:p%40ss%2F@cache").login == Login{"app", "p@ss/"});
  CHECK(read("redis://:secret@cache").login == Login{"", "secret"});
  CHECK(read("redis://a:b@c@cache").login == Login{"a", "b@c"});
}

TEST_CASE("TLS") {
  CHECK(read("rediss://cache").tls == TlsFiles{});
  const auto url = read("rediss://cache:6380/1?ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/k.pem&name=redis.internal");
  CHECK(url.tls == TlsFiles{"/etc/ca.pem", "/etc/c.pem", "/etc/k.pem", "redis.internal"});
  CHECK(url.db == 1);
  CHECK(read("rediss://cache?ca=/a").tls == TlsFiles{.ca = "/a"});
}

TEST_CASE("sentinels and a cluster") {
  const auto sentinel = read("redis+sentinel://u:p@s1:1,s2,[::2]:3/mymaster/2?sentinel_password=q");
  CHECK(sentinel.kind == Url::Kind::Sentinel);
  CHECK(sentinel.hosts == std::vector<HostPort>{{"s1", 1}, {"s2", 26379}, {"::2", 3}});
  CHECK(sentinel.master_name == "mymaster");
  CHECK(sentinel.db == 2);
  CHECK(sentinel.login == Login{"u", "p"});
  CHECK(sentinel.sentinel_login == Login{"", "q"});
  const auto cluster = read("rediss+cluster://n1:7000,n2:7001?ca=/ca");
  CHECK(cluster.kind == Url::Kind::Cluster);
  CHECK(cluster.hosts == std::vector<HostPort>{{"n1", 7000}, {"n2", 7001}});
  CHECK(cluster.tls.has_value());
}

TEST_CASE("what is wrong is said without the text") {
  for (const std::string_view text : {"",
                                      "cache",
                                      "http://secret",
                                      "redis://",
                                      "redis://secret@cache",
                                      "redis://u:@cache",
                                      "redis://cache:0",
                                      "redis://cache:70000",
                                      "redis://cache:",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://cache/secret",
                                      "redis://cache/-1",
                                      "redis://a,b",
                                      "redis://u:sec/ret@cache",
                                      "redis://u:sec?ret@cache",
                                      "redis://cache#secret",
                                      "redis://cache?ca=/secret",
                                      "rediss://cache?cert=/secret",
                                      "rediss://cache?secret=1",
                                      "redis+sentinel://secret",
                                      "redis+sentinel://cache/",
                                      "redis+cluster://cache/1",
                                      "redis+other://cache",
                                      "redis+cluster://a,,b",
                                      "redis://cache?sentinel_password=secret",
                                      "redis+sentinel://a/m?sentinel_user=secret"}) {
    CAPTURE(text);
    const auto url = parse_url(text);
    REQUIRE_FALSE(url.has_value());
    CHECK(url.error().code == ErrorCode::Malformed);
    CHECK(url.error().context.find("secret") == std::string::npos);
  }
}

}  // namespace
}  // namespace ssequel::redis
