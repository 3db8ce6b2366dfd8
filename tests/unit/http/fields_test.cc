#include "http/fields.h"

#include <doctest/doctest.h>

#include <string>

#include "unit/http/transcript.h"

using namespace ssequel::http;

TEST_CASE("fields keep order, case and duplicates") {
  Fields fields;
  CHECK(fields.empty());
  fields.add("Cookie", "a=1");
  fields.add("cookie", "b=2");
  fields.add("Empty", "");
  CHECK(describe(fields) == "[Cookie]=[a=1] [cookie]=[b=2] [Empty]=[] ");
  CHECK(fields.size() == 3);
  CHECK(fields.bytes() == 6 + 3 + 6 + 3 + 5);
}

TEST_CASE("names are looked up without case, the first value wins") {
  Fields fields;
  fields.add("A", "1");
  fields.add("a", "2");
  CHECK(fields.get("a") == "1");
  CHECK(fields.count("A") == 2);
  CHECK_FALSE(fields.get("b").has_value());
  CHECK_FALSE(fields.has("AA"));
}

TEST_CASE("remove takes every field of a name and leaves the others in order") {
  Fields fields;
  fields.add("A", "1");
  fields.add("B", "2");
  fields.add("a", "3");
  fields.add("C", "4");
  CHECK(fields.remove("A") == 2);
  CHECK(fields.remove("A") == 0);
  CHECK(describe(fields) == "[B]=[2] [C]=[4] ");
  CHECK(fields.bytes() == 4);
}

TEST_CASE("set replaces all by one at the first one's place, or adds") {
  Fields fields;
  fields.add("A", "1");
  fields.add("B", "2");
  fields.add("a", "3");
  fields.set("a", "new");
  CHECK(describe(fields) == "[a]=[new] [B]=[2] ");
  fields.set("C", "");
  CHECK(describe(fields) == "[a]=[new] [B]=[2] [C]=[] ");
  CHECK(fields.bytes() == 4 + 2 + 1);
}

TEST_CASE("views into the fields themselves may be given back to them") {
  Fields fields;
  fields.add("Name", "a value that is longer than any small string");
  for (int i = 0; i < 20; ++i) fields.add(fields[0].name, fields[0].value);
  CHECK(fields.count("Name") == 21);
  CHECK(fields[20].value == "a value that is longer than any small string");
  fields.set(fields[3].name, fields[7].value);
  CHECK(describe(fields) == "[Name]=[a value that is longer than any small string] ");
  fields.add("Other", "x");
  CHECK(fields.remove(fields[0].name) == 1);
  CHECK(describe(fields) == "[Other]=[x] ");
}

TEST_CASE("a section that is changed for ever does not grow for ever") {
  Fields fields;
  fields.add("Keep", "this");
  for (int i = 0; i < 100000; ++i) fields.set("Changing", std::to_string(i));
  CHECK(describe(fields) == "[Keep]=[this] [Changing]=[99999] ");
  CHECK(fields.bytes() == 4 + 4 + 8 + 5);
}

TEST_CASE("lists looks through all lines of a comma-separated field") {
  Fields fields;
  fields.add("Connection", "keep-alive");
  fields.add("connection", " x , \"a,Upgrade\" ,,UPGRADE");
  CHECK(fields.lists("Connection", "upgrade"));
  CHECK(fields.lists("Connection", "Keep-Alive"));
  CHECK(fields.lists("Connection", "X"));
  CHECK_FALSE(fields.lists("Connection", "a"));
  CHECK_FALSE(fields.lists("Connection", ""));
  CHECK_FALSE(fields.lists("Other", "x"));
}

TEST_CASE("fields are written as lines, and what cannot stand in one is left out") {
  Fields fields;
  fields.add("A", "1");
  fields.add("Bad Name", "x");
  fields.add("Split", "x\r\nSet-Cookie: y");
  fields.add("B", "");
  std::string out = ">";
  fields.append_to(out);
  CHECK(out == ">A: 1\r\nB: \r\n");
}

TEST_CASE("clear leaves nothing behind") {
  Fields fields;
  fields.add("A", "1");
  fields.clear();
  CHECK(fields.empty());
  CHECK(fields.bytes() == 0);
  fields.add("B", "2");
  CHECK(describe(fields) == "[B]=[2] ");
}

TEST_CASE("copies are independent") {
  Fields fields;
  fields.add("A", "1");
  Fields copy = fields;
  copy.set("A", "2");
  CHECK(fields.get("A") == "1");
  CHECK(copy.get("A") == "2");
}
