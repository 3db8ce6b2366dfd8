#include "store/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ssequel::store {
namespace {

std::string holder_of(int descriptor) {
  std::array<char, 32> text{};
  const auto count = ::pread(descriptor, text.data(), text.size() - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < count && text[static_cast<std::size_t>(i)] >= '0' && text[static_cast<std::size_t>(i)] <= '9';
       ++i) {
    pid += text[static_cast<std::size_t>(i)];
  }
  return pid.empty() ? "of unknown id" : pid;
}

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: cannot make the directory {} ({}); make it, or mount a volume there",
                            directory, std::strerror(errno)));
  }
  const auto file = directory + "/lock";
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: {} cannot be written ({}); the directory must belong to the user that runs "
                            "ssequel, on a volume that is not read-only",
                            directory, std::strerror(errno)));
  }
  DirectoryLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::Misconfigured,
                fmt::format("store.path: {} is held by another ssequel, process {}; stop it, or give this one a "
                            "directory of its own",
                            directory, holder_of(descriptor)));
  }
  // On a full disk the name is missing, the lock holds all the same.
  const auto pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor, 0) == 0) {
    [[maybe_unused]] const auto written = ::pwrite(descriptor, pid.data(), pid.size(), 0);
  }
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ssequel::store
