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

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  SSEQUEL_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "libcrypto has SHA-256");
}

void Sha256::add(std::string_view bytes) {
  SSEQUEL_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "a digest takes any bytes");
}

Digest Sha256::finish() {
  Digest out;
  unsigned length = 0;
  const int ok = EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(out.data()), &length);
  SSEQUEL_ASSERT(ok == 1 && length == out.size(), "a digest is finished once");
  return out;
}

}  // namespace ssequel
