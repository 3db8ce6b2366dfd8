#include "net/signals.h"

#include <uv.h>

#include <utility>

#include "base/assert.h"

namespace ssequel::net {
namespace {

class UvSignalWatch final : public SignalWatch {
 public:
  UvSignalWatch(Loop& loop, int signal, std::function<void(int)> on_signal) : on_signal_(std::move(on_signal)) {
    SSEQUEL_ASSERT(uv_signal_init(loop.raw(), &handle_) == 0, "a signal handle can be made");
    handle_.data = this;
    const int error = uv_signal_start(
        &handle_,
        [](uv_signal_t* handle, int number) { static_cast<UvSignalWatch*>(handle->data)->on_signal_(number); }, signal);
    SSEQUEL_ASSERT(error == 0, "only signals that can be caught are watched for");
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle_));
  }
  void close() noexcept override {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_),
             [](uv_handle_t* handle) { delete static_cast<UvSignalWatch*>(handle->data); });
  }

 private:
  ~UvSignalWatch() override = default;
  uv_signal_t handle_{};
  std::function<void(int)> on_signal_;  // Lives until the close callback: it may drop us from inside.
};

}  // namespace

Owned<SignalWatch> SignalWatch::start(Loop& loop, int signal, std::function<void(int)> on_signal) {
  return Owned<SignalWatch>(new UvSignalWatch(loop, signal, std::move(on_signal)));
}

}  // namespace ssequel::net
