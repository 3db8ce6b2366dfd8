// The one Stream there is, over uv_tcp_t or uv_pipe_t. Private to net: the listener and the connector make them.
//
//             uv_read error, failed write                 close()
//   Open ──────────────────────────────────► Broken ─┐        │
//     └──────────────────────────────────────────────┴────────┴──► Closing ──► (close callback) deleted
//
// Open: all functions work. Broken: on_broken() was called or will be in this or the next turn; nothing is sent or
// received any more. Closing: nobody hears anything.
#pragma once

#include <uv.h>

#include <cstdint>

#include "net/socket.h"
#include "net/stream.h"

namespace ssequel::net {

class StreamHandle final : public Stream {
 public:
  // Without a descriptor: to be connected or opened.
  [[nodiscard]] static Owned<StreamHandle> make(Loop& loop, bool is_unix);
  // Takes a connected descriptor; on an error (libuv's code) it stays the caller's.
  [[nodiscard]] int open(int descriptor);
  [[nodiscard]] uv_tcp_t* tcp() { return &handle_.tcp; }
  [[nodiscard]] uv_pipe_t* pipe() { return &handle_.pipe; }
  [[nodiscard]] int descriptor() const;  // -1 if there is none.

  void close() noexcept override;
  void set_listener(StreamListener& listener) override { listener_ = &listener; }
  void start_reading() override;
  void stop_reading() override;
  [[nodiscard]] bool is_reading() const override { return reading_; }
  Result<std::size_t> try_write(std::span<const std::string_view> pieces) override;
  bool write(std::span<const std::string_view> pieces) override;
  void write_shared(std::span<const std::string_view> pieces, std::shared_ptr<const void> keep) override;
  [[nodiscard]] std::size_t queued_bytes() const override;
  [[nodiscard]] std::size_t unacknowledged_bytes() const override;
  void shutdown() override;
  void reset_on_close() override { reset_on_close_ = true; }
  void set_user_timeout(Millis timeout) override;
  [[nodiscard]] int detach() override;
  [[nodiscard]] std::string peer_address() const override;

 private:
  struct Write;
  StreamHandle(Loop& loop, bool is_unix);
  ~StreamHandle() override = default;

  [[nodiscard]] bool is_open() const { return !closing_ && !broken_; }
  // As much as the kernel takes now, or libuv's error code.
  [[nodiscard]] std::ptrdiff_t send_now(std::span<const std::string_view> pieces);
  void queue(Write* write, std::span<const uv_buf_t> buffers);
  void on_bytes(std::ptrdiff_t count);
  void on_written(int status);
  void fail_later(int status);
  void report_broken(int status, std::string_view what);
  void delete_if_over();

  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle_;
  Loop& loop_;
  StreamListener* listener_ = nullptr;
  std::uint32_t writes_ = 0;          // Requests whose callback is still to come.
  std::uint8_t pending_reports_ = 0;  // Deferred calls that hold `this`.
  bool is_unix_;
  bool reading_ = false;
  bool eof_ = false;       // True from the peer's FIN on.
  bool shut_ = false;      // True from shutdown() on.
  bool broken_ = false;    // True from the failure on, though it may be reported a little later.
  bool detached_ = false;  // True once the connection belongs to another descriptor.
  bool reset_on_close_ = false;
  bool closing_ = false;
  bool closed_ = false;  // True from libuv's close callback on.
};

static_assert(sizeof(StreamHandle) <= 400, "an idle stream stays small: there are tens of thousands");

}  // namespace ssequel::net
