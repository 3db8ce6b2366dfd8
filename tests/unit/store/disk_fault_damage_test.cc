// Files that were damaged between two lives: cut, flipped, zeroed. Each outcome is either exactly right or told; never
// altered bytes, and never an id given twice.
#include <random>

#include "disk_story.h"

namespace ssequel::test {
namespace {

struct Outcomes {
  std::uint64_t right = 0;
  std::uint64_t told = 0;
  std::uint64_t set_aside = 0;
  std::uint64_t refused = 0;
};

// Three logs with entries, origin ids, ends and heads; killed: the write-ahead log holds all of it.
void tell(Story& story, int rounds, bool is_killed) {
  if (is_killed) story.wal_bytes = 64 * 1024 * 1024;  // All of it.
  REQUIRE(story.begin_life());
  auto& feed = story.open("feed", "", false);
  auto& counted = story.open("counted", "", true);
  auto& seat = story.open("seat", "Tag0000000000000000000", false);
  for (int round = 0; round < rounds; ++round) {
    story.append(feed, 60);
    story.append(feed, 700);
    story.append(counted, 20);
    story.append(seat, 30, fmt::format("origin-{}", round));
    if (round == 2) seat.set_end(true);
    if (round == 3) feed.set_head("X-A: b\r\n");
    if (round % 3 == 2) feed.evict(3);
    REQUIRE(story.settle());
  }
  if (is_killed) story.kill();
  story.end_life();
}

// A life on the damaged files: what is found must be right or told, and new entries must have new ids.
void live_on(Story& story, Outcomes& outcomes) {
  const auto told = story.times_told;
  if (!story.begin_life()) {
    ++outcomes.refused;
    CHECK_MESSAGE(story.refused.code == ErrorCode::Misconfigured, story.refused.context);
    return;
  }
  const auto aside = story.files_set_aside();
  for (const auto* key : {"feed", "counted"}) {
    auto& channel = story.find_or_open(key, "", std::string_view(key) == "counted");
    const auto highest = channel.known().highest_seen;
    story.append(channel, 10);
    CHECK(channel.log().next_number() > highest + 1);
  }
  CHECK(story.settle());
  story.end_life();
  if (aside != 0) CHECK(story.times_told > told);
  ++(story.times_told > told ? outcomes.told : outcomes.right);
  outcomes.set_aside += aside;
}

TEST_CASE("a write-ahead log cut at every hundredth byte: what is missing is told") {
  Story story(false);
  tell(story, 4, true);
  const auto whole = story.remember();
  const auto& wal = whole.files.at("ssequel.db-wal");
  REQUIRE(wal.size() > 50'000);
  Outcomes outcomes;
  for (std::size_t size = 0; size <= wal.size(); size += 100 * kStride) {
    CAPTURE(size);
    auto torn = whole;
    torn.files["ssequel.db-wal"].resize(size);
    story.go_back_to(torn);
    live_on(story, outcomes);
  }
  MESSAGE(outcomes.right << " right, " << outcomes.told << " told, " << outcomes.set_aside << " set aside, "
                         << outcomes.refused << " refused");
  CHECK(outcomes.told >= wal.size() / (100 * kStride) * 9 / 10);
  CHECK(outcomes.refused == 0);
}

TEST_CASE("a write-ahead log whose end is zeros or rubbish: what is missing is told") {
  Story story(true);
  tell(story, 5, true);
  const auto whole = story.remember();
  const auto size = whole.files.at("ssequel.db-wal").size();
  std::mt19937_64 random(4711);
  Outcomes outcomes;
  for (std::size_t kept = 0; kept < size; kept += 1009 * kStride) {
    CAPTURE(kept);
    auto torn = whole;
    auto& wal = torn.files["ssequel.db-wal"];
    for (auto at = kept; at < size; ++at) wal[at] = kept % 2 == 0 ? '\0' : static_cast<char>(random());
    story.go_back_to(torn);
    live_on(story, outcomes);
  }
  MESSAGE(outcomes.right << " right, " << outcomes.told << " told, " << outcomes.set_aside << " set aside");
  CHECK(outcomes.told >= size / (1009 * kStride) * 9 / 10);
}

void flip(std::string& bytes, std::mt19937_64& random) {
  if (bytes.empty()) return;
  const auto at = random() % bytes.size();
  switch (random() % 4) {
    case 0:  // A bit.
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 1:  // A byte.
      bytes[at] = static_cast<char>(random());
      break;
    case 2:  // A sector of zeros.
      for (auto i = at / 512 * 512; i < std::min(bytes.size(), at / 512 * 512 + 512); ++i) bytes[i] = '\0';
      break;
    default:  // A few bits all over it.
      for (int i = 0; i < 8; ++i) {
        auto& byte = bytes[random() % bytes.size()];
        byte = static_cast<char>(byte ^ (1 << random() % 8));
      }
  }
}

void flip_in(const std::string& name, bool is_killed, std::uint64_t seeds, std::uint64_t least_told) {
  Story story(false);
  tell(story, 6, is_killed);
  const auto whole = story.remember();
  Outcomes outcomes;
  for (std::uint64_t seed = 1; seed <= seeds; seed += kStride) {
    CAPTURE(name);
    CAPTURE(is_killed);
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto damaged = whole;
    flip(damaged.files.at(name), random);
    story.go_back_to(damaged);
    live_on(story, outcomes);
  }
  MESSAGE(name << std::string(is_killed ? " (killed): " : " (stopped): ") << outcomes.right << " right, "
               << outcomes.told << " told, " << outcomes.set_aside << " set aside, " << outcomes.refused << " refused");
  CHECK(outcomes.told + outcomes.refused >= at_least(least_told));
}

TEST_CASE("random damage of the files is found, or is where it does no harm") {
  flip_in("ssequel.db", false, 600, 80);
  flip_in("ssequel.db-wal", true, 400, 300);
  flip_in("ssequel.tail", true, 60, 5);
}

}  // namespace
}  // namespace ssequel::test
