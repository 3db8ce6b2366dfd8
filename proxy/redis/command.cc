#include "redis/command.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <iterator>
#include <utility>

#include "base/assert.h"

namespace ssequel::redis {
namespace {

void append_header(std::string& out, std::size_t arguments) {
  fmt::format_to(std::back_inserter(out), "*{}\r\n", arguments);
}

void append_argument(std::string& out, std::string_view argument) {
  fmt::format_to(std::back_inserter(out), "${}\r\n", argument.size());
  out.append(argument).append("\r\n");
}

// The beginning of a script's command, up to its text or hash.
std::string script_head(std::size_t arguments, std::string_view name, std::string_view script) {
  std::string out;
  append_header(out, arguments);
  append_argument(out, name);
  append_argument(out, script);
  return out;
}

}  // namespace

Script::Script(std::string source) : source_(std::move(source)) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const bool is_done = EVP_Digest(source_.data(), source_.size(), digest, &size, EVP_sha1(), nullptr) == 1;
  SSEQUEL_ASSERT(is_done, "libcrypto has SHA-1");
  for (unsigned i = 0; i < size; ++i) fmt::format_to(std::back_inserter(sha1_), "{:02x}", digest[i]);
}

std::string encode(Client::Arguments arguments) {
  std::string out;
  std::size_t size = 16;
  for (const auto argument : arguments) size += argument.size() + 16;
  out.reserve(size);
  append_header(out, arguments.size());
  for (const auto argument : arguments) append_argument(out, argument);
  return out;
}

std::string encode_script(const Script& script, Client::Arguments keys, Client::Arguments arguments) {
  auto out = script_head(3 + keys.size() + arguments.size(), "EVALSHA", script.sha1());
  append_argument(out, std::to_string(keys.size()));
  for (const auto key : keys) append_argument(out, key);
  for (const auto argument : arguments) append_argument(out, argument);
  return out;
}

void spell_out(Command& command) {
  const Script& script = *std::exchange(command.script, nullptr);
  // "*N\r\n", then the name and the hash, whose lengths are known; what follows is the same in both.
  const auto header = command.bytes.find('\n') + 1;
  std::string known;
  append_argument(known, "EVALSHA");
  append_argument(known, script.sha1());
  std::string out(command.bytes, 0, header);
  append_argument(out, "EVAL");
  append_argument(out, script.source());
  out.append(command.bytes, header + known.size());
  command.bytes = std::move(out);
}

}  // namespace ssequel::redis
