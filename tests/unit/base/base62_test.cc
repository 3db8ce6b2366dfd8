#include "base/base62.h"

#include <doctest/doctest.h>

#include <array>
#include <random>

using namespace ssequel;

namespace {

std::array<std::byte, 16> filled(unsigned char value) {
  std::array<std::byte, 16> bits;
  bits.fill(std::byte{value});
  return bits;
}

}  // namespace

TEST_CASE("base 62 of small numbers is what one computes by hand") {
  CHECK(base62::encode("") == "");
  CHECK(base62::encode(std::string(1, '\1')) == "1");
  CHECK(base62::encode(std::string(1, '\x3D')) == "z");        // 61
  CHECK(base62::encode(std::string(1, '\x3E')) == "10");       // 62
  CHECK(base62::encode("\1" + std::string(1, '\0')) == "48");  // 256 = 4 * 62 + 8
}

TEST_CASE("leading zero bytes are kept") {
  const std::string zeros("\0\0", 2);
  CHECK(base62::encode(zeros) == "00");
  CHECK(base62::decode("00") == zeros);
  CHECK(base62::decode(base62::encode(zeros + "a")) == zeros + "a");
}

TEST_CASE("every string of up to 64 bytes comes back as it was") {
  std::mt19937 random(62);
  for (std::size_t size = 0; size <= 64; ++size) {
    for (int round = 0; round < 20; ++round) {
      std::string bytes(size, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random() % (round < 10 ? 256 : 3));
      const auto text = base62::encode(bytes);
      CHECK(text.size() <= 100);
      REQUIRE(base62::decode(text) == bytes);
    }
  }
}

TEST_CASE("an id of 48 bytes stays short enough for an id of ours") {
  CHECK(base62::encode(std::string(48, '\xFF')).size() <= 65);
}

TEST_CASE("foreign characters and texts that are too long are refused") {
  CHECK_FALSE(base62::decode("a-b"));
  CHECK_FALSE(base62::decode("a b"));
  CHECK_FALSE(base62::decode(std::string("a\0", 2)));
  CHECK_FALSE(base62::decode(std::string(101, 'a')));
}

TEST_CASE("a tag has 22 characters, whatever its bits") {
  CHECK(base62::encode_tag(filled(0)) == std::string(22, '0'));
  const auto greatest = base62::encode_tag(filled(0xFF));
  CHECK(greatest.size() == base62::kTagLength);
  CHECK(base62::is_tag(greatest));
  CHECK(greatest != base62::encode_tag(filled(0xFE)));
}

TEST_CASE("what has not a tag's form is no tag") {
  CHECK_FALSE(base62::is_tag(std::string(21, 'a')));
  CHECK_FALSE(base62::is_tag(std::string(23, 'a')));
  CHECK_FALSE(base62::is_tag(std::string(21, 'a') + "-"));
}
