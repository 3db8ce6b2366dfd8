#include "http/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/ascii.h"
#include "base/assert.h"

namespace ssequel::http {

namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib's "window bits": 15, and 16 more for a gzip wrapper,
constexpr int kZlibWindow = 15;       // none more for RFC 1950's,
constexpr int kRawWindow = -15;       // and negative for bare RFC 1951.
constexpr std::size_t kPieceBytes = 16 * 1024;

}  // namespace

std::optional<ContentCoding> content_coding(std::string_view content_encoding) {
  std::string_view coding;
  int codings = 0;
  ascii::for_each_element(content_encoding, [&](std::string_view element) {
    coding = element;
    ++codings;
  });
  if (codings == 0) return ContentCoding::Identity;
  if (codings != 1) return std::nullopt;
  if (ascii::equals(coding, "identity")) return ContentCoding::Identity;
  if (ascii::equals(coding, "gzip") || ascii::equals(coding, "x-gzip")) return ContentCoding::Gzip;
  if (ascii::equals(coding, "deflate")) return ContentCoding::Deflate;
  return std::nullopt;
}

// Fresh ─first byte─► Member ─its end─► AfterMember ─another byte (gzip)─► Member
//                       └── broken, or bytes behind the end of deflate ──► Broken, for ever
struct Inflater::Impl {
  enum class State { Fresh, Member, AfterMember, Broken } state = State::Fresh;
  explicit Impl(ContentCoding wanted) : coding(wanted) {}
  ~Impl() {
    if (is_open) inflateEnd(&stream);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void open(char first_byte) {
    int window = kGzipWindow;
    if (coding == ContentCoding::Deflate) {
      // "deflate" is RFC 1950's wrapper, but some send bare RFC 1951 (RFC 9110 §8.4.1.2 notes it). The wrapper's first
      // octet has method 8 in its low half; a bare block beginning so would be a stored one with dirty padding.
      const auto octet = static_cast<unsigned char>(first_byte);
      const bool is_wrapped = (octet & 0x0f) == 8 && (octet >> 4) <= 7;
      window = is_wrapped ? kZlibWindow : kRawWindow;
    }
    SSEQUEL_ASSERT(inflateInit2(&stream, window) == Z_OK, "zlib has memory");
    is_open = true;
  }

  Result<void> broken(const char* why) {
    state = State::Broken;
    return fail(ErrorCode::Malformed, why);
  }

  ContentCoding coding;
  z_stream stream{};
  bool is_open = false;  // True exactly from the first byte on.
};

Inflater::Inflater(ContentCoding coding) : impl_(std::make_unique<Impl>(coding)) {
  SSEQUEL_ASSERT(coding != ContentCoding::Identity, "identity needs no inflating");
}
Inflater::~Inflater() = default;
Inflater::Inflater(Inflater&&) noexcept = default;
Inflater& Inflater::operator=(Inflater&&) noexcept = default;

Result<void> Inflater::feed(std::string_view bytes, const std::function<void(std::string_view)>& sink) {
  using State = Impl::State;
  Impl& self = *impl_;
  std::array<char, kPieceBytes> piece;  // On the stack: it holds nothing between calls.
  if (self.state == State::Broken) return fail(ErrorCode::Malformed, "the content coding was broken before");

  bool has_more_output = false;  // True exactly when the last piece was filled to its end.
  while (!bytes.empty() || has_more_output) {
    if (self.state == State::Fresh) {
      self.open(bytes.front());
      self.state = State::Member;
    } else if (self.state == State::AfterMember) {
      if (self.coding != ContentCoding::Gzip) return self.broken("bytes follow the end of the deflate coding");
      SSEQUEL_ASSERT(inflateReset(&self.stream) == Z_OK, "an open zlib stream can be reset");
      self.state = State::Member;
    }
    // zlib counts in unsigned int; next_in is not const in its interface, yet only read.
    const auto taken = static_cast<uInt>(std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max()));
    self.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    self.stream.avail_in = taken;
    self.stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    self.stream.avail_out = static_cast<uInt>(piece.size());
    const int verdict = inflate(&self.stream, Z_SYNC_FLUSH);
    bytes.remove_prefix(taken - self.stream.avail_in);
    const std::size_t made = piece.size() - self.stream.avail_out;
    has_more_output = self.stream.avail_out == 0;
    self.stream.next_in = nullptr;
    self.stream.next_out = nullptr;

    if (verdict == Z_STREAM_END) {
      self.state = State::AfterMember;
      has_more_output = false;
    } else if (verdict != Z_OK && verdict != Z_BUF_ERROR) {  // Z_BUF_ERROR: it only wants more input.
      return self.broken(self.coding == ContentCoding::Gzip ? "broken gzip coding" : "broken deflate coding");
    }
    if (made != 0) sink({piece.data(), made});
  }
  return {};
}

bool Inflater::is_at_end() const {
  return impl_->state == Impl::State::Fresh || impl_->state == Impl::State::AfterMember;
}

}  // namespace ssequel::http
