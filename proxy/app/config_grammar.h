// The kinds of values a configuration has. A grammar is a plain value that knows its type, reads a node, says in words
// what it allows, describes itself as JSON Schema (2020-12), and writes a value as JSON. Read and written values are
// the same, except where json() masks a secret.
//
// Every scalar's schema also takes a text with ${...} in it: what it stands for is known at start only.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config_json.h"
#include "app/config_nearest.h"
#include "app/config_reading.h"
#include "app/config_units.h"
#include "base/upstream_url.h"
#include "net/address.h"
#include "relay/route.h"

namespace ssequel::app::config {

template <class G>
concept Grammar = requires(const G& grammar, const typename G::Value& value, const Node& node, Reading& reading) {
  { grammar.read(node, reading) } -> std::same_as<std::optional<typename G::Value>>;
  { grammar.allowed() } -> std::same_as<std::string>;
  { grammar.schema() } -> std::same_as<std::string>;
  { grammar.json(value) } -> std::same_as<std::string>;
};

// A scalar grammar parses texts; what it has in common with the others is read here. parse(): nothing if the text is
// not allowed; hint(): what may have been meant, or empty; found(): the text as a report shows it.
template <class G>
std::optional<typename G::Value> read_scalar(const G& grammar, const Node& node, Reading& reading) {
  const auto scalar = reading.scalar(node, grammar.allowed());
  if (!scalar) return std::nullopt;
  if (G::kIsUnquoted && scalar->is_quoted) {
    reading.refuse(node.mark, "the text " + shown(scalar->text), grammar.allowed(), "without quotes");
    return std::nullopt;
  }
  auto value = grammar.parse(scalar->text);
  if (!value) {
    reading.refuse(node.mark, grammar.found(scalar->text), grammar.allowed(), grammar.hint(scalar->text));
  }
  return value;
}

// In the place of a secret.
inline constexpr std::string_view kNotShown = "a text that is not shown";
inline constexpr std::string_view kMask = "***";

// What scalar grammars share.
struct ScalarBase {
  static constexpr bool kIsUnquoted = false;  // A quoted text is another type.
  [[nodiscard]] static std::string hint(std::string_view) { return {}; }
  [[nodiscard]] static std::string found(std::string_view text) { return shown(text); }
};

struct Bool : ScalarBase {
  using Value = bool;
  static constexpr bool kIsUnquoted = true;
  [[nodiscard]] std::optional<bool> parse(std::string_view text) const;
  [[nodiscard]] std::optional<bool> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] std::string allowed() const { return "true or false"; }
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(bool value) const { return value ? "true" : "false"; }
};

[[nodiscard]] std::string number_schema(std::uint64_t min, std::uint64_t max);

template <class T>
struct Number : ScalarBase {
  using Value = T;
  static constexpr bool kIsUnquoted = true;
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  Number(std::uint64_t least, std::uint64_t most) : min(least), max(most) {}
  [[nodiscard]] std::optional<T> parse(std::string_view text) const {
    const auto number = parse_number(text);
    if (!number || *number < min || *number > max) return std::nullopt;
    return static_cast<T>(*number);
  }
  [[nodiscard]] std::optional<T> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] std::string allowed() const { return fmt::format("a whole number from {} to {}", min, max); }
  [[nodiscard]] std::string schema() const { return number_schema(min, max); }
  [[nodiscard]] std::string json(T value) const { return std::to_string(value); }
};

struct Duration : ScalarBase {
  using Value = Millis;
  Millis min;
  Millis max;
  bool or_zero = false;  // 0 is allowed though below min.
  Duration(Millis least, Millis most, bool zero = false) : min(least), max(most), or_zero(zero) {}
  [[nodiscard]] std::optional<Millis> parse(std::string_view text) const;
  [[nodiscard]] std::optional<Millis> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const;
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(Millis value) const;
};

// A duration, or the word forever.
struct Forever : ScalarBase {
  using Value = Millis;
  Duration duration;
  explicit Forever(Duration finite) : duration(finite) {}
  [[nodiscard]] std::optional<Millis> parse(std::string_view text) const {
    return text == "forever" ? relay::kForever : duration.parse(text);
  }
  [[nodiscard]] std::optional<Millis> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const { return "forever, or " + duration.allowed(); }
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(Millis value) const {
    return value == relay::kForever ? json_quote("forever") : duration.json(value);
  }
};

struct Size : ScalarBase {
  using Value = std::uint64_t;
  std::uint64_t min;
  std::uint64_t max;
  Size(std::uint64_t least, std::uint64_t most) : min(least), max(most) {}
  [[nodiscard]] std::optional<std::uint64_t> parse(std::string_view text) const;
  [[nodiscard]] std::optional<std::uint64_t> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const;
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(std::uint64_t value) const;
};

[[nodiscard]] std::string words_allowed(const std::vector<std::string_view>& words);
[[nodiscard]] std::string words_schema(const std::vector<std::string_view>& words);
[[nodiscard]] std::string word_json(std::string_view word);
[[nodiscard]] std::string word_hint(std::string_view text, const std::vector<std::string_view>& words);

