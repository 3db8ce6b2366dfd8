// Result<T>: a value, or an Error that the caller handles or passes on. The world (peers, disks, hostile bytes) fails
// daily; such failures are values, never exceptions. Bugs are SSEQUEL_ASSERTs (assert.h).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace ssequel {

// Named for what the caller can do next.
enum class ErrorCode {
  RetryLater,    // A passing condition: overload, timeout, a full queue.
  PeerGone,      // The other side closed, reset, or cannot be reached.
  Malformed,     // The bytes are not what the protocol allows.
  TooLarge,      // A limit with a name was exceeded.
  Unsupported,   // Well-formed, but not something we do.
  NotFound,      // There is no such thing.
  AddressInUse,  // Somebody else listens there.
  Denied,        // The system or a peer said no.
  Misconfigured  // The operator has to change something.
};

struct Error {
  ErrorCode code = ErrorCode::RetryLater;
  std::string context;  // One line: what failed, for whom, and the way out where there is one.
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string context) {
  return tl::unexpected<Error>(Error{code, std::move(context)});
}

}  // namespace ssequel
