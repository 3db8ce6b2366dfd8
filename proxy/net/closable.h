// Lifetime of libuv handles: a handle never moves, and its memory is freed only in its last close callback.
// Owned<T> is the one owner; dropping it is closing; after close() the object's listener hears nothing more.
#pragma once

#include <memory>

namespace ssequel::net {

class Closable {
 public:
  Closable(const Closable&) = delete;
  Closable& operator=(const Closable&) = delete;
  // Closes the handle; the object deletes itself in the close callback. Call once, through Owned<T>.
  virtual void close() noexcept = 0;

 protected:
  Closable() = default;
  virtual ~Closable() = default;
};

struct CloseLater {
  void operator()(Closable* object) const noexcept { object->close(); }
};

template <class T>
using Owned = std::unique_ptr<T, CloseLater>;

}  // namespace ssequel::net