template <class E>
struct Words : ScalarBase {
  using Value = E;
  std::vector<std::pair<std::string_view, E>> words;
  Words(std::initializer_list<std::pair<std::string_view, E>> list) : words(list) {}
  [[nodiscard]] std::optional<E> parse(std::string_view text) const {
    for (const auto& [word, value] : words) {
      if (word == text) return value;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<E> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] std::vector<std::string_view> names() const {
    std::vector<std::string_view> out;
    for (const auto& [word, value] : words) out.push_back(word);
    return out;
  }
  [[nodiscard]] std::string hint(std::string_view text) const { return word_hint(text, names()); }
  [[nodiscard]] std::string allowed() const { return words_allowed(names()); }
  [[nodiscard]] std::string schema() const { return words_schema(names()); }
  [[nodiscard]] std::string json(E value) const {
    for (const auto& [word, candidate] : words) {
      if (candidate == value) return word_json(word);
    }
    return "null";
  }
};

// A text that a predicate admits.
struct Text : ScalarBase {
  using Value = std::string;
  using Test = bool (*)(std::string_view);
  std::string_view what;  // In words.
  Test test;
  Text(std::string_view words, Test admits) : what(words), test(admits) {}
  [[nodiscard]] std::optional<std::string> parse(std::string_view text) const {
    if (!test(text)) return std::nullopt;
    return std::string(text);
  }
  [[nodiscard]] std::optional<std::string> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] std::string allowed() const { return std::string(what); }
  [[nodiscard]] std::string schema() const { return R"({"type":"string"})"; }
  [[nodiscard]] std::string json(const std::string& value) const { return json_quote(value); }
};

// A store's URL: passwords are neither reported nor written.
struct SecretUrl : Text {
  using Text::Text;
  [[nodiscard]] static std::string found(std::string_view) { return std::string(kNotShown); }
  [[nodiscard]] std::optional<std::string> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] std::string json(const std::string& value) const;
};

struct AddressText : ScalarBase {
  using Value = net::Address;
  [[nodiscard]] std::optional<net::Address> parse(std::string_view text) const;
  [[nodiscard]] std::optional<net::Address> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const { return "HOST:PORT, \"[IPV6]:PORT\" or unix:/path"; }
  [[nodiscard]] std::string schema() const { return R"({"type":"string"})"; }
  [[nodiscard]] std::string json(const net::Address& value) const { return json_quote(value.to_string()); }
};

struct UpstreamText : ScalarBase {
  using Value = UpstreamUrl;
  // Somebody may have written a password into it.
  [[nodiscard]] static std::string found(std::string_view text) {
    return text.find('@') == text.npos ? shown(text) : std::string(kNotShown);
  }
  [[nodiscard]] std::optional<UpstreamUrl> parse(std::string_view text) const;
  [[nodiscard]] std::optional<UpstreamUrl> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const { return "http://HOST:PORT or unix:/path"; }
  [[nodiscard]] std::string schema() const { return R"({"type":"string"})"; }
  [[nodiscard]] std::string json(const UpstreamUrl& value) const { return json_quote(value.to_string()); }
};

// A part of a shared route's key: host, path, query, identity, header:NAME, cookie:NAME, query:NAME.
struct KeyPartText : ScalarBase {
  using Value = relay::KeyPart;
  [[nodiscard]] std::optional<relay::KeyPart> parse(std::string_view text) const;
  [[nodiscard]] std::optional<relay::KeyPart> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
  [[nodiscard]] static std::string hint(std::string_view text);
  [[nodiscard]] std::string allowed() const {
    return "host, path, query, identity, header:NAME, cookie:NAME or query:NAME";
  }
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(const relay::KeyPart& value) const;
};

[[nodiscard]] std::string either_schema(std::string_view word, std::string_view schema);

// A word that stands for "nothing given" (auto, all), or what G reads.
template <Grammar G>
struct Or {
  using Value = std::optional<typename G::Value>;
  std::string_view word;
  G grammar;
  Or(std::string_view special, G other) : word(special), grammar(std::move(other)) {}
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const {
    if (node.kind == Node::Kind::Scalar) {
      const auto scalar = reading.scalar(node, allowed());
      if (!scalar) return std::nullopt;
      if (scalar->text == word) return Value();
      // The text as it is now, so that nothing is filled in twice, nor reported with half of what is allowed.
      std::string hint;
      if constexpr (requires { grammar.parse(scalar->text); }) {
        // Not grammar.read(): nothing is filled in twice, and a report names all that is allowed.
        auto value = grammar.parse(scalar->text);
        const bool is_text = G::kIsUnquoted && scalar->is_quoted;
        if (value && !is_text) return Value(std::move(value));
        hint = value ? "without quotes" : grammar.hint(scalar->text);
      }
      if (hint.empty()) hint = word_hint(scalar->text, {word});
      reading.refuse(node.mark, shown(scalar->text), allowed(), hint);
      return std::nullopt;
    }
    if constexpr (requires { grammar.parse(std::string_view()); }) {
      reading.refuse(node.mark, described(node), allowed());
      return std::nullopt;
    } else {
      auto value = grammar.read(node, reading);
      if (!value) return std::nullopt;
      return Value(std::move(value));
    }
  }
  [[nodiscard]] std::string allowed() const { return fmt::format("{}, or {}", word, grammar.allowed()); }
  [[nodiscard]] std::string schema() const { return either_schema(word, grammar.schema()); }
  [[nodiscard]] std::string json(const Value& value) const { return value ? grammar.json(*value) : json_quote(word); }
};

