#include "app/config_tree.h"

#include <doctest/doctest.h>

#include "config_support.h"

using namespace ssequel;
using namespace ssequel::app;
using namespace ssequel::app::config;

namespace {

struct Tree {
  std::optional<Node> root;
  std::vector<std::string> problems;
};

Tree read(std::string_view yaml) {
  Problems problems;
  auto root = read_tree(yaml, problems);
  return {std::move(root), problems.lines("f")};
}

std::string problem(std::string_view yaml) {
  const auto tree = read(yaml);
  std::string out;
  for (const auto& line : tree.problems) out += (out.empty() ? "" : "\n") + line;
  return out;
}

}  // namespace

TEST_CASE("a tree knows where its keys and values stand, in characters") {
  const auto root = read("a: 1\nbé:\n  - {cé: dé, e: \"f\"}\n").root.value();
  REQUIRE(root.entries.size() == 2);
  CHECK(root.entries[0].mark == Mark{1, 1});
  CHECK(root.entries[0].value.mark == Mark{1, 4});
  CHECK(root.entries[1].key == "bé");
  const auto& map = root.entries[1].value.items.at(0);
  CHECK(map.mark == Mark{3, 5});
  CHECK(map.entries[0].value.mark == Mark{3, 10});
  CHECK(map.entries[1].mark == Mark{3, 14});
  CHECK(map.entries[1].value.mark == Mark{3, 17});
  CHECK(map.entries[1].value.is_quoted);
  CHECK_FALSE(map.entries[0].value.is_quoted);
}

TEST_CASE("a byte order mark and CRLF change no position") {
  const auto root = read(
                        "\xEF\xBB\xBF"
                        "a: 1\r\nb: x\r\n")
                        .root.value();
  CHECK(root.entries[0].key == "a");
  CHECK(root.entries[1].mark == Mark{2, 1});
  CHECK(root.entries[1].value.text == "x");
}

TEST_CASE("a file without content is no error") {
  for (const auto text : {"", "\n", "# nothing\n", "---\n", "---\n...\n", "\xEF\xBB\xBF"}) {
    CAPTURE(text);
    const auto tree = read(text);
    CHECK(tree.problems.empty());
    CHECK(tree.root.value().kind == Node::Kind::Null);
  }
}

TEST_CASE("a repeated key is told at its second place, with its path, and the first one stays") {
  const auto tree = read("a: 1\nb: {c: 1, d: 2, c: 3}\nl:\n  - x: 1\n  - x: 1\n    x: 2\na: 2\n");
  CHECK(tree.problems == std::vector<std::string>{"f:2:17: b.c: repeated key; it stands in line 2 already",
                                                  "f:6:5: l[1].x: repeated key; it stands in line 5 already",
                                                  "f:7:1: a: repeated key; it stands in line 1 already"});
  CHECK(tree.root.value().entries[0].value.text == "1");
}

TEST_CASE("quotes do not make a key another one") { CHECK(has(problem("a: 1\n\"a\": 2\n"), "f:2:1: a: repeated key")); }

TEST_CASE("what is no YAML is told with its place") {
  CHECK(has(problem("a: [1, 2\n"), "f:2:1: not YAML"));
  CHECK(has(problem("a: 1\n}\n"), "f:2:1: not YAML"));
  CHECK(has(problem("listen\nadmin: x\n"), "f:2:6: not YAML"));
  CHECK(has(problem("@a: 1"), "f:1:1: not YAML"));
  CHECK(has(problem("%YAML 9.9\n---\na: 1\n"), "not YAML"));
  CHECK(has(problem("a: *none\n"), "f:1:4: not YAML"));
}

TEST_CASE("usual slips are explained") {
  CHECK(has(problem("listen: [::1]:8080\n"), "needs quotes"));
  CHECK(has(problem("a: [/b?c]\n"), "a text with a ? needs quotes"));
  CHECK(has(problem("a:\n\tb: 1\n"), "a tab cannot indent"));
}

