// What is wrong with a configuration file, and where. All problems of a file are reported in one go, in its order.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ssequel::app::config {

struct Mark {
  int line = 1;    // From 1.
  int column = 1;  // From 1, in characters.
  friend auto operator<=>(const Mark&, const Mark&) = default;
};

struct Problem {
  Mark mark;
  std::string key;   // "routes[0].window.bytes"; empty: the file as a whole.
  std::string text;  // `found ..., allowed ...`
};

class Problems {
 public:
  // At most kMax are kept, so that a hostile file cannot fill the memory; the report says that there are more.
  static constexpr std::size_t kMax = 100;
  void add(Mark mark, std::string_view key, std::string text);
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  [[nodiscard]] bool is_full() const { return problems_.size() == kMax; }
  // True if something was found at this very key, or below it.
  [[nodiscard]] bool has(std::string_view key) const;
  // `FILE:LINE:COLUMN: KEY: text`, one each, in the order of the file; `KEY: text` where there is no file.
  [[nodiscard]] std::vector<std::string> lines(std::string_view file_name) const;

 private:
  std::vector<Problem> problems_;
  std::size_t more_ = 0;
};

// A text as it may stand in a report: in quotes, escaped, not longer than 60 characters.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace ssequel::app::config
