#include "nodes/layout.h"

#include <fmt/format.h>

#include <charconv>

#include "base/base62.h"
#include "base/sha256.h"

namespace ssequel::nodes {
namespace {

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

LogNames names_for(std::string_view prefix, std::string_view route, std::string_view key, std::string_view start_key) {
  const auto slot = static_cast<unsigned>(sha256(start_key)[0]) % kSlots;
  const auto digest = sha256(key);
  const auto name = base62::encode(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size() / 2));
  const auto log = fmt::format("{}:{{{:02}}}:{}:{}:", prefix, slot, route, name);
  return {.slot = slot,
          .log = log + "log",
          .meta = log + "meta",
          .nodes = log + "nodes",
          .given = fmt::format("{}:{{{:02}}}:given", prefix, slot),
          .given_field = {}};
}

}  // namespace

LogNames names_of(std::string_view prefix, const replay::LogRecord& record) {
  const auto start_key = record.start_key();
  auto names = names_for(prefix, record.route, record.key, start_key);
  if (record.has_start) {
    const auto digest = sha256(start_key);
    names.given_field = base62::encode(std::string_view(reinterpret_cast<const char*>(digest.data()), 16));
  }
  return names;
}

LogNames names_of_session(std::string_view prefix, std::string_view route, std::string_view tag) {
  return names_for(prefix, route, tag, tag);
}

std::string wake_key(std::string_view prefix, unsigned slot, std::string_view node) {
  return fmt::format("{}:{{{:02}}}:wake:{}", prefix, slot, node);
}

Fields fields_of(const replay::LogRecord& record) {
  std::string first;
  replay::append_number(first, record.form.spelling, record.first_number);
  std::string base;
  if (record.first_number != 0) replay::append_number(base, record.form.spelling, record.first_number - 1);
  Fields fields = {{"route", record.route},
                   {"tag", record.form.tag},
                   {"carries_origin", record.form.carries_origin ? "1" : "0"},
                   {"ulid", record.form.spelling == replay::Spelling::Ulid ? "1" : "0"},
                   {"first", first},
                   {"number", base},
                   {"strategy", record.strategy},
                   {"start", record.has_start ? "1" : "0"},
                   {"kind", record.is_session ? "session" : "shared"}};
  // What a shared channel is asked with is the client's business, and each node has its own.
  if (!record.is_session) return fields;
  for (const auto& [name, value] : {std::pair<const char*, const std::string&>{"method", record.method},
                                    {"target", record.target},
                                    {"host", record.host},
                                    {"identity", record.identity},
                                    {"path", record.path},
                                    {"origin", record.origin},
                                    {"reattach", record.reattach},
                                    {"signature", record.signature}}) {
    fields.emplace_back(name, value);
  }
  return fields;
}

Hash hash_of(const redis::Reply& reply, std::size_t from) {
  Hash hash;
  for (std::size_t i = from; i + 1 < reply.elements.size(); i += 2) {
    hash.emplace(reply.elements[i].text, reply.elements[i + 1].text);
  }
  return hash;
}

std::string_view get(const Hash& hash, std::string_view field) {
  const auto at = hash.find(field);
  return at == hash.end() ? std::string_view() : std::string_view(at->second);
}

std::optional<replay::LogRecord> record_of(const Hash& meta) {
  replay::LogRecord record;
  record.route = get(meta, "route");
  record.form.tag = get(meta, "tag");
  record.form.carries_origin = get(meta, "carries_origin") == "1";
  record.form.spelling = get(meta, "ulid") == "1" ? replay::Spelling::Ulid : replay::Spelling::Decimal;
  const auto first = replay::parse_number(get(meta, "first"), record.form.spelling);
  if (!first && get(meta, "first") != "0") return std::nullopt;
  if (!record.form.tag.empty() && !base62::is_tag(record.form.tag)) return std::nullopt;
  record.first_number = first.value_or(0);
  record.strategy = get(meta, "strategy");
  record.has_start = get(meta, "start") == "1";
  record.is_session = get(meta, "kind") == "session";
  record.method = get(meta, "method");
  record.target = get(meta, "target");
  record.host = get(meta, "host");
  record.identity = get(meta, "identity");
  record.path = get(meta, "path");
  record.origin = get(meta, "origin");
  record.reattach = get(meta, "reattach");
  record.signature = get(meta, "signature");
  return record;
}

std::optional<StreamId> parse_stream_id(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == text.npos) return std::nullopt;
  const auto first = number_in(text.substr(0, dash)), second = number_in(text.substr(dash + 1));
  if (!first || !second) return std::nullopt;
  return StreamId{*first, *second};
}

std::string to_string(const StreamId& id) { return fmt::format("{}-{}", id.first, id.second); }

std::optional<Item> item_of(const redis::Reply& element, replay::Spelling spelling) {
  if (element.elements.size() != 2) return std::nullopt;
  const auto id = parse_stream_id(element.elements[0].text);
  if (!id) return std::nullopt;
  Item item;
  item.id = *id;
  const auto& fields = element.elements[1].elements;
  bool has_number = false;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    const std::string_view name = fields[i].text, value = fields[i + 1].text;
    if (name == "control") item.control = value;
    if (name == "value") item.value = value;
    if (name == "inc") item.incarnation = value;
    if (name == "origin") item.origin = value;
    if (name == "last") item.last_id = value;
    if (name == "frame") item.frame = value;
    if (name == "lines") item.lines = value;
    if (name == "at") item.at_ms = static_cast<std::int64_t>(number_in(value).value_or(0));
    if (name != "number") continue;
    const auto number = replay::parse_number(value, spelling);
    has_number = number.has_value();
    item.number = number.value_or(0);
  }
  if (item.is_entry() && (!has_number || id->first == 0 || (item.frame.empty() == item.lines.empty())))
    return std::nullopt;
  return item;
}

void set_writer(std::vector<std::string>& items, std::string_view incarnation, std::string_view fence) {
  for (std::size_t at = 0; at + 1 < items.size();) {
    const auto count = number_in(items[at + 1]).value_or(0);
    for (std::size_t name = at + 2; items[at] == "e" && name + 1 < at + 2 + count; name += 2) {
      if (items[name] == "inc") items[name + 1] = incarnation;
      if (items[name] == "fence") items[name + 1] = fence;
    }
    at += 2 + count;
  }
}

std::optional<std::vector<Pulse>> pulses_of(const redis::Reply& reply, std::size_t count) {
  constexpr std::size_t kWords = 10;
  if (reply.elements.size() != 1 + count * kWords) return std::nullopt;
  std::vector<Pulse> pulses(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto word = [&](std::size_t at) -> const std::string& { return reply.elements[1 + i * kWords + at].text; };
    auto& pulse = pulses[i];
    pulse.word = word(0) == "lead"    ? Pulse::Word::Lead
                 : word(0) == "free"  ? Pulse::Word::Free
                 : word(0) == "final" ? Pulse::Word::Final
                 : word(0) == "gone"  ? Pulse::Word::Gone
                                      : Pulse::Word::Follow;
    pulse.fence = word(1);
    pulse.incarnation = word(2);
    pulse.from = number_in(word(3)).value_or(0);
    pulse.next = number_in(word(4)).value_or(0);
    pulse.remaining = Millis(number_in(word(5)).value_or(0));
    pulse.is_wanted = word(6) != "0";
    if (const auto foremost = number_in(word(7))) pulse.foremost = *foremost;
    pulse.has_lost = word(8) == "1";
    pulse.is_same_run = word(9) == "1";
  }
  return pulses;
}

}  // namespace ssequel::nodes
