#include "app/recent_lines.h"

#include <algorithm>
#include <array>

namespace ssequel::app {
namespace {

// Where texts of the configuration may stand in a value (`problems`), it is left to the log.
constexpr std::array<std::string_view, 8> kShown = {"address", "channels", "error",  "key",
                                                    "path",    "route",    "status", "warning"};

}  // namespace

bool is_shown(std::string_view key) { return std::find(kShown.begin(), kShown.end(), key) != kShown.end(); }

void RecentLines::add(LogLevel level, std::int64_t unix_ms, std::string text) {
  if (text.size() > kMaxText) {
    auto end = kMaxText;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // Not inside a character.
    text.resize(end);
    text += "…";
  }
  const std::lock_guard lock(mutex_);
  Line line{.level = level, .last_ms = unix_ms, .text = std::move(text)};
  const auto same = std::find_if(lines_.begin(), lines_.end(), [&line](const Line& each) {
    return each.level == line.level && each.text == line.text;
  });
  if (same != lines_.end()) {
    line.times += same->times;
    lines_.erase(same);
  }
  lines_.push_back(std::move(line));
  if (lines_.size() > kMaxLines) lines_.pop_front();
}

std::vector<RecentLines::Line> RecentLines::lines() const {
  const std::lock_guard lock(mutex_);
  return {lines_.rbegin(), lines_.rend()};
}

}  // namespace ssequel::app
