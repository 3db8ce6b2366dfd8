#include <doctest/doctest.h>

#include "redis/caller.h"
#include "support/redis_server.h"

using namespace ssequel;
using namespace std::chrono_literals;
using redis::Trouble;
using ssequel::test::RedisCaller;
using ssequel::test::RedisServer;
using ssequel::test::TestLoop;

namespace {

// An authority, a server's certificate for `localhost` and 127.0.0.1, a client's, and one of another authority.
struct Certificates {
  Certificates() {
    make_authority("ca");
    make_authority("other");
    sign("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    sign("elsewhere", "ca", "subjectAltName=DNS:elsewhere");
    sign("client", "ca", "subjectAltName=DNS:client");
  }
  void make_authority(const std::string& name) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name + " -keyout " +
        name + ".key -out " + name + ".pem");
  }
  void sign(const std::string& name, const std::string& authority, const std::string& extension) {
    folder.write(name + ".ext", extension);
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name + " -keyout " + name +
        ".key -out " + name + ".csr && openssl x509 -req -days 2 -in " + name + ".csr -CA " + authority +
        ".pem -CAkey " + authority + ".key -CAcreateserial -extfile " + name + ".ext -out " + name + ".pem");
  }
  void run(const std::string& command) { said += test::shell("cd " + folder.path() + " && " + command); }
  [[nodiscard]] std::vector<std::string> server_settings(const std::string& name) const {
    return {"--tls-port",     std::to_string(tls_port),   "--tls-cert-file",    folder.path(name + ".pem"),
            "--tls-key-file", folder.path(name + ".key"), "--tls-ca-cert-file", folder.path("ca.pem")};
  }
  [[nodiscard]] std::string url(const std::string& parameters) const {
    return "rediss://localhost:" + std::to_string(tls_port) + "?" + parameters;
  }
  [[nodiscard]] std::string with_client(const std::string& more = {}) const {
    return url("ca=" + folder.path("ca.pem") + "&cert=" + folder.path("client.pem") +
               "&key=" + folder.path("client.key") + more);
  }

  test::TemporaryFolder folder;
  std::uint16_t tls_port = test::free_port();
  std::string said;
};

}  // namespace

TEST_CASE("TLS with a client certificate, and trouble where there is no trust") {
  const Certificates certificates;
  const RedisServer server(certificates.server_settings("server"));
  TestLoop loop;
  RedisCaller caller(loop, certificates.with_client());
  const std::string value(300 * 1024, 'x');
  REQUIRE_MESSAGE(caller.ask({"SET", "a", value}).has_value(), certificates.said);
  CHECK(caller.ask({"GET", "a"})->text == value);
  int answers = 0;
  for (int i = 0; i < 5000; ++i) caller.client->send({"INCR", "n"}, {}, [&](const redis::Answer&) { ++answers; });
  REQUIRE(loop.run_until([&] { return answers == 5000; }, 30s));
  CHECK(caller.ask({"GET", "n"})->text == "5000");
  CHECK(server.cli("EXISTS a") == "1\n");

  RedisCaller by_address(loop, "rediss://127.0.0.1:" + std::to_string(certificates.tls_port) +
                                   certificates.with_client().substr(certificates.with_client().find('?')));
  CHECK(by_address.ask({"GET", "n"}).has_value());

  const auto trouble_of = [&](const std::string& url) {
    RedisCaller stranger(loop, url);
    const auto answer = stranger.ask({"GET", "a"});
    REQUIRE_FALSE(answer.has_value());
    return answer.error();
  };
  // Another authority; another name; no client certificate (which the server tells after the handshake).
  const auto& folder = certificates.folder;
  CHECK(trouble_of(certificates.url("ca=" + folder.path("other.pem"))).trouble == Trouble::Denied);
  const auto misnamed = trouble_of(certificates.with_client("&name=elsewhere"));
  CHECK(misnamed.trouble == Trouble::Denied);
  CHECK(misnamed.context.find("certificate is not trusted") != std::string::npos);
  CHECK(trouble_of(certificates.url("ca=" + folder.path("ca.pem"))).trouble == Trouble::Away);
}

TEST_CASE("a certificate for another host is not taken for this one's") {
  const Certificates certificates;
  const RedisServer server(certificates.server_settings("elsewhere"));
  TestLoop loop;
  RedisCaller caller(loop, certificates.with_client());
  const auto answer = caller.ask({"PING"});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().trouble == Trouble::Denied);
  RedisCaller named(loop, certificates.with_client("&name=elsewhere"));
  CHECK(named.ask({"PING"}).has_value());
}

TEST_CASE("TLS never falls back to plain text") {
  const Certificates certificates;
  const RedisServer server;
  TestLoop loop;
  RedisCaller caller(loop, "rediss://" + server.at() + "?ca=" + certificates.folder.path("ca.pem"), 500ms);
  CHECK(caller.ask({"SET", "a", "1"}).error().trouble == Trouble::Away);
  CHECK(server.cli("EXISTS a") == "0\n");
}

TEST_CASE("TLS files that cannot be used are the operator's to mend") {
  TestLoop loop;
  SystemRandom random;
  struct Nobody final : redis::ClientListener {
    void on_up() override {}
    void on_down(const redis::Failure&) override {}
  } nobody;
  const auto made =
      redis::Client::create(loop.deadlines(), random, {.url = *redis::parse_url("rediss://a?ca=/nowhere.pem")}, nobody);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == ErrorCode::Misconfigured);
  CHECK(made.error().context.find("/nowhere.pem") != std::string::npos);
}
