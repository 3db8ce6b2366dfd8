#include "ids/ledger.h"

#include <utility>

namespace ssequel::ids {

void Ledger::failed(const std::string& what, const std::string& why) {
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    auto& entry = entries_[what];
    ++entry.errors;
    is_news = entry.why.empty();
    entry.why = why.empty() ? "away" : why;
  }
  if (is_news)
    logger_.warn("no ids to be had: events wait, upstreams are held back", {{"allocator", what}, {"why", why}});
}

void Ledger::works(const std::string& what) {
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    is_news = !std::exchange(entries_[what].why, {}).empty();
  }
  if (is_news) logger_.info("ids are to be had again", {{"allocator", what}});
}

std::map<std::string, Ledger::Entry> Ledger::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

}  // namespace ssequel::ids
