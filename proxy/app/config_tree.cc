#include "app/config_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <functional>
#include <istream>
#include <map>
#include <streambuf>
#include <utility>

#include "base/utf8.h"

namespace ssequel::app::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Thrown through yaml-cpp, which cannot be told to stop; caught in read_tree().
struct Abandon {
  Mark mark;
  std::string text;
};

// yaml-cpp counts columns in bytes; people and editors count characters.
class Marks {
 public:
  explicit Marks(std::string_view text) : text_(text) {
    starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  // Quick for marks in the order of the file.
  [[nodiscard]] Mark at(const YAML::Mark& mark) {
    if (mark.line < 0) return {};
    const auto line = std::min(static_cast<std::size_t>(mark.line), starts_.size() - 1);
    const auto column = static_cast<std::size_t>(std::max(mark.column, 0));
    if (line != line_ || column < bytes_) line_ = line, bytes_ = 0, characters_ = 0;
    const auto more = text_.substr(starts_[line_] + bytes_, column - bytes_);
    bytes_ += more.size();
    characters_ +=
        std::count_if(more.begin(), more.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    return {static_cast<int>(line) + 1, static_cast<int>(characters_) + 1};
  }

  [[nodiscard]] std::string_view line(int number) const {
    const auto start = starts_[static_cast<std::size_t>(number) - 1];
    return text_.substr(start, text_.find('\n', start) - start);
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> starts_;
  // Where the last mark was: so many bytes, and characters, into that line.
  std::size_t line_ = 0;
  std::size_t bytes_ = 0;
  std::ptrdiff_t characters_ = 0;
};

// yaml-cpp takes the end of the file for the end of a quoted scalar.
bool is_closed(std::string_view from_quote) {
  const char quote = from_quote.front();
  for (std::size_t i = 1; i < from_quote.size(); ++i) {
    if (quote == '"' && from_quote[i] == '\\') {
      ++i;
    } else if (from_quote[i] == quote) {
      if (quote == '"' || i + 1 == from_quote.size() || from_quote[i + 1] != quote) return true;
      ++i;  // '' stands for one quote.
    }
  }
  return false;
}

// Builds the tree from yaml-cpp's events.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string_view text, Marks& marks, Problems& problems) : text_(text), marks_(marks), problems_(problems) {}

  [[nodiscard]] Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!std::exchange(is_first_, false)) {
      throw Abandon{marks_.at(mark), "found a second document, or text that belongs to nothing; allowed: one document"};
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add({Node::Kind::Null, marks_.at(mark)}); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node{Node::Kind::Null, marks_.at(mark)};
    complain(node.mark, [] { return std::string("found an alias (*NAME); write the value itself"); });
    add(std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    Node node{Node::Kind::Scalar, marks_.at(mark), value, tag == "!"};
    check_tag(node, tag);
    const auto start = static_cast<std::size_t>(std::max(mark.pos, 0));
    if (node.is_quoted && start < text_.size() && (text_[start] == '"' || text_[start] == '\'') &&
        !is_closed(text_.substr(start))) {
      throw Abandon{node.mark, "found a quote that is never closed"};
    }
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open({Node::Kind::Sequence, marks_.at(mark)}, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open({Node::Kind::Map, marks_.at(mark)}, tag);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    Node node;
    std::optional<Entry> entry = std::nullopt;           // Map: has a key exactly while its value is awaited.
    std::map<std::string, int, std::less<>> lines = {};  // Map: where each key stands.
  };

  [[nodiscard]] std::string path() const {
    std::string out;
    for (const auto& level : open_) {
      if (level.node.kind == Node::Kind::Sequence) {
        out += fmt::format("[{}]", level.node.items.size());
      } else if (level.entry) {
        out += (out.empty() ? "" : ".") + level.entry->key;
      }
    }
    return out;
  }

  // Once there are too many to report, they are only counted.
  template <class Text>
  void complain(Mark mark, Text text) {
    problems_.is_full() ? problems_.add(mark, {}, {}) : problems_.add(mark, path(), text());
  }

  void check_tag(const Node& node, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      complain(node.mark, [&] { return fmt::format("found a tag, {}; write the value without it", shown(tag)); });
    }
  }

  void open(Node node, const std::string& tag) {
    check_tag(node, tag);
    if (open_.size() == kDepthMax) {
      throw Abandon{node.mark, fmt::format("found more than {} lists and maps inside one another", kDepthMax)};
    }
    open_.push_back({std::move(node)});
  }

  void close() {
    auto node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& parent = open_.back();
    if (parent.node.kind == Node::Kind::Sequence) {
      if (parent.node.items.size() == kItemsMax) {
        throw Abandon{node.mark, fmt::format("found more than {} items in one list", kItemsMax)};
      }
      parent.node.items.push_back(std::move(node));
    } else if (!parent.entry) {
      begin_entry(parent, node);
    } else {
      end_entry(parent, std::move(node));
    }
  }

  void begin_entry(Level& map, const Node& key) {
    if (key.kind != Node::Kind::Scalar) {
      problems_.add(key.mark, path(), "found a key that is no word");
      map.entry = Entry{"", key.mark, {}};
      return;
    }
    map.entry = Entry{key.text, key.mark, {}};
    if (key.text == "<<" && !key.is_quoted) {
      problems_.add(key.mark, path(), "found a merge key (<<); write the keys themselves");
    }
  }

  void end_entry(Level& map, Node value) {
    if (map.node.entries.size() == kKeysMax) {
      throw Abandon{map.entry->mark, fmt::format("found more than {} keys in one map", kKeysMax)};
    }
    const auto& key = map.entry->key;
    const auto [same, is_new] = map.lines.emplace(key, map.entry->mark.line);
    if (!is_new) {
      complain(map.entry->mark,
               [&] { return fmt::format("repeated key; it stands in line {} already", same->second); });
    } else if (!key.empty() && key != "<<") {
      map.entry->value = std::move(value);
      map.node.entries.push_back(std::move(*map.entry));
    }
    map.entry.reset();
  }

  std::string_view text_;
  Marks& marks_;
  Problems& problems_;
  std::vector<Level> open_;
  Node root_;
  bool is_first_ = true;
};

// An input stream over bytes that stay where they are.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // Only ever read: std::streambuf knows no const.
    setg(begin, begin, begin + text.size());
  }
};

