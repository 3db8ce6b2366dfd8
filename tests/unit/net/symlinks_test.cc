#include "net/symlinks.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>

#include "support/temporary_folder.h"

using namespace ssequel;
using ssequel::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {
// Without the symlinks that the temporary folder itself may be behind.
std::string real(const std::string& path) { return fs::weakly_canonical(path).string(); }
}  // namespace

TEST_CASE("a plain file is decided by its folder") {
  const TemporaryFolder folder;
  folder.write("file", "x");
  const auto resolution = net::resolve_path(folder.path("file"));
  CHECK(resolution.target == real(folder.path("file")));
  CHECK(resolution.folders.contains(real(folder.path())));
}

TEST_CASE("each folder with a symlink on the way is among the deciding ones") {
  const TemporaryFolder a;
  const TemporaryFolder b;
  fs::create_directories(b.path("v1/deep"));
  b.write("v1/deep/file", "x");
  fs::create_directory_symlink("v1", b.path("current"));
  fs::create_symlink(b.path("current/./deep/../deep/file"), a.path("link"));
  const auto resolution = net::resolve_path(a.path("link"));
  CHECK(resolution.target == real(b.path("v1/deep/file")));
  for (const auto& folder : {real(a.path()), real(b.path()), real(b.path("v1/deep"))}) {
    CHECK(resolution.folders.contains(folder));
  }
  CHECK_FALSE(resolution.folders.contains(real(b.path("v1"))));
}

TEST_CASE("where something is missing, the folder in which it would appear decides") {
  const TemporaryFolder folder;
  const auto resolution = net::resolve_path(folder.path("missing/file"));
  CHECK(resolution.folders.contains(real(folder.path())));
  CHECK(resolution.target == real(folder.path()) + "/missing");
}

TEST_CASE("symlinks that lead in a circle end") {
  const TemporaryFolder folder;
  fs::create_symlink("two", folder.path("one"));
  fs::create_symlink("one", folder.path("two"));
  CHECK(net::resolve_path(folder.path("one")).folders.contains(real(folder.path())));
}

TEST_CASE("a relative path starts at the working directory") {
  CHECK(net::resolve_path("no-such-file").folders.contains(real(fs::current_path().string())));
}
