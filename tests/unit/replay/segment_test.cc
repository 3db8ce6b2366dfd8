#include "replay/segment.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "unit/replay/fixture.h"

namespace ssequel::replay {
namespace {

TEST_CASE("a segment holds frames as the chunks that go on the wire") {
  Segment segment(10, 500, 0, 4096, Millis(0));
  segment.append(segment.next_number(), "id: 500\ndata: a\n\n", {}, Millis(0));
  segment.append(segment.next_number(), "id: 501\ndata: bb\n\n", {}, Millis(0));
  CHECK(segment.framed(10, 12) ==
        "11\r\nid: 500\ndata: a\n\n\r\n"
        "12\r\nid: 501\ndata: bb\n\n\r\n");
  CHECK(segment.framed(11, 12) == "12\r\nid: 501\ndata: bb\n\n\r\n");
  CHECK(segment.framed(11, 11).empty());
  CHECK(segment.frame(10) == "id: 500\ndata: a\n\n");
  CHECK(segment.frame(11) == "id: 501\ndata: bb\n\n");
  CHECK(segment.size() == segment.framed(10, 12).size());
  CHECK(segment.data() == segment.framed(10, 12).data());
}

TEST_CASE("chunk framing is right at every size around a power of sixteen") {
  for (const std::size_t size : {1u, 15u, 16u, 17u, 255u, 256u, 4095u, 4096u, 65535u, 65536u, 1048576u}) {
    const std::string frame(size, 'f');
    Segment segment(0, 1, 0, Segment::framed_size(size), Millis(0));
    CHECK(segment.has_room(size));
    CHECK_FALSE(segment.has_room(size + 1));
    segment.append(segment.next_number(), frame, {}, Millis(0));
    CHECK(segment.framed(0, 1) == as_chunk(frame));
    CHECK(segment.size() == Segment::framed_size(size));
    const auto unframed = unframe(segment.framed(0, 1));
    CHECK(unframed.frame == frame);
    CHECK(unframed.framed_size == segment.size());
    CHECK_FALSE(segment.has_room(0));
  }
}

TEST_CASE("places and numbers of a segment are dense from its first") {
  Segment segment(10, 500, 0, 1024, Millis(0));
  CHECK(segment.end_place() == 10);
  CHECK(segment.next_number() == 500);
  for (int i = 0; i < 3; ++i) segment.append(segment.next_number(), "data: x\n\n", {}, Millis(0));
  CHECK(segment.first_place() == 10);
  CHECK(segment.end_place() == 13);
  CHECK(segment.number_of(12) == 502);
  CHECK(segment.next_number() == 503);
}

TEST_CASE("numbers may jump within a segment, and each finds its own place") {
  Segment segment(10, 500, 0, 4096, Millis(0));
  const std::vector<std::uint64_t> numbers = {500, 501, 600, 601, 602, 700, 800, 801};
  for (const auto number : numbers) segment.append(number, "data: x\n\n", {}, Millis(0));
  CHECK(segment.first_number() == 500);
  CHECK(segment.next_number() == 802);
  for (std::uint64_t number = 490; number < 820; ++number) {
    const auto at = std::find(numbers.begin(), numbers.end(), number);
    const auto place = segment.place_of(number);
    REQUIRE(place.has_value() == (at != numbers.end()));
    if (place) {
      CHECK(*place == 10 + static_cast<Place>(at - numbers.begin()));
      CHECK(segment.number_of(*place) == number);
    }
  }
}

TEST_CASE("every byte of a segment belongs to the entry it was written for") {
  Segment segment(7, 1, 0, 1024, Millis(0));
  for (const char* frame : {"a", "bbbb", "cccccccccccccccccccc"})
    segment.append(segment.next_number(), frame, {}, Millis(0));
  for (Place place = 7; place < 10; ++place) {
    const auto begin = segment.offset_of(place);
    const auto end = segment.offset_of(place + 1);
    for (auto offset = begin; offset < end; ++offset) CHECK(segment.place_at(offset) == place);
  }
  CHECK(segment.offset_of(10) == segment.size());
}

TEST_CASE("a position counts the log's bytes before the segment too") {
  Segment segment(7, 1, 5000, 1024, Millis(0));
  segment.append(segment.next_number(), "a", {}, Millis(0));
  CHECK(segment.position_of(7) == 5000);
  CHECK(segment.position_of(8) == 5000 + as_chunk("a").size());
}

TEST_CASE("a segment keeps an event's own origin id, an empty one too") {
  Segment segment(0, 1, 0, 1024, Millis(0));
  segment.append(segment.next_number(), "a", {}, Millis(0));
  segment.append(segment.next_number(), "b", "", Millis(0));
  segment.append(segment.next_number(), "c", "first", Millis(0));
  segment.append(segment.next_number(), "d", std::string(300, 'o'), Millis(0));
  segment.append(segment.next_number(), "e", std::string_view("\0\xff", 2), Millis(0));
  CHECK_FALSE(segment.origin_of(0).has_value());
  CHECK(segment.origin_of(1) == "");
  CHECK(segment.origin_of(2) == "first");
  CHECK(segment.origin_of(3) == std::string(300, 'o'));
  CHECK(segment.origin_of(4) == std::string_view("\0\xff", 2));
}

TEST_CASE("an origin id that no client could send back is not kept") {
  Segment segment(0, 1, 0, 1024, Millis(0));
  segment.append(segment.next_number(), "a", std::string(kMaxOrigin, 'o'), Millis(0));
  segment.append(segment.next_number(), "b", std::string(kMaxOrigin + 1, 'o'), Millis(0));
  CHECK(segment.origin_of(0).has_value());
  CHECK_FALSE(segment.origin_of(1).has_value());
}

TEST_CASE("an entry knows when it came") {
  Segment segment(0, 1, 0, 1024, Millis(5000));
  segment.append(segment.next_number(), "a", {}, Millis(5000));
  segment.append(segment.next_number(), "b", {}, Millis(5017));
  CHECK(segment.time_of(0) == Millis(5000));
  CHECK(segment.time_of(1) == Millis(5017));
}

TEST_CASE("a segment's bytes stay where they are while it grows") {
  Segment segment(0, 1, 0, 64 * 1024, Millis(0));
  segment.append(segment.next_number(), "id: 1\ndata: first\n\n", {}, Millis(0));
  const auto before = segment.framed(0, 1);
  for (int i = 0; i < 1000; ++i) segment.append(segment.next_number(), "id: 2\ndata: more\n\n", "origin", Millis(i));
  CHECK(segment.framed(0, 1).data() == before.data());
  CHECK(before == as_chunk("id: 1\ndata: first\n\n"));
}

}  // namespace
}  // namespace ssequel::replay