bool is_readable(std::string_view text, Problems& problems) {
  Mark mark;
  for (std::size_t i = 0; i < text.size();) {
    const auto character = utf8::decode(text.substr(i));
    if (!character.is_valid || character.code == 0) {
      problems.add(mark, "", character.is_valid ? "found a NUL byte" : "found bytes that are not UTF-8");
      return false;
    }
    ++mark.column;
    if (character.code == '\n') mark = {mark.line + 1, 1};
    i += character.size;
  }
  return true;
}

std::string explained(const std::string& message, std::string_view line) {
  std::string out = "not YAML: " + message;
  if (line.find("[::") != line.npos) out += R"(; an IPv6 address needs quotes: "[::1]:8080")";
  if (line.find('?') != line.npos) out += "; inside [...] and {...}, a text with a ? needs quotes";
  if (line.find('\t') != line.npos) out += "; a tab cannot indent";
  return out;
}

}  // namespace

std::optional<Node> read_tree(std::string_view yaml, Problems& problems) {
  if (yaml.size() > kFileMax) {
    problems.add({}, "", fmt::format("found {} bytes, allowed: a file of up to 1 MiB", yaml.size()));
    return std::nullopt;
  }
  if (yaml.starts_with(kByteOrderMark)) yaml.remove_prefix(kByteOrderMark.size());
  Marks marks(yaml);
  if (!is_readable(yaml, problems)) return std::nullopt;
  try {
    ViewBuffer buffer(yaml);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    Builder builder(yaml, marks, problems);
    if (!parser.HandleNextDocument(builder)) return Node{};
    parser.HandleNextDocument(builder);  // Throws if there is one.
    return builder.take_root();
  } catch (const Abandon& abandon) {
    problems.add(abandon.mark, "", abandon.text);
  } catch (const YAML::Exception& error) {
    const auto mark = marks.at(error.mark);
    problems.add(mark, "", explained(error.msg, marks.line(mark.line)));
  }
  return std::nullopt;
}

}  // namespace ssequel::app::config
