#include "gateway/idle_channels.h"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>

namespace ssequel::gateway {
namespace {

// Loops are told apart by their address, and never called from here.
struct Loops {
  std::array<std::max_align_t, 2> at;
  Worker& one = *reinterpret_cast<Worker*>(at.data());
  Worker& other = *reinterpret_cast<Worker*>(&at[1]);
};

TEST_CASE("who was watched least recently goes first, whichever loop it is of") {
  Loops loops;
  IdleChannels idle;
  idle.put(loops.one, "a", Millis(30), 0);
  idle.put(loops.other, "a", Millis(10), 0);
  idle.put(loops.one, "b", Millis(20), 0);
  auto first = idle.take();
  REQUIRE(first);
  CHECK(first->worker == &loops.other);
  CHECK(first->key == "a");
  CHECK(idle.take()->key == "b");
  CHECK(idle.take()->key == "a");
  CHECK_FALSE(idle.take());
}

TEST_CASE("of those watched last at one moment the first to be put goes first") {
  Loops loops;
  IdleChannels idle;
  for (const auto* key : {"c", "a", "b"}) idle.put(loops.one, key, Millis(10), 0);
  idle.put(loops.one, "c", Millis(10), 7);  // Nothing new but its bytes.
  CHECK(idle.take()->key == "c");
  CHECK(idle.take()->key == "a");
}

TEST_CASE("one that was watched again goes later, one that is watched not at all") {
  Loops loops;
  IdleChannels idle;
  idle.put(loops.one, "a", Millis(10), 0);
  idle.put(loops.one, "b", Millis(20), 0);
  idle.put(loops.one, "a", Millis(30), 0);
  idle.put(loops.one, "c", Millis(5), 0);
  idle.remove(loops.one, "c");
  idle.remove(loops.other, "b");  // Another one.
  CHECK(idle.take()->key == "b");
  CHECK(idle.take()->key == "a");
  CHECK_FALSE(idle.take());
}

TEST_CASE("bytes are taken from the first ones until they are enough, and stay taken until they are put anew") {
  Loops loops;
  IdleChannels idle;
  idle.put(loops.one, "a", Millis(10), 0);
  idle.put(loops.one, "b", Millis(20), 100);
  idle.put(loops.other, "c", Millis(30), 50);
  idle.put(loops.one, "d", Millis(40), 10);
  const auto taken = idle.take_bytes(120);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].key == "b");
  CHECK(taken[0].bytes == 100);
  CHECK(taken[1].key == "c");
  CHECK(taken[1].worker == &loops.other);
  CHECK(idle.take_bytes(1000).size() == 1);
  CHECK(idle.take_bytes(1000).empty());
  idle.put(loops.one, "b", Millis(20), 60);
  CHECK(idle.take_bytes(1).at(0).bytes == 60);
  CHECK(idle.take()->key == "a");  // All of them may still go.
}

}  // namespace
}  // namespace ssequel::gateway
