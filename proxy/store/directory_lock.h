// One process a directory: an advisory lock (flock(2)) on the file `lock` in it, with the holder's process id as its
// content. The lock goes with the process, however it ends.
#pragma once

#include <string>

#include "base/result.h"

namespace ssequel::store {

class DirectoryLock {
 public:
  // Makes the directory if it is missing (its parent must be there). The error names the holder's process id.
  [[nodiscard]] static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace ssequel::store