// A value that another setting decides while it is not given; json: null.
template <Grammar G>
struct Undecided {
  using Value = std::optional<typename G::Value>;
  G grammar;
  explicit Undecided(G other) : grammar(std::move(other)) {}
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const {
    auto value = grammar.read(node, reading);
    if (!value) return std::nullopt;
    return Value(std::move(value));
  }
  [[nodiscard]] std::string allowed() const { return grammar.allowed(); }
  [[nodiscard]] std::string schema() const { return grammar.schema(); }
  [[nodiscard]] std::string json(const Value& value) const { return value ? grammar.json(*value) : "null"; }
};

[[nodiscard]] std::string list_schema(std::string_view item, std::size_t min, bool or_one);

// A list of different values; with or_one, a single one may stand without the list.
template <Grammar G>
struct List {
  using Value = std::vector<typename G::Value>;
  static constexpr std::size_t kMax = 1000;
  G item;
  std::size_t min = 0;
  bool or_one = false;
  explicit List(G grammar, std::size_t least = 0, bool one = false)
      : item(std::move(grammar)), min(least), or_one(one) {}

  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const {
    if (or_one && node.kind == Node::Kind::Scalar) {
      auto one = item.read(node, reading);
      if (!one) return std::nullopt;
      return Value{std::move(*one)};
    }
    if (node.kind != Node::Kind::Sequence) {
      reading.refuse(node.mark, described(node), allowed());
      return std::nullopt;
    }
    if (node.items.size() < min || node.items.size() > kMax) {
      reading.refuse(node.mark, fmt::format("a list of {}", node.items.size()), allowed(),
                     fmt::format("at least {} and at most {}", min, kMax));
      return std::nullopt;
    }
    Value out;
    bool all_well = true;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const auto step = reading.item(i, node.items[i].mark);
      auto value = item.read(node.items[i], reading);
      all_well = all_well && value;
      if (!value) continue;
      if (std::find(out.begin(), out.end(), *value) != out.end()) {
        reading.problem(node.items[i].mark,
                        fmt::format("found {} twice, allowed: each once", described(node.items[i])));
        all_well = false;
      }
      out.push_back(std::move(*value));
    }
    if (!all_well) return std::nullopt;
    return out;
  }
  [[nodiscard]] std::string allowed() const {
    return fmt::format("{}a list, [...], each item {}", or_one ? item.allowed() + ", or " : "", item.allowed());
  }
  [[nodiscard]] std::string schema() const { return list_schema(item.schema(), min, or_one); }
  [[nodiscard]] std::string json(const Value& value) const {
    if (or_one && value.size() == 1) return item.json(value.front());
    std::string out = "[";
    for (const auto& one : value) out.append(out.size() == 1 ? "" : ",").append(item.json(one));
    return out += ']';
  }
};

// A word, or a map of one key: {field: NAME}.
struct WordOrOne {
  struct Case {
    std::string_view key;
    std::string_view what;  // What its value is, in words.
  };
  std::vector<std::string_view> words;
  std::vector<Case> cases;

  struct Found {
    std::string_view word;  // Or:
    std::string_view key;
    const Node* value = nullptr;
  };
  [[nodiscard]] std::optional<Found> read(const Node& node, Reading& reading) const;
  [[nodiscard]] std::string allowed() const;
  // schemas: of each case's value.
  [[nodiscard]] std::string schema(const std::vector<std::string>& schemas) const;
};

struct OriginChoice {
  using Value = sse::OriginStyle;
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const;
  [[nodiscard]] std::string allowed() const;
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(const Value& value) const;
};

struct AuthorizeChoice {
  using Value = relay::Authorize;
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const;
  [[nodiscard]] std::string allowed() const;
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(const Value& value) const;
};

struct StartAtChoice {
  using Value = relay::StartAt;
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const;
  [[nodiscard]] std::string allowed() const;
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(const Value& value) const;
};

// upstream_fields: names and values of fields (RFC 9110 §5); values that look like credentials are written as ***.
struct FieldMap {
  using Value = std::vector<std::pair<std::string, std::string>>;
  [[nodiscard]] std::optional<Value> read(const Node& node, Reading& reading) const;
  [[nodiscard]] std::string allowed() const { return "a map of field names and values, {NAME: VALUE}"; }
  [[nodiscard]] std::string schema() const;
  [[nodiscard]] std::string json(const Value& value) const;
};

}  // namespace ssequel::app::config
