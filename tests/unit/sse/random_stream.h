// Streams made at random of the pieces where parsers go wrong. The seed is printed when a test fails; SSEQUEL_TEST_SEED
// gives it back.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

namespace ssequel::sse {

class RandomStreams {
 public:
  explicit RandomStreams(std::uint64_t seed) : bits_(seed) {}

  static std::uint64_t seed() {
    if (const char* const given = std::getenv("SSEQUEL_TEST_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
  }

  std::size_t below(std::size_t bound) { return bits_() % bound; }

  // Up to about 25 lines, with line ends of one kind or mixed.
  std::string next() {
    using namespace std::literals;
    static constexpr std::array kEnds = {"\n"sv, "\r\n"sv, "\r"sv};
    static constexpr std::array kLines = {""sv,
                                          ""sv,
                                          ""sv,
                                          ""sv,
                                          "data"sv,
                                          "data:"sv,
                                          "data: "sv,
                                          "data:  x"sv,
                                          "data: one"sv,
                                          "data:x"sv,
                                          "data: a:b"sv,
                                          "Data: x"sv,
                                          "datax: 1"sv,
                                          "dat"sv,
                                          " data: x"sv,
                                          "id"sv,
                                          "id:"sv,
                                          "id: 7"sv,
                                          "id:8"sv,
                                          "id: a\0b"sv,
                                          "id:  9"sv,
                                          "ID: x"sv,
                                          "idx: 1"sv,
                                          "i"sv,
                                          "retry: 100"sv,
                                          "retry:05"sv,
                                          "retry: 1x"sv,
                                          "retry"sv,
                                          "retry:  1"sv,
                                          "retry: 99999999999999999999"sv,
                                          ":"sv,
                                          ": hello"sv,
                                          ":id: 1"sv,
                                          "event: e"sv,
                                          "event"sv,
                                          "event:"sv,
                                          "foo: bar"sv,
                                          "foo"sv,
                                          "\xEF\xBB\xBF"sv,
                                          "\xEF\xBB\xBF"
                                          "data: bom"sv,
                                          "\xEF\xBB"sv,
                                          "data: \xC3\xA9\xFF\0 z"sv,
                                          "\0data: x"sv,
                                          "data: a longer line of text that goes on for a while"sv};
    const std::size_t kind = below(4);
    std::string out = below(8) == 0 ? "\xEF\xBB\xBF" : "";
    for (std::size_t lines = below(25); lines > 0; --lines) {
      out += kLines[below(kLines.size())];
      if (below(30) == 0) out.append(below(60), 'y');
      out += kEnds[kind < 3 ? kind : below(3)];
      if (below(40) == 0) out += static_cast<char>(below(256));
    }
    return out;
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace ssequel::sse
