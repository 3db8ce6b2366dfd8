// SIGTERM, SIGINT, SIGHUP as calls on the loop; and a change of a file, by watching its folder (a ConfigMap's symlink
// swap too).
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "net/closable.h"
#include "net/loop.h"

namespace ssequel::net {

class SignalWatch : public Closable {
 public:
  // on_signal is called on the loop's thread with the signal's number.
  [[nodiscard]] static Owned<SignalWatch> start(Loop& loop, int signal, std::function<void(int)> on_signal);
};

class FileWatch : public Closable {
 public:
  // on_change: the file's content may have changed (written, replaced, or a symlink on the way to it swapped); calls
  // that come in a burst are joined into one, 100 ms after the last. Missing files are watched for too.
  [[nodiscard]] static Result<Owned<FileWatch>> start(Loop& loop, std::string path, std::function<void()> on_change);
};

}  // namespace ssequel::net
