// What Redis answers, as a value; and what it means for a caller when it is an error. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ssequel::redis {

// RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/
struct Reply {
  enum class Kind { Nil, Status, String, Integer, Array, Error } kind = Kind::Nil;
  std::int64_t integer = 0;
  std::string text;  // Status, String, Error. Any bytes.
  std::vector<Reply> elements;
  [[nodiscard]] bool is_nil() const { return kind == Kind::Nil; }
  [[nodiscard]] bool is_string() const { return kind == Kind::String || kind == Kind::Status; }
};

// Named for what the caller can do next.
enum class Trouble {
  Away,      // No connection, no answer in time, LOADING, CLUSTERDOWN, MASTERDOWN, TRYAGAIN, BUSY. Wait for on_up().
  ReadOnly,  // READONLY, UNBLOCKED: a failover is under way. The client looks for the new master: wait for on_up().
  Full,      // OOM, MISCONF, NOREPLICAS: it takes no writes for now. Nothing tells when: try again after a while.
  Denied,    // NOAUTH, WRONGPASS, NOPERM: the operator has to change something. Try again after a long while.
  Other      // Any other error of the command's: ERR, WRONGTYPE, what a script raised. Trying again is no help.
};

struct Failure {
  Trouble trouble = Trouble::Other;
  std::string context;        // One line, for an operator: never a password, nor a command's arguments.
  bool may_have_run = false;  // The command went out and no answer came: it may have been executed, or still be.
};

// Never a Reply of Kind::Error (but inside an Array one may be).
using Answer = tl::expected<Reply, Failure>;

// What an error reply means. Its text is Redis's: a code in capitals, a space, a sentence.
[[nodiscard]] Trouble classify(std::string_view error) noexcept;

}  // namespace ssequel::redis
