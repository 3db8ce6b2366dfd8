// The values that are a word or a small map of their own.

#include <algorithm>

#include "app/config_grammar.h"
#include "app/config_texts.h"
#include "base/ascii.h"

namespace ssequel::app::config {
namespace {

const Text kSseField("a field name other than id, event, data and retry", is_sse_field);
const Text kJsonMember("the name of a JSON member, of 1 to 64 bytes",
                       [](std::string_view text) { return !text.empty() && text.size() <= 64; });
const Text kPath("a path that begins with /", is_path);
const Number<std::uint64_t> kLast(1, 1ULL << 31);

const WordOrOne kOrigin{{"none", "comment"}, {{"field", "NAME"}, {"json", "NAME"}}};
const WordOrOne kAuthorize{{"auto", "key", "probe"}, {{"path", "/PATH"}}};
const WordOrOne kStartAt{{"live", "oldest"}, {{"last", "N"}}};

// Fields that frame a message or belong to one connection (RFC 9110 §7.6.1), and what only the proxy can say.
bool is_ours(std::string_view name) {
  static constexpr std::string_view kOurs[] = {"Connection", "Content-Length",    "Keep-Alive", "Proxy-Connection",
                                               "TE",         "Trailer",           "Upgrade",    "Expect",
                                               "Host",       "Transfer-Encoding", "Via",        "Last-Event-ID"};
  return std::any_of(std::begin(kOurs), std::end(kOurs), [&](auto ours) { return ascii::equals(ours, name); });
}

// One secret text: shown in no report.
struct FieldValue : Text {
  [[nodiscard]] static std::string found(std::string_view) { return std::string(kNotShown); }
  FieldValue()
      : Text("a field value without white space around it",
             [](std::string_view text) { return text.size() <= 8192 && ascii::trim(text).size() == text.size(); }) {}
  [[nodiscard]] std::optional<std::string> read(const Node& node, Reading& reading) const {
    return read_scalar(*this, node, reading);
  }
};

}  // namespace

std::optional<WordOrOne::Found> WordOrOne::read(const Node& node, Reading& reading) const {
  std::vector<std::string_view> keys;
  for (const auto& one : cases) keys.push_back(one.key);
  if (node.kind == Node::Kind::Map && node.entries.size() == 1) {
    const auto& entry = node.entries.front();
    const auto key = std::find(keys.begin(), keys.end(), entry.key);
    if (key != keys.end()) return Found{{}, *key, &entry.value};
    const auto step = reading.key(entry.key, entry.mark);
    const auto hint = word_hint(entry.key, keys);
    reading.problem(entry.mark, hint.empty() ? "unknown key, allowed: " + allowed() : "unknown key; " + hint);
    return std::nullopt;
  }
  if (node.kind == Node::Kind::Map) {
    reading.refuse(node.mark, fmt::format("a map of {} keys", node.entries.size()), allowed());
    return std::nullopt;
  }
  const auto scalar = reading.scalar(node, allowed());
  if (!scalar) return std::nullopt;
  const auto word = std::find(words.begin(), words.end(), scalar->text);
  if (word != words.end()) return Found{*word, {}, nullptr};
  reading.refuse(node.mark, shown(scalar->text), allowed(), word_hint(scalar->text, words));
  return std::nullopt;
}

std::string WordOrOne::allowed() const {
  std::string out;
  for (const auto word : words) out.append(word).append(", ");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    out += fmt::format("{}{{{}: {}}}", i + 1 == cases.size() ? "or " : "", cases[i].key, cases[i].what);
    if (i + 1 != cases.size()) out += ", ";
  }
  return out;
}

std::string WordOrOne::schema(const std::vector<std::string>& schemas) const {
  auto out = words_schema(words);
  out.resize(out.size() - 2);  // "]}": the other cases are alternatives, too.
  for (std::size_t i = 0; i < cases.size(); ++i) {
    out += fmt::format(
        R"(,{{"type":"object","properties":{{"{0}":{1}}},"required":["{0}"],"additionalProperties":false}})",
        cases[i].key, schemas[i]);
  }
  return out += "]}";
}

