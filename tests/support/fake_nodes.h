// A journal that several nodes share, of which a test plays the others: who has the lease, what they append, what they
// read. It says what this node's channel told it.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "replay/journal.h"

namespace ssequel::test {

class FakeNodes final : public replay::Journal, public replay::Nodes {
 public:
  explicit FakeNodes(bool gives_places = false) : gives_places_(gives_places) {}

  replay::Watch watching = replay::Watch::None;
  std::vector<std::string> frames;  // Handed in by append(), in order.
  std::vector<std::string> heads;
  std::vector<replay::End> ends;
  std::vector<std::string> submitted;
  std::size_t releases = 0, tired_releases = 0, times_away = 0;
  std::vector<bool> refusals;  // for_all of each.
  std::optional<replay::Place> foremost_elsewhere;
  replay::Place foremost_told = 0;
  std::vector<std::function<void(bool)>> wishes;

  // --- The others
  void lead(bool has_lost = false) { nodes_->on_leading(has_lost); }
  void follow(std::string_view last_id) { nodes_->on_following(last_id); }
  void commit() {
    committed_ = end_;
    journal_->on_committed(committed_);
  }
  // Another node's entry, as it wrote it.
  void entry(replay::Place place, replay::Number number, std::string_view data, std::string_view last_id = {},
             std::optional<std::string_view> origin = std::nullopt) {
    const auto frame =
        "id: " + std::to_string(static_cast<std::uint64_t>(number)) + "\ndata: " + std::string(data) + "\n\n";
    const std::vector<replay::SharedEntry> entries = {
        {.place = place, .number = number, .origin = origin, .last_id = last_id, .frame = frame, .lines = {}}};
    end_ = committed_ = place + 1;
    nodes_->on_entries(entries);
  }
  // One whose place the store gave, as every node gets it.
  void placed(replay::Place place, replay::Number number, std::string_view lines) {
    const std::vector<replay::SharedEntry> entries = {
        {.place = place, .number = number, .origin = std::nullopt, .last_id = {}, .frame = {}, .lines = lines}};
    nodes_->on_entries(entries);
  }
  [[nodiscard]] replay::NodesListener& channel() { return *nodes_; }

  // --- Journal
  void set_listener(replay::JournalListener& listener) override { journal_ = &listener; }
  void begin(replay::Number) override {}
  void append(const replay::JournalEntry& entry) override {
    SSEQUEL_ASSERT(!gives_places_ && entry.place == end_, "entries come one after the other");
    frames.emplace_back(entry.frame);
    ++end_;
  }
  void set_head(std::string_view serialized_head) override { heads.emplace_back(serialized_head); }
  void set_retry(std::uint64_t) override {}
  void set_end(const replay::End& end) override { ends.push_back(end); }
  void evicted(replay::Place) override {}
  void forget() override {}
  [[nodiscard]] replay::Nodes* nodes() override { return this; }

  // --- Nodes
  void set_nodes_listener(replay::NodesListener& listener) override { nodes_ = &listener; }
  void watch(replay::Watch watch) override { watching = watch; }
  void set_foremost(replay::Place place) override { foremost_told = place; }
  [[nodiscard]] std::optional<replay::Place> foremost() const override { return foremost_elsewhere; }
  void set_away() override { ++times_away; }
  void release(bool tired) override {
    ++releases;
    tired_releases += tired ? 1 : 0;
  }
  void refuse(bool for_all) override { refusals.push_back(for_all); }
  void catch_up(std::function<void(bool)> done) override { wishes.push_back(std::move(done)); }
  [[nodiscard]] bool gives_places() const override { return gives_places_; }
  void submit(std::string_view lines, std::optional<std::string_view>) override { submitted.emplace_back(lines); }
  [[nodiscard]] std::uint64_t submitted_bytes() const override { return submitted_bytes_; }
  void hold(std::uint64_t bytes) { submitted_bytes_ = bytes; }

 private:
  const bool gives_places_;
  replay::JournalListener* journal_ = nullptr;
  replay::NodesListener* nodes_ = nullptr;
  replay::Place end_ = 0;
  replay::Place committed_ = 0;
  std::uint64_t submitted_bytes_ = 0;
};

}  // namespace ssequel::test
