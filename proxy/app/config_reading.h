// Reading one value of the file: where it stands, what its variables stand for, and where its problems go.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "app/config.h"
#include "app/config_problem.h"
#include "app/config_tree.h"

namespace ssequel::app::config {

// Where the values of the file stand, by key ("routes[0].window.bytes").
using Places = std::map<std::string, Mark, std::less<>>;

// A grammar's verdict on a text.
struct Scalar {
  std::string text;
  bool is_quoted = false;  // True only for a text that is quoted in the file and has no variable in it.
};

class Reading {
 public:
  Reading(const Environment& env, Problems& problems, Places& places)
      : env_(env), problems_(problems), places_(places) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  // Goes down to a key or an item for as long as the Step lives.
  class Step {
   public:
    Step(Reading& reading, std::string_view down, Mark mark);
    ~Step() { reading_.path_.resize(length_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Reading& reading_;
    std::size_t length_;
  };
  [[nodiscard]] Step key(std::string_view key, Mark mark) { return {*this, key, mark}; }
  [[nodiscard]] Step item(std::size_t index, Mark mark);

  [[nodiscard]] const std::string& path() const { return path_; }

  // The scalar's text with its variables filled in; else nothing, and a problem that says what is `allowed`.
  [[nodiscard]] std::optional<Scalar> scalar(const Node& node, std::string_view allowed);
  // `found ..., allowed ...` at the node. hint: another clause, or empty.
  void refuse(Mark mark, std::string_view found, std::string_view allowed, std::string_view hint = {});
  void problem(Mark mark, std::string text) { problems_.add(mark, path_, std::move(text)); }
  [[nodiscard]] const Problems& problems() const { return problems_; }

 private:
  const Environment& env_;
  Problems& problems_;
  Places& places_;
  std::string path_;
};

// What a node is, in words: "nothing", "a list", "a map", or its text in quotes.
[[nodiscard]] std::string described(const Node& node);

}  // namespace ssequel::app::config
