#include "app/window_verdict.h"

#include <doctest/doctest.h>

using namespace ssequel;
using namespace ssequel::app;
using namespace std::chrono_literals;
using relay::ResumeHour;
using relay::WindowBound;

namespace {

constexpr replay::Bounds kBounds{.events = 1000, .bytes = 16 << 20, .age = 1h};
constexpr std::uint64_t kStore = 256 << 20;

ResumeHour::Summary hour(std::uint64_t gaps, double used, WindowBound bound) {
  ResumeHour::Summary summary;
  summary.resumes = 10;
  summary.gaps = gaps;
  summary.most = {used, bound};
  return summary;
}

}  // namespace

TEST_CASE("without anybody who came back there is no verdict") {
  const auto verdict = window_verdict({}, kBounds, kStore);
  CHECK(verdict.kind == WindowVerdict::Kind::Unknown);
  CHECK(verdict.advice.empty());
}

TEST_CASE("a window covers what needed up to half of it, and is tight above") {
  const auto half = window_verdict(hour(0, 0.5, WindowBound::Events), kBounds, kStore);
  CHECK(half.kind == WindowVerdict::Kind::Covers);
  CHECK(half.setting == "window.events");
  CHECK(half.advice.empty());
  const auto more = window_verdict(hour(0, 0.61, WindowBound::Events), kBounds, kStore);
  CHECK(more.kind == WindowVerdict::Kind::Tight);
  CHECK(more.advice == "raise window.events from 1000 to 1300");
}

TEST_CASE("a gap means that it is too small, and the advice names the bound that binds") {
  const auto events = window_verdict(hour(1, 3.0, WindowBound::Events), kBounds, kStore);
  CHECK(events.kind == WindowVerdict::Kind::TooSmall);
  CHECK(events.advice == "raise window.events from 1000 to 6000");
  const auto bytes = window_verdict(hour(1, 1.0, WindowBound::Bytes), kBounds, kStore);
  CHECK(bytes.advice == "raise window.bytes from 16MiB to 40MiB");
  const auto age = window_verdict(hour(1, 1.0, WindowBound::Age), kBounds, kStore);
  CHECK(age.advice == "raise window.age from 1h to 2h");
  const auto store = window_verdict(hour(1, 1.0, WindowBound::Store), kBounds, kStore);
  CHECK(store.advice == "raise limits.store_bytes from 256MiB to 640MiB");
}

TEST_CASE("verdicts have names") {
  CHECK(name_of(WindowVerdict::Kind::Unknown) == "unknown");
  CHECK(name_of(WindowVerdict::Kind::Covers) == "covers");
  CHECK(name_of(WindowVerdict::Kind::Tight) == "tight");
  CHECK(name_of(WindowVerdict::Kind::TooSmall) == "too small");
}
