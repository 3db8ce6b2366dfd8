#include "nodes/tail.h"

#include <algorithm>
#include <vector>

namespace ssequel::nodes {
namespace {

std::size_t size_of(const redis::Reply& reply) {
  std::size_t size = reply.text.size();
  for (const auto& element : reply.elements) size += size_of(element);
  return size;
}

}  // namespace

Tail::Tail(net::DeadlineQueue& deadlines, Random& random, const redis::ClientOptions& options, std::string wake_key,
           redis::Client& commands)
    : deadlines_(deadlines), wake_key_(std::move(wake_key)), commands_(commands), retry_(deadlines, *this) {
  // The files were looked at before (Client::check()); if they have gone since, there is no tail until they are back.
  if (auto client = redis::Client::create(deadlines, random, options, *this)) client_ = std::move(*client);
}

Tail::~Tail() { *alive_ = false; }

void Tail::follow(const std::string& key, TailListener& listener) {
  followed_[key] = &listener;
  is_stale_ = true;
  ask_soon();
}

void Tail::leave(const std::string& key) { followed_.erase(key); }

// What begins to follow in one turn is asked for at once.
void Tail::ask_soon() {
  if (std::exchange(is_scheduled_, true)) return;
  deadlines_.loop().defer([this, alive = alive_] {
    if (!*alive) return;
    is_scheduled_ = false;
    if (!is_asking_) return ask();
    if (is_stale_) wake();
  });
}

// The XREAD that waits does not know the newcomer: an element of our own ends it.
void Tail::wake() {
  commands_.send({"XADD", wake_key_, "MAXLEN", "1", "*", "wake", "1"}, wake_key_, [](const redis::Answer&) {});
  commands_.send({"PEXPIRE", wake_key_, "600000"}, wake_key_, [](const redis::Answer&) {});
}

void Tail::on_up() {
  if (!is_asking_) ask();
}

void Tail::ask() {
  if (is_asking_ || followed_.empty() || !client_) return;
  is_asking_ = true;
  is_stale_ = false;
  std::vector<std::string> words = {"XREAD",   "COUNT",  std::to_string(most_), "BLOCK", std::to_string(kBlock.count()),
                                    "STREAMS", wake_key_};
  for (const auto& [key, listener] : followed_) words.push_back(key);
  words.push_back(to_string(woken_));
  for (const auto& [key, listener] : followed_) words.push_back(to_string(listener->position()));
  const std::vector<std::string_view> views(words.begin(), words.end());
  client_->send(views, wake_key_, kBlock + Millis(2000), [this, alive = alive_](const redis::Answer& answer) {
    if (*alive) on_answer(answer);
  });
}

void Tail::on_answer(const redis::Answer& answer) {
  const auto alive = alive_;
  is_asking_ = false;
  if (!answer) {
    retry_.set(kRetry);
    return;
  }
  const auto size = size_of(*answer);
  if (size > kGoodBytes) most_ = std::max<std::size_t>(1, most_ / 2);
  if (size < kGoodBytes / 8) most_ = std::min(kMaxElements, most_ * 2);
  for (const auto& stream : answer->elements) {
    if (stream.elements.size() != 2) continue;
    const auto& key = stream.elements[0].text;
    const auto& elements = stream.elements[1];
    if (key == wake_key_) {
      if (elements.elements.empty() || elements.elements.back().elements.empty()) continue;
      woken_ = parse_stream_id(elements.elements.back().elements[0].text).value_or(woken_);
      continue;
    }
    const auto at = followed_.find(key);
    if (at == followed_.end()) continue;
    at->second->on_elements(elements);
    if (!*alive) return;
  }
  ask();
}

}  // namespace ssequel::nodes
