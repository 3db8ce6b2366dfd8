#include "app/command_line.h"

#include <unistd.h>

#include <iostream>
#include <optional>
#include <span>

#include "app/admin_client.h"
#include "app/config.h"
#include "app/logger.h"
#include "app/server.h"
#include "app/version.h"
#include "app/window_command.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/seeded_bug.h"
#include "net/loop.h"

namespace ssequel::app {
namespace {

constexpr int kMisconfigured = 2;
constexpr Millis kAdminTime{3000};

constexpr std::string_view kUsage =
    "ssequel: makes Server-Sent Events resumable for a service that is not\n"
    "\n"
    "  ssequel --config FILE                run with a configuration file\n"
    "  ssequel --upstream URL [--listen HOST:PORT] [--admin HOST:PORT] [--shared PATH]...\n"
    "                                       run without one; each PATH is one stream shared by all\n"
    "  ssequel check FILE                   validate a file and print the effective configuration\n"
    "  ssequel schema                       print the file's JSON Schema\n"
    "  ssequel window --rate 10/s [--retry 3s] [--disconnect-p99 60s] [--event-bytes 1KiB] [--channels 1]\n"
    "                                       say how large a window must be, as YAML to paste\n"
    "  ssequel drain [--config FILE | --admin HOST:PORT]\n"
    "                                       ask the running process to drain\n"
    "  ssequel healthcheck [--ready] [--config FILE | --admin HOST:PORT]\n"
    "                                       exit 0 if the running process lives (is ready)\n"
    "  ssequel --version | --help\n";

struct Arguments {
  std::optional<std::string> config;
  ShortForm form;
  std::optional<std::string> admin;
  bool ready = false;
};

// "--name VALUE" or "--name=VALUE". False: a problem, said on err.
bool parse(std::span<const std::string> rest, Arguments& out, std::ostream& err) {
  for (std::size_t i = 0; i < rest.size(); ++i) {
    auto name = rest[i];
    std::optional<std::string> value;
    if (const auto equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name == "--ready") {
      out.ready = true;
      continue;
    }
    if (name != "--config" && name != "--upstream" && name != "--listen" && name != "--admin" && name != "--shared") {
      err << "ssequel: unknown argument " << name << "; see ssequel --help\n";
      return false;
    }
    if (!value) {
      if (++i == rest.size()) {
        err << "ssequel: " << name << " needs a value\n";
        return false;
      }
      value = rest[i];
    }
    if (name == "--config") out.config = *value;
    if (name == "--upstream") out.form.upstream = *value;
    if (name == "--listen") out.form.listen = *value;
    if (name == "--admin") out.form.admin = out.admin = *value;
    if (name == "--shared") out.form.shared.push_back(*value);
  }
  return true;
}

int serve(const Arguments& arguments, std::ostream& err) {
  if (!arguments.config && arguments.form.upstream.empty()) {
    err << kUsage;
    return kMisconfigured;
  }
  if (arguments.config && (!arguments.form.upstream.empty() || arguments.form.listen || arguments.form.admin ||
                           !arguments.form.shared.empty())) {
    err << "ssequel: --config stands alone: the file says the rest\n";
    return kMisconfigured;
  }
  const auto env = process_environment();
  auto config = arguments.config ? load_config(*arguments.config, env) : short_form_config(arguments.form);
  if (!config) {
    err << config.error().context << "\n";
    return kMisconfigured;
  }
  net::prepare_process();
  SystemClock clock;
  SystemRandom random;
  FdLogger logger(STDERR_FILENO, clock, config->options.log.level, config->options.log.format);
  Server server(logger, clock, random, std::move(*config), arguments.config.value_or(""), env);
  if (auto opened = server.open(); !opened) {
    err << "ssequel: " << opened.error().context << "\n";
    return kMisconfigured;
  }
  return server.run();
}

int check(std::span<const std::string> rest, std::ostream& out, std::ostream& err) {
  if (rest.size() != 1) {
    err << "ssequel: check takes one file\n";
    return kMisconfigured;
  }
  const auto config = load_config(rest.front(), process_environment());
  if (!config) {
    err << config.error().context << "\n";
    return kMisconfigured;
  }
  for (const auto& warning : config->warnings) err << rest.front() << ": warning: " << warning << "\n";
  out << to_yaml(config->options);
  return 0;
}

// The admin address: given, from a file, or the default.
std::optional<net::Address> admin_address(const Arguments& arguments, std::ostream& err) {
  if (arguments.admin) {
    const auto address = net::parse_address(*arguments.admin);
    if (address) return *address;
    err << "ssequel: --admin: " << address.error().context << "\n";
    return std::nullopt;
  }
  if (!arguments.config) return gateway::Options{}.admin;
  const auto config = load_config(*arguments.config, process_environment());
  if (config) return config->options.admin;
  err << config.error().context << "\n";
  return std::nullopt;
}

int ask(std::span<const std::string> rest, const std::string& method, const std::string& path, std::ostream& out,
        std::ostream& err) {
  Arguments arguments;
  if (!parse(rest, arguments, err)) return kMisconfigured;
  const auto address = admin_address(arguments, err);
  if (!address) return kMisconfigured;
  net::prepare_process();
  const auto target = path == "/healthz" && arguments.ready ? std::string("/readyz") : path;
  const auto reply = ask_admin(*address, method, target, kAdminTime);
  if (!reply) {
    err << "ssequel: " << address->to_string() << ": " << reply.error().context << "\n";
    return 1;
  }
  (reply->status < 300 ? out : err) << reply->content;
  return reply->status < 300 ? 0 : 1;
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  const std::span<const std::string> all(arguments);
  const auto command = all.empty() ? std::string_view() : std::string_view(all.front());
  if (command == "--help" || command == "help") {
    out << kUsage;
    return 0;
  }
  if (command == "--version" || command == "version") {
    out << "ssequel " << kVersion << (kHasSeededBugs ? " (with seeded bugs, for tests only)" : "") << "\n";
    return 0;
  }
  if (command == "schema") {
    out << config_schema();
    return 0;
  }
  if (command == "check") return check(all.subspan(1), out, err);
  if (command == "window") return run_window_command(all.subspan(1), out, err);
  if (command == "drain") return ask(all.subspan(1), "POST", "/drain", out, err);
  if (command == "healthcheck") return ask(all.subspan(1), "GET", "/healthz", out, err);
  Arguments parsed;
  if (!parse(all, parsed, err)) return kMisconfigured;
  return serve(parsed, err);
}

}  // namespace ssequel::app
