#include "http/inflate.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <random>
#include <string>
#include <vector>

using namespace ssequel;
using namespace ssequel::http;

namespace {

constexpr int kGzip = 15 + 16, kZlib = 15, kRaw = -15;

// Compressed so that every part of the text can be read as soon as it is there.
std::string deflate(int window, const std::vector<std::string>& parts) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out;
  const auto take = [&](std::string part, int flush) {
    stream.next_in = reinterpret_cast<Bytef*>(part.data());
    stream.avail_in = static_cast<uInt>(part.size());
    do {
      char piece[4096];
      stream.next_out = reinterpret_cast<Bytef*>(piece);
      stream.avail_out = sizeof piece;
      deflate(&stream, flush);
      out.append(piece, sizeof piece - stream.avail_out);
    } while (stream.avail_out == 0);
  };
  for (const auto& part : parts) take(part, Z_SYNC_FLUSH);
  take("", Z_FINISH);
  deflateEnd(&stream);
  return out;
}

struct Outcome {
  std::string text;
  bool is_broken = false;
  bool is_at_end = false;
};

Outcome inflate(ContentCoding coding, const std::vector<std::string>& pieces) {
  Inflater inflater(coding);
  Outcome outcome;
  for (const auto& piece : pieces) {
    const auto fed = inflater.feed(piece, [&](std::string_view bytes) {
      CHECK(bytes.size() <= 16 * 1024);
      CHECK_FALSE(bytes.empty());
      outcome.text += bytes;
    });
    if (!fed) {
      CHECK(fed.error().code == ErrorCode::Malformed);
      outcome.is_broken = true;
    }
  }
  outcome.is_at_end = inflater.is_at_end();
  return outcome;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> pieces;
  for (const char c : text) pieces.emplace_back(1, c);
  return pieces;
}

}  // namespace

TEST_CASE("content codings that can be undone are told by name") {
  CHECK(content_coding("") == ContentCoding::Identity);
  CHECK(content_coding("Identity") == ContentCoding::Identity);
  CHECK(content_coding(" GZIP ") == ContentCoding::Gzip);
  CHECK(content_coding("x-gzip") == ContentCoding::Gzip);
  CHECK(content_coding("deflate,") == ContentCoding::Deflate);
  CHECK_FALSE(content_coding("br").has_value());
  CHECK_FALSE(content_coding("gzip, gzip").has_value());
}

TEST_CASE("gzip, deflate and bare deflate give back the text however they are cut") {
  const std::vector<std::string> parts{"data: a\n\n", std::string(70000, 'x'), "data: b\n\n"};
  const std::string text = parts[0] + parts[1] + parts[2];
  const struct {
    int window;
    ContentCoding coding;
  } kinds[] = {{kGzip, ContentCoding::Gzip}, {kZlib, ContentCoding::Deflate}, {kRaw, ContentCoding::Deflate}};
  for (const auto& kind : kinds) {
    CAPTURE(kind.window);
    const std::string coded = deflate(kind.window, parts);
    for (const auto& outcome : {inflate(kind.coding, {coded}), inflate(kind.coding, bytes_of(coded))}) {
      CHECK_FALSE(outcome.is_broken);
      CHECK(outcome.is_at_end);
      CHECK(outcome.text == text);
    }
    for (std::size_t at = 0; at <= coded.size(); ++at) {
      CHECK(inflate(kind.coding, {coded.substr(0, at), coded.substr(at)}).text == text);
    }
  }
}

TEST_CASE("what was flushed can be read before the next byte comes") {
  for (const int window : {kGzip, kZlib, kRaw}) {
    const std::string first = deflate(window, {"data: a\n\n"});
    const std::string both = deflate(window, {"data: a\n\n", "data: b\n\n"});
    std::size_t common = 0;
    while (common < first.size() && first[common] == both[common]) ++common;
    const auto outcome =
        inflate(window == kGzip ? ContentCoding::Gzip : ContentCoding::Deflate, {both.substr(0, common)});
    CHECK(outcome.text == "data: a\n\n");
    CHECK_FALSE(outcome.is_at_end);
  }
}

TEST_CASE("members of gzip in a row are one content") {
  const std::string coded = deflate(kGzip, {"one"}) + deflate(kGzip, {}) + deflate(kGzip, {"two"});
  const auto outcome = inflate(ContentCoding::Gzip, {coded});
  CHECK_FALSE(outcome.is_broken);
  CHECK(outcome.is_at_end);
  CHECK(outcome.text == "onetwo");
  CHECK(inflate(ContentCoding::Gzip, bytes_of(coded)).text == "onetwo");
}

TEST_CASE("bytes behind the end break the coding") {
  for (const int window : {kGzip, kZlib, kRaw}) {
    const auto coding = window == kGzip ? ContentCoding::Gzip : ContentCoding::Deflate;
    const std::string coded = deflate(window, {"one"});
    CHECK(inflate(coding, {coded + "more"}).is_broken);
    CHECK(inflate(coding, {coded, "more"}).is_broken);
    CHECK_FALSE(inflate(coding, {coded, ""}).is_broken);
  }
}

TEST_CASE("a broken coding is told, and stays broken") {
  CHECK(inflate(ContentCoding::Gzip, {"data: a\n\n"}).is_broken);
  std::string coded = deflate(kGzip, {"some text that will be damaged"});
  coded[coded.size() - 6] = static_cast<char>(coded[coded.size() - 6] ^ 1);  // In its CRC.
  Inflater inflater(ContentCoding::Gzip);
  const auto ignore = [](std::string_view) {};
  CHECK_FALSE(inflater.feed(coded, ignore).has_value());
  CHECK_FALSE(inflater.feed(deflate(kGzip, {"x"}), ignore).has_value());
  CHECK_FALSE(inflater.is_at_end());
}

TEST_CASE("content may end before its first byte and at a member's end, not within") {
  CHECK(inflate(ContentCoding::Gzip, {}).is_at_end);
  CHECK(inflate(ContentCoding::Gzip, {""}).is_at_end);
  const std::string coded = deflate(kGzip, {"text"});
  for (std::size_t size = 1; size < coded.size(); ++size) {
    CHECK_FALSE(inflate(ContentCoding::Gzip, {coded.substr(0, size)}).is_at_end);
  }
}

TEST_CASE("a bomb comes out in pieces of bounded size") {
  const std::string coded = deflate(kGzip, {std::string(8 << 20, '\0')});
  REQUIRE(coded.size() < 16 * 1024);
  std::size_t total = 0;
  std::size_t largest = 0;
  Inflater inflater(ContentCoding::Gzip);
  const auto fed = inflater.feed(coded, [&](std::string_view bytes) {
    total += bytes.size();
    largest = std::max(largest, bytes.size());
  });
  CHECK(fed.has_value());
  CHECK(total == 8 << 20);
  CHECK(largest <= 16 * 1024);
}

TEST_CASE("text that does not compress passes too") {
  std::mt19937 random(1);  // The same every time.
  std::string text;
  for (int i = 0; i < 100000; ++i) text += static_cast<char>(random());
  CHECK(inflate(ContentCoding::Gzip, {deflate(kGzip, {text})}).text == text);
}

TEST_CASE("an inflater can be moved in the middle of its content") {
  const std::string coded = deflate(kGzip, {"some text"});
  std::string text;
  const auto sink = [&](std::string_view bytes) { text += bytes; };
  Inflater first(ContentCoding::Gzip);
  REQUIRE(first.feed(coded.substr(0, 12), sink).has_value());
  Inflater second = std::move(first);
  REQUIRE(second.feed(coded.substr(12), sink).has_value());
  CHECK(text == "some text");
}
