#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/assert.h"

namespace ssequel {

Digest sha256(std::string_view bytes) {
  Digest out;
  unsigned length = 0;
  const int ok = EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &length,
                            EVP_sha256(), nullptr);
  SSEQUEL_ASSERT(ok == 1 && length == out.size(), "libcrypto has SHA-256");
  return out;
}

}  // namespace ssequel