TEST_CASE("a quote that is never closed is an error") {
  CHECK(problem("a: \"b\nc: d\n") == "f:1:4: found a quote that is never closed");
  CHECK(problem("a: 'b''\n") == "f:1:4: found a quote that is never closed");
  CHECK(problem("a: \"b\\\"\n") == "f:1:4: found a quote that is never closed");
  CHECK(problem("é: [\"é\", \"b]\n") == "f:1:10: found a quote that is never closed");
  CHECK(problem("a: \"b\\\"c\\\\\"\nb: 'it''s'\nc: \"\"\nd: ''\ne: |\n  \"\nf: >-\n  '\n") == "");
}

TEST_CASE("what a configuration has no use for is refused where it stands") {
  CHECK(problem("a: &x 1\nb: *x\n") == "f:2:4: b: found an alias (*NAME); write the value itself");
  CHECK(has(problem("a: &x {b: 1}\nc: {<<: *x}\n"), "f:2:5: c.<<: found a merge key"));
  CHECK(has(problem("a: !!int 5\n"), "a: found a tag"));
  CHECK(has(problem("a: !x {b: 1}\n"), "a: found a tag"));
  CHECK(has(problem("? [a]\n: b\n"), "f:1:3: found a key that is no word"));
  CHECK(has(problem("{[a]: b}"), "found a key that is no word"));
  CHECK(has(problem(": b\n"), "found a key that is no word"));
  CHECK(has(problem("a: 1\n---\nb: 2\n"), "f:2:1: found a second document"));
  CHECK(has(problem("- a\n-b\n"), "f:2:1: found a second document"));
}

TEST_CASE("bytes that are no text are refused where they stand") {
  CHECK(problem("a: \xFF\n") == "f:1:4: found bytes that are not UTF-8");
  CHECK(problem("a: 1\nbé: \xC3(\n") == "f:2:5: found bytes that are not UTF-8");
  CHECK(problem(std::string_view("a: \0b\n", 6)) == "f:1:4: found a NUL byte");
  CHECK(problem(std::string_view("a\0:\0 \0", 6)) == "f:1:2: found a NUL byte");
}

TEST_CASE("a file over 1 MiB is refused, one of 1 MiB is read") {
  std::string yaml = "a: 1\n#";
  yaml.resize(kFileMax, 'x');
  CHECK(read(yaml).root.has_value());
  CHECK(problem(yaml + "x") == "f:1:1: found 1048577 bytes, allowed: a file of up to 1 MiB");
}

TEST_CASE("deep nesting is refused, however it is written") {
  std::string maps = "a: ";
  for (int i = 0; i < 5000; ++i) maps += "{b: ";
  std::string blocks;
  for (int i = 0; i < 500; ++i) blocks += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  std::string dashes, marks;
  for (int i = 0; i < 5000; ++i) dashes += "- ", marks += "? ";
  for (const auto& text : {std::string(1'000'000, '['), "a: " + std::string(5000, '['), maps, blocks, dashes, marks}) {
    CHECK(has(problem(text), "inside one another"));
  }
}

TEST_CASE("a map of very many keys is refused") {
  std::string yaml;
  for (int i = 0; i < 100'000; ++i) yaml += std::to_string(i) + ":\n";
  CHECK(has(problem(yaml), "more than 1000 keys in one map"));
}

TEST_CASE("a list of very many items is refused, on one line, too") {
  std::string yaml = "a: [";
  for (int i = 0; i < 200'000; ++i) yaml += "b,";
  CHECK(has(problem(yaml), "f:1:20005: found more than 10000 items in one list"));
}

TEST_CASE("only so many problems are kept, and the rest is counted") {
  std::string yaml = "a: &x 1\nb:\n";
  for (int i = 0; i < 1000; ++i) yaml += "  - *x\n";
  const auto tree = read(yaml);
  CHECK(tree.problems.size() == Problems::kMax + 1);
  CHECK(tree.problems.back() == "f: and 900 more");
}
