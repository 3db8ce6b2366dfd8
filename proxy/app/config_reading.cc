#include "app/config_reading.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/config_substitute.h"
#include "base/utf8.h"

namespace ssequel::app::config {

Reading::Step::Step(Reading& reading, std::string_view down, Mark mark)
    : reading_(reading), length_(reading.path_.size()) {
  if (length_ != 0 && !down.starts_with('[')) reading_.path_ += '.';
  reading_.path_ += down;
  reading_.places_.emplace(reading_.path_, mark);
}

Reading::Step Reading::item(std::size_t index, Mark mark) { return {*this, fmt::format("[{}]", index), mark}; }

std::optional<Scalar> Reading::scalar(const Node& node, std::string_view allowed) {
  if (node.kind != Node::Kind::Scalar) {
    refuse(node.mark, described(node), allowed);
    return std::nullopt;
  }
  auto text = substitute(node.text, env_);
  if (!text) {
    problem(node.mark, text.error().context);
    return std::nullopt;
  }
  // Neither names nor addresses nor fields have any; here they would go on into logs and onto the wire.
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::any_of(text->text.begin(), text->text.end(), is_control) || !utf8::is_valid(text->text)) {
    refuse(node.mark, "a text with a control character, or not UTF-8", allowed);
    return std::nullopt;
  }
  return Scalar{std::move(text->text), node.is_quoted && !text->has_variable};
}

void Reading::refuse(Mark mark, std::string_view found, std::string_view allowed, std::string_view hint) {
  problem(mark, fmt::format("found {}, allowed: {}{}{}", found, allowed, hint.empty() ? "" : "; ", hint));
}

std::string described(const Node& node) {
  switch (node.kind) {
    case Node::Kind::Null:
      return "nothing";
    case Node::Kind::Scalar:
      return shown(node.text);
    case Node::Kind::Sequence:
      return "a list";
    case Node::Kind::Map:
      return "a map";
  }
  return "nothing";
}

}  // namespace ssequel::app::config
