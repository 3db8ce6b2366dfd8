#include "relay/path_pattern.h"

#include <doctest/doctest.h>

#include <string>

namespace ssequel::relay {
namespace {

TEST_CASE("which paths match which patterns") {
  struct Row {
    const char* pattern;
    const char* path;
    bool matches;
  };
  for (const auto& [pattern, path, matches] : {
           Row{"/", "/", true},
           Row{"/", "/a", false},
           Row{"/events", "/events", true},
           Row{"/events", "/events/", false},
           Row{"/events/", "/events", false},
           Row{"/events", "/event", false},
           Row{"/events", "/eventsx", false},
           Row{"/events", "/EVENTS", false},
           // `**` is any number of segments, none too.
           Row{"/**", "/", true},
           Row{"/**", "/a/b/c", true},
           Row{"/events/**", "/events", true},
           Row{"/events/**", "/events/", true},
           Row{"/events/**", "/events/a/b", true},
           Row{"/events/**", "/eventsx", false},
           Row{"/events/**", "/x/events", false},
           Row{"/**/events", "/events", true},
           Row{"/**/events", "/a/b/events", true},
           Row{"/**/events", "/a/events/b", false},
           Row{"/a/**/z", "/a/z", true},
           Row{"/a/**/z", "/a/b/c/z", true},
           Row{"/a/**/z", "/a/b/z/c", false},
           Row{"/a/**/b/**/c", "/a/b/c", true},
           Row{"/a/**/b/**/c", "/a/x/b/y/b/z/c", true},
           Row{"/a/**/b/**/c", "/a/c/b", false},
           Row{"/**/**", "/a", true},
           Row{"/**/a/*/b", "/a/a/x/b", true},
           // `*` is exactly one.
           Row{"/*", "/a", true},
           Row{"/*", "/", true},  // One segment, an empty one.
           Row{"/*", "/a/b", false},
           Row{"/users/*/events", "/users/7/events", true},
           Row{"/users/*/events", "/users/events", false},
           Row{"/users/*/events", "/users/7/8/events", false},
           Row{"/*/**", "/a", true},
           // Only whole segments are wild.
           Row{"/a*", "/ab", false},
           Row{"/a*", "/a*", true},
           // Raw bytes, as they came.
           Row{"/a b", "/a%20b", false},
           Row{"/a", "/%61", false},
           Row{"/a", "//a", false},
           Row{"/a/b", "/a//b", false},
           Row{"/a/**", "/a/../secret", true},
           Row{"/a", "/b/../a", false},
           // The asterisk-form of OPTIONS is no path.
           Row{"/**", "*", false},
           Row{"/**", "", false},
           Row{"*", "*", true},
       }) {
    CAPTURE(pattern);
    CAPTURE(path);
    CHECK(path_matches(pattern, path) == matches);
  }
}

TEST_CASE("a pattern of many wild segments takes no exponential time") {
  std::string pattern;
  std::string path;
  for (int i = 0; i < 200; ++i) pattern += "/**/a";
  pattern += "/z";
  for (int i = 0; i < 2000; ++i) path += "/a";
  CHECK_FALSE(path_matches(pattern, path));
  CHECK(path_matches(pattern, path + "/z"));
}

}  // namespace
}  // namespace ssequel::relay
