#include "app/config_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/config_substitute.h"
#include "base/ascii.h"
#include "base/utf8.h"

namespace ssequel::app::config {
namespace {

// Length of the string literal, quotes included, with which json begins.
std::size_t literal_size(std::string_view json) {
  for (std::size_t i = 1; i < json.size(); ++i) {
    if (json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      return i + 1;
    }
  }
  return json.size();
}

// Length of the value with which json begins.
std::size_t value_size(std::string_view json) {
  int depth = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') i += literal_size(json.substr(i)) - 1;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth <= 0) return depth < 0 ? i : i + 1;
    if (c == ',' && depth == 0) return i;
  }
  return json.size();
}

void spaced(std::string& out, std::string_view json) {
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"') {
      const auto size = literal_size(json.substr(i));
      out += json.substr(i, size);
      i += size - 1;
      continue;
    }
    out += json[i];
    if (json[i] == ',' || json[i] == ':') out += ' ';
  }
}

// Words that readers of YAML, old ones too, take for something else than a text.
bool is_plain(std::string_view text) {
  static constexpr std::string_view kTaken[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  if (text.empty() || text.size() > 100 || text.back() == ':') return false;
  const bool begins_well = ascii::is_alnum(text.front()) || text.front() == '/' || text.front() == '_';
  if (!begins_well || std::any_of(std::begin(kTaken), std::end(kTaken),
                                  [&](std::string_view word) { return ascii::equals(word, text); })) {
    return false;
  }
  for (const char c : text) {
    if (!ascii::is_alnum(c) && std::string_view("_./:-").find(c) == std::string_view::npos) return false;
  }
  // 127.0.0.1:80 is no number, 1e5 and 12:30 and 1.5 are; 15s and 64KiB begin as one and are none.
  const bool numeric = std::all_of(text.begin(), text.end(), [](char c) {
    return ascii::is_digit(c) || std::string_view("abcdefxABCDEFoO_.:-").find(c) != std::string_view::npos;
  });
  return !numeric || std::count(text.begin(), text.end(), '.') >= 3 || !ascii::is_digit(text.front());
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto character = utf8::decode(text);
    const auto code = character.code;
    // Beyond what JSON asks: what YAML folds or does not take as it stands (YAML 1.2.2 §5.1, §5.4).
    const bool is_awkward = code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
                            code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
    if (!character.is_valid) {
      out += "\\ufffd";
    } else if (code == '"' || code == '\\') {
      out.append("\\").append(text.substr(0, 1));
    } else if (is_awkward) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    } else {
      out += text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
  }
  return out += '"';
}

std::string json_pretty(std::string_view json) {
  constexpr std::size_t kOneLine = 90;
  std::string out;
  std::size_t depth = 0;
  const auto new_line = [&] { out.append("\n").append(depth * 2, ' '); };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') {
      const auto size = literal_size(json.substr(i));
      out += json.substr(i, size);
      i += size - 1;
    } else if (c == '{' || c == '[') {
      const auto size = value_size(json.substr(i));
      if (size <= kOneLine) {
        spaced(out, json.substr(i, size));
        i += size - 1;
        continue;
      }
      out += c;
      ++depth;
      new_line();
    } else if (c == '}' || c == ']') {
      --depth;
      new_line();
      out += c;
    } else if (c == ',') {
      out += c;
      new_line();
    } else {
      out += c;
      if (c == ':') out += ' ';
    }
  }
  return out += '\n';
}

std::string yaml_flow(std::string_view json) {
  std::string out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '"') {
      out += json[i];
      if (json[i] == ',' || json[i] == ':') out += ' ';
      continue;
    }
    const auto size = literal_size(json.substr(i));
    const auto inside = json.substr(i + 1, size - 2);
    if (is_plain(inside)) {
      out += inside;
    } else {
      out.append("\"").append(escape_variables(inside)).append("\"");
    }
    i += size - 1;
  }
  return out;
}

}  // namespace ssequel::app::config
