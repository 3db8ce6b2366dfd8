// gzip (first byte even) or deflate (odd): no crash, bounded pieces, and the same text whole and cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "http/inflate.h"
#include "pieces.h"

using namespace ssequel::http;

namespace {

struct Outcome {
  std::string text;
  bool is_broken = false;
  bool is_at_end = false;
};

Outcome inflate(ContentCoding coding, const std::vector<std::string_view>& pieces) {
  Inflater inflater(coding);
  Outcome outcome;
  for (const auto piece : pieces) {
    const auto fed = inflater.feed(piece, [&](std::string_view bytes) {
      if (bytes.empty() || bytes.size() > 16 * 1024) std::abort();
      outcome.text += bytes;
    });
    if (!fed) {
      outcome.is_broken = true;
      break;
    }
  }
  outcome.is_at_end = inflater.is_at_end();
  if (outcome.is_broken && outcome.is_at_end) std::abort();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto coding = data[0] % 2 == 0 ? ContentCoding::Gzip : ContentCoding::Deflate;
  const std::string_view coded(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = inflate(coding, {coded});
  const Outcome cut = inflate(coding, cut_by(coded, coded));
  // A piece that turns out broken may have given text before; how much depends on the cut.
  if (whole.is_broken != cut.is_broken || whole.is_at_end != cut.is_at_end) std::abort();
  if (!whole.is_broken && whole.text != cut.text) std::abort();
  return 0;
}
