#include "replay/origin_index.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

namespace ssequel::replay {
namespace {

TEST_CASE("an index of nothing finds nothing and costs nothing") {
  OriginIndex index;
  CHECK_FALSE(index.newest("a").has_value());
  CHECK_FALSE(index.newest_published("a").has_value());
  index.drop("a", 0);
  CHECK(index.memory() == 0);
}

TEST_CASE("an entry is the writer's when it is put in and the readers' when it is published") {
  OriginIndex index;
  index.put("a", 1);
  CHECK(index.newest("a") == 1);
  CHECK_FALSE(index.newest_published("a").has_value());
  index.publish("a", 1);
  index.put("a", 2);
  CHECK(index.newest("a") == 2);
  CHECK(index.newest_published("a") == 1);
  index.drop("a", 1);  // The older of the two leaves the window.
  CHECK(index.newest("a") == 2);
  CHECK_FALSE(index.newest_published("a").has_value());
  index.publish("a", 2);
  CHECK(index.newest_published("a") == 2);
}

TEST_CASE("dropping an entry that a newer one has replaced changes nothing") {
  OriginIndex index;
  for (Place place = 1; place <= 2; ++place) {
    index.put("a", place);
    index.publish("a", place);
  }
  index.drop("a", 1);
  CHECK(index.newest_published("a") == 2);
}

TEST_CASE("the index agrees with a map while a window slides over it") {
  std::mt19937_64 random(7);
  OriginIndex index;
  std::vector<std::string> window;  // By place.
  Place first = 0;
  std::size_t most = 0;
  for (int round = 0; round < 4000; ++round) {
    const bool is_growing = (round / 500) % 2 == 0;
    if (random() % 100 < (is_growing ? 70 : 30)) {
      window.push_back(std::to_string(random() % 400));
      index.put(window.back(), window.size() - 1);
      index.publish(window.back(), window.size() - 1);
    } else if (first < window.size()) {
      index.drop(window[first], first);
      ++first;
    }
    std::map<std::string, Place> model;
    for (Place place = first; place < window.size(); ++place) model[window[place]] = place;
    const auto probe = std::to_string(random() % 400);
    const auto expected = model.find(probe);
    REQUIRE(index.newest(probe) == (expected == model.end() ? std::nullopt : std::optional(expected->second)));
    most = std::max(most, index.memory());
  }
  for (; first < window.size(); ++first) index.drop(window[first], first);
  CHECK(most > index.memory());  // It shrinks again.
  CHECK(index.memory() < 1000);
}

}  // namespace
}  // namespace ssequel::replay
