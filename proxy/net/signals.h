// SIGTERM, SIGINT, SIGHUP as calls on the loop; and a change of a file, by watching its folder (a ConfigMap's symlink
// swap too).
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "net/closable.h"
#include "net/loop.h"

namespace ssequel::net {

// Neither keeps the loop going. The functions may drop the watch from inside.
class SignalWatch : public Closable {
 public:
  // on_signal is called on the loop's thread with the signal's number; signals of one kind that come at once may be one
  // call. While no watch for it is left, a signal does what it does by default. One that cannot be caught (SIGKILL) is
  // a bug.
  [[nodiscard]] static Owned<SignalWatch> start(Loop& loop, int signal, std::function<void(int)> on_signal);
};

class FileWatch : public Closable {
 public:
  // on_change: the file's content may have changed (written, replaced, or a symlink on the way to it swapped); calls
  // that come in a burst are joined into one, 100 ms after the last, at the latest 1 s after the first. Missing files
  // are watched for too. An error: the system has no watches left (RetryLater) or will not let us (Denied).
  [[nodiscard]] static Result<Owned<FileWatch>> start(Loop& loop, std::string path, std::function<void()> on_change);
};

}  // namespace ssequel::net