std::optional<sse::OriginStyle> OriginChoice::read(const Node& node, Reading& reading) const {
  using Kind = sse::OriginStyle::Kind;
  const auto found = kOrigin.read(node, reading);
  if (!found) return std::nullopt;
  if (found->word == "none") return Value{Kind::None, ""};
  if (found->word == "comment") return Value{Kind::Comment, ""};
  const bool is_field = found->key == "field";
  const auto step = reading.key(found->key, found->value->mark);
  auto name = (is_field ? kSseField : kJsonMember).read(*found->value, reading);
  if (!name) return std::nullopt;
  return Value{is_field ? Kind::Field : Kind::Json, *std::move(name)};
}
std::string OriginChoice::allowed() const { return kOrigin.allowed(); }
std::string OriginChoice::schema() const { return kOrigin.schema({kSseField.schema(), kJsonMember.schema()}); }
std::string OriginChoice::json(const Value& value) const {
  using enum sse::OriginStyle::Kind;
  switch (value.kind) {
    case None:
      return R"("none")";
    case Comment:
      return R"("comment")";
    case Field:
      return fmt::format(R"({{"field":{}}})", json_quote(value.name));
    case Json:
      return fmt::format(R"({{"json":{}}})", json_quote(value.name));
  }
  return "null";
}

std::optional<relay::Authorize> AuthorizeChoice::read(const Node& node, Reading& reading) const {
  using Kind = relay::Authorize::Kind;
  const auto found = kAuthorize.read(node, reading);
  if (!found) return std::nullopt;
  if (found->word == "auto") return Value{Kind::Auto, ""};
  if (found->word == "key") return Value{Kind::Key, ""};
  if (found->word == "probe") return Value{Kind::Probe, ""};
  const auto step = reading.key(found->key, found->value->mark);
  auto path = kPath.read(*found->value, reading);
  if (!path) return std::nullopt;
  return Value{Kind::Path, *std::move(path)};
}
std::string AuthorizeChoice::allowed() const { return kAuthorize.allowed(); }
std::string AuthorizeChoice::schema() const { return kAuthorize.schema({kPath.schema()}); }
std::string AuthorizeChoice::json(const Value& value) const {
  using enum relay::Authorize::Kind;
  switch (value.kind) {
    case Auto:
      return R"("auto")";
    case Key:
      return R"("key")";
    case Probe:
      return R"("probe")";
    case Path:
      return fmt::format(R"({{"path":{}}})", json_quote(value.path));
  }
  return "null";
}

std::optional<relay::StartAt> StartAtChoice::read(const Node& node, Reading& reading) const {
  using Kind = relay::StartAt::Kind;
  const auto found = kStartAt.read(node, reading);
  if (!found) return std::nullopt;
  if (found->word == "live") return Value{Kind::Live, 0};
  if (found->word == "oldest") return Value{Kind::Oldest, 0};
  const auto step = reading.key(found->key, found->value->mark);
  const auto last = kLast.read(*found->value, reading);
  if (!last) return std::nullopt;
  return Value{Kind::Last, *last};
}
std::string StartAtChoice::allowed() const { return kStartAt.allowed(); }
std::string StartAtChoice::schema() const { return kStartAt.schema({kLast.schema()}); }
std::string StartAtChoice::json(const Value& value) const {
  using enum relay::StartAt::Kind;
  switch (value.kind) {
    case Live:
      return R"("live")";
    case Oldest:
      return R"("oldest")";
    case Last:
      return fmt::format(R"({{"last":{}}})", value.last);
  }
  return "null";
}

std::optional<FieldMap::Value> FieldMap::read(const Node& node, Reading& reading) const {
  if (node.kind != Node::Kind::Map) {
    reading.refuse(node.mark, described(node), allowed());
    return std::nullopt;
  }
  Value out;
  bool all_well = true;
  for (const auto& entry : node.entries) {
    const auto step = reading.key(entry.key, entry.value.mark);
    const auto is_same = [&](const auto& field) { return ascii::equals(field.first, entry.key); };
    if (!is_token(entry.key)) {
      reading.problem(entry.mark, "found a key that is no field name");
    } else if (is_ours(entry.key)) {
      reading.problem(entry.mark, "found a field that only the proxy can set, allowed: any other");
    } else if (std::any_of(out.begin(), out.end(), is_same)) {
      reading.problem(entry.mark, "repeated key; the names of fields have no case");
    } else if (auto value = FieldValue().read(entry.value, reading)) {
      out.emplace_back(entry.key, *std::move(value));
      continue;
    }
    all_well = false;
  }
  if (!all_well) return std::nullopt;
  return out;
}

std::string FieldMap::schema() const {
  return R"({"type":"object","additionalProperties":{"type":["string","number"]}})";
}

std::string FieldMap::json(const Value& value) const {
  std::string out = "{";
  for (const auto& [name, content] : value) {
    out.append(out.size() == 1 ? "" : ",").append(json_quote(name)).append(":");
    out += json_quote(is_credential(name, content) ? kMask : std::string_view(content));
  }
  return out += '}';
}

}  // namespace ssequel::app::config
