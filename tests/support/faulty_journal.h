// A journal that commits when a test lets it, stalls and recovers, and can say at any time what would be found after
// the process died: what was committed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "replay/journal.h"

namespace ssequel::test {

class FaultyJournal final : public replay::Journal {
 public:
  struct Entry {
    replay::Place place;
    std::uint64_t number;
    std::optional<std::string> origin;
    std::string frame;
  };

  std::vector<Entry> entries;  // Given, in order; those below committed() are held.
  std::vector<std::string> heads;
  std::vector<std::uint64_t> retries;  // Given, in order.
  std::vector<replay::End> ends;
  std::vector<replay::Place> evictions;
  std::size_t times_forgotten = 0;

  [[nodiscard]] replay::Place committed() const { return committed_; }
  [[nodiscard]] std::size_t uncommitted() const { return entries.size() - committed_; }
  [[nodiscard]] std::uint64_t uncommitted_bytes() const {
    std::uint64_t bytes = 0;
    for (auto place = committed_; place < entries.size(); ++place) bytes += entries[place].frame.size();
    return bytes;
  }
  // The next `count` of what was given.
  void commit(std::size_t count) {
    SSEQUEL_ASSERT(count <= uncommitted(), "only what was given can be committed");
    committed_ += count;
    listener_->on_committed(committed_);
  }
  void commit() { commit(uncommitted()); }
  void commit_again() { listener_->on_committed(committed_); }
  void stall() { listener_->on_stalled({ErrorCode::RetryLater, "the disk is full"}); }
  void recover() { listener_->on_recovered(); }

  void set_listener(replay::JournalListener& listener) override { listener_ = &listener; }
  std::optional<replay::Number> begun;
  void begin(replay::Number first_number) override { begun = first_number; }
  void append(const replay::JournalEntry& entry) override {
    SSEQUEL_ASSERT(entry.place == entries.size(), "entries come one after the other");
    entries.push_back({.place = entry.place,
                       .number = static_cast<std::uint64_t>(entry.number),
                       .origin = entry.origin ? std::optional<std::string>(*entry.origin) : std::nullopt,
                       .frame = std::string(entry.frame)});
  }
  void set_head(std::string_view serialized_head) override { heads.emplace_back(serialized_head); }
  void set_retry(std::uint64_t milliseconds) override { retries.push_back(milliseconds); }
  void set_end(const replay::End& end) override {
    SSEQUEL_ASSERT(end.at == entries.size(), "an end stands behind what was given before it");
    ends.push_back(end);
  }
  void evicted(replay::Place first) override {
    SSEQUEL_ASSERT(first <= committed_, "only what is committed leaves the window");
    evictions.push_back(first);
  }
  void forget() override { ++times_forgotten; }

 private:
  replay::JournalListener* listener_ = nullptr;
  replay::Place committed_ = 0;
};

}  // namespace ssequel::test
