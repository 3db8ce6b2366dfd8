#include "base/sha256.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

using namespace ssequel;

namespace {

std::string hex(const Digest& digest) {
  std::string out;
  for (const auto byte : digest) out += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return out;
}

}  // namespace

TEST_CASE("SHA-256 gives the digests of FIPS 180's examples") {
  CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(sha256(std::string(1'000'000, 'a'))) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("piece by piece it is the same digest, and nothing at all is empty") {
  for (const std::string_view bytes : {"", "a", "abc", "message digest"}) {
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      Sha256 digest;
      digest.add(bytes.substr(0, cut));
      digest.add(bytes.substr(cut));
      CHECK(digest.finish() == sha256(bytes));
    }
  }
}

TEST_CASE("a NUL is a byte like any other") { CHECK(sha256(std::string_view("a\0b", 3)) != sha256("a")); }
