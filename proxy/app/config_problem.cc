#include "app/config_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/utf8.h"

namespace ssequel::app::config {

void Problems::add(Mark mark, std::string_view key, std::string text) {
  if (problems_.size() == kMax) {
    ++more_;
    return;
  }
  problems_.push_back({mark, std::string(key), std::move(text)});
}

bool Problems::has(std::string_view key) const {
  return std::any_of(problems_.begin(), problems_.end(), [&](const Problem& problem) {
    const std::string_view other = problem.key;
    return other.starts_with(key) &&
           (other.size() == key.size() || other[key.size()] == '.' || other[key.size()] == '[');
  });
}

std::vector<std::string> Problems::lines(std::string_view file_name) const {
  std::vector<const Problem*> sorted;
  for (const auto& problem : problems_) sorted.push_back(&problem);
  // What was found first at a place stands first in the vector, too.
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return std::tie(a->mark, a) < std::tie(b->mark, b); });
  std::vector<std::string> out;
  for (const auto* problem : sorted) {
    const auto place = file_name.empty()
                           ? std::string()
                           : fmt::format("{}:{}:{}: ", file_name, problem->mark.line, problem->mark.column);
    out.push_back(fmt::format("{}{}{}{}", place, problem->key, problem->key.empty() ? "" : ": ", problem->text));
  }
  if (more_ != 0) out.push_back(fmt::format("{}: and {} more", file_name, more_));
  return out;
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMaxCharacters = 60;
  std::string out = "\"";
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == kMaxCharacters) {
      out += "…";
      break;
    }
    const auto character = utf8::decode(text);
    if (!character.is_valid) {
      out += "\\ufffd";
    } else if (character.code == '"' || character.code == '\\') {
      out += '\\';
      out += text.front();
    } else if (character.code < 0x20 || (character.code >= 0x7F && character.code < 0xA0)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(character.code));
    } else {
      out += text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
  }
  return out += '"';
}

}  // namespace ssequel::app::config
