// SHA-256 by libcrypto: names for things whose parts must not be readable (credentials in a key) or chosen to collide.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

struct evp_md_ctx_st;

namespace ssequel {

using Digest = std::array<std::byte, 32>;
[[nodiscard]] Digest sha256(std::string_view bytes);

// The same of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  [[nodiscard]] Digest finish();  // Once, and nothing is added afterwards.

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace ssequel
