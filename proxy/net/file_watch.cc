// A file is watched through the folders that decide what its path leads to: the one it is in, and those of the symlinks
// on the way. (A ConfigMap's file is a symlink into ..data, itself a symlink that is swapped by a rename: the file's
// own inode never changes.) After each burst of changes the path is followed anew, what is watched is set right, and
// the target is compared with what it was: other files of these folders cause nothing.
#include <sys/stat.h>
#include <uv.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "net/signals.h"
#include "net/socket.h"
#include "net/symlinks.h"

namespace ssequel::net {
namespace {

constexpr Millis kQuiet{100};     // A burst is over when nothing has come for this long,
constexpr Millis kLongest{1000};  // or when it has lasted this long: a busy neighbour must not hide a change.

// What tells two states of a file from each other.
struct Fingerprint {
  std::string target;
  bool exists = false;
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_ns = 0;

  static Fingerprint of(const std::string& target) {
    Fingerprint print{.target = target};
    struct stat found{};
    if (stat(target.c_str(), &found) != 0) return print;
    print.exists = true;
    print.device = found.st_dev;
    print.inode = found.st_ino;
    print.size = found.st_size;
    print.modified_ns = static_cast<std::int64_t>(found.st_mtim.tv_sec) * 1'000'000'000 + found.st_mtim.tv_nsec;
    return print;
  }
  bool operator==(const Fingerprint&) const = default;
};

class FolderListener {
 public:
  virtual ~FolderListener() = default;
  virtual void on_folder_changed() = 0;
};

class FolderWatch final : public Closable {
 public:
  static Result<Owned<FolderWatch>> start(Loop& loop, const std::string& folder, FolderListener& listener) {
    Owned<FolderWatch> watch(new FolderWatch(loop, listener));
    const int error = uv_fs_event_start(
        &watch->handle_,
        [](uv_fs_event_t* handle, const char*, int, int) {
          auto* self = static_cast<FolderWatch*>(handle->data);
          if (self->listener_ != nullptr) self->listener_->on_folder_changed();
        },
        folder.c_str(), 0);
    if (error != 0) return tl::unexpected(system_error(error, "watching " + folder));
    uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle_));
    struct stat found{};
    if (stat(folder.c_str(), &found) == 0) watch->inode_ = found.st_ino;
    return watch;
  }
  void close() noexcept override {
    listener_ = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_),
             [](uv_handle_t* handle) { delete static_cast<FolderWatch*>(handle->data); });
  }
  // False once another folder stands under that name.
  [[nodiscard]] bool is_still(const std::string& folder) const {
    struct stat found{};
    return stat(folder.c_str(), &found) == 0 && found.st_ino == inode_;
  }

 private:
  FolderWatch(Loop& loop, FolderListener& listener) : listener_(&listener) {
    SSEQUEL_ASSERT(uv_fs_event_init(loop.raw(), &handle_) == 0, "a file event handle can be made");
    handle_.data = this;
  }
  ~FolderWatch() override = default;

  uv_fs_event_t handle_{};
  FolderListener* listener_;
  ino_t inode_ = 0;
};

class FolderFileWatch final : public FileWatch, FolderListener {
 public:
  FolderFileWatch(Loop& loop, std::string path, std::function<void()> on_change)
      : loop_(loop), path_(std::move(path)), on_change_(std::move(on_change)) {
    uv_timer_init(loop.raw(), &quiet_);
    quiet_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&quiet_));
  }

  // Watches what the path leads through now. An error if none of it can be watched.
  [[nodiscard]] std::optional<Error> follow() {
    std::optional<Error> trouble;
    // Between following the path and watching a folder on it something may have changed unseen: until it is the same
    // twice.
    for (int i = 0; i < 3; ++i) {
      const auto last = print_;
      trouble = follow_once();
      if (i > 0 && print_ == last) break;
    }
    return trouble;
  }

  void close() noexcept override {
    folders_.clear();
    uv_close(reinterpret_cast<uv_handle_t*>(&quiet_),
             [](uv_handle_t* handle) { delete static_cast<FolderFileWatch*>(handle->data); });
  }

 private:
  ~FolderFileWatch() override = default;

  std::optional<Error> follow_once() {
    const auto resolution = resolve_path(path_);
    std::optional<Error> trouble;
    for (const auto& folder : resolution.folders) {
      auto& watch = folders_[folder];
      if (watch && watch->is_still(folder)) continue;
      auto started = FolderWatch::start(loop_, folder, *this);
      if (started) {
        watch = std::move(*started);
      } else {
        trouble = started.error();
        folders_.erase(folder);
      }
    }
    std::erase_if(folders_, [&](const auto& each) { return !resolution.folders.contains(each.first); });
    print_ = Fingerprint::of(resolution.target);
    return folders_.empty() ? trouble : std::nullopt;
  }

  void on_folder_changed() override {
    const auto now = loop_.now();
    if (!burst_until_) burst_until_ = now + kLongest;
    const auto wait = std::clamp(*burst_until_ - now, Millis(0), kQuiet);
    uv_timer_start(
        &quiet_, [](uv_timer_t* timer) { static_cast<FolderFileWatch*>(timer->data)->on_quiet(); },
        static_cast<std::uint64_t>(wait.count()), 0);
  }

  void on_quiet() {
    burst_until_.reset();
    const auto before = print_;
    static_cast<void>(follow());         // What cannot be watched now is tried again at the next change.
    if (print_ != before) on_change_();  // May close us.
  }

  Loop& loop_;
  const std::string path_;
  std::function<void()> on_change_;  // Lives until the close callback: it may drop us from inside.
  uv_timer_t quiet_{};
  std::optional<Millis> burst_until_;  // Set exactly while quiet_ runs.
  std::map<std::string, Owned<FolderWatch>> folders_;
  Fingerprint print_;
};

}  // namespace

Result<Owned<FileWatch>> FileWatch::start(Loop& loop, std::string path, std::function<void()> on_change) {
  auto* watch = new FolderFileWatch(loop, std::move(path), std::move(on_change));
  Owned<FileWatch> owned(watch);
  if (auto trouble = watch->follow()) return tl::unexpected(std::move(*trouble));
  return owned;
}

}  // namespace ssequel::net
