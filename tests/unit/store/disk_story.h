// Several lives of one disk store, told from a loop's side, and what clients were promised in them: what on_committed()
// named may have been seen, and must be there in the next life with the same bytes, or its loss be told.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replay/sequencer.h"
#include "store/disk_store.h"
#include "support/faulty_vfs.h"
#include "support/temporary_folder.h"

namespace ssequel::test {

// Every case is told in an optimised program; under a sanitizer, which makes them ten times as slow, each fifth.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kStride = 5;  // Odd, and no multiple of three: the kinds of failure take turns.
#else
inline constexpr std::uint64_t kStride = 1;
#endif
// How often something has to happen at least, of what it is with every case told. Threads make the number of calls
// vary.
constexpr std::uint64_t at_least(std::uint64_t full) { return kStride == 1 ? full : full / (2 * kStride); }

// Time that the story moves, and the store's thread reads.
class StoryClock final : public Clock {
 public:
  [[nodiscard]] Millis now() const override { return Millis(now_.load()); }
  [[nodiscard]] std::int64_t unix_micros() const override { return now_.load() * 1000; }
  void advance(Millis by) { now_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_{1'750'000'000'000};
};

// A loop that runs where the test says so.
class StoryLoop {
 public:
  store::LoopTasks tasks() {
    return {.post =
                [this](std::function<void()> task) {
                  const std::lock_guard lock(mutex_);
                  posted_.push_back(std::move(task));
                  arrived_.notify_one();
                },
            .defer = [this](std::function<void()> task) { deferred_.push_back(std::move(task)); }};
  }
  // One turn: what was posted, then what was deferred.
  void turn() {
    std::deque<std::function<void()>> posted;
    {
      const std::lock_guard lock(mutex_);
      posted.swap(posted_);
    }
    for (auto& task : posted) task();
    while (!deferred_.empty()) {
      for (auto& task : std::exchange(deferred_, {})) task();
    }
  }
  // Turns until it holds; false after `longest`.
  bool run_until(const std::function<bool()>& holds, Millis longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    for (turn(); !holds(); turn()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, Millis(1), [this] { return !posted_.empty(); });
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> posted_;
  std::vector<std::function<void()>> deferred_;
};

struct Given {
  std::uint64_t number = 0;
  std::string frame;
  std::optional<std::string> origin;
  friend bool operator==(const Given&, const Given&) = default;
};

// What is known of a log outside its store, over all lives.
struct Known {
  replay::LogRecord record;
  std::map<replay::Place, Given> journalled;  // Since the log began; some of it perhaps in vain.
  replay::Place end = 0;                      // Below: committed, so clients may have seen it.
  replay::Place first = 0;                    // Of the window, committed.
  replay::Place first_tried = 0;
  std::vector<std::string> heads = {
      std::string()};  // What the head may be: the committed one and those journalled since.
  std::vector<std::string> last_ids = {std::string()};  // As heads.
  std::vector<replay::End> ends;                        // Journalled; the first ends_sure of them committed.
  std::size_t ends_sure = 0;
  bool is_sure = false;  // The log itself is committed.
  bool is_forgotten = false;
  std::uint64_t highest_seen = 0;
};

class Story;

// A channel, as a store sees it.
class StoryChannel final : public replay::JournalListener {
 public:
  StoryChannel(Known& known, std::shared_ptr<replay::ReplayLog> log) : known_(known), log_(std::move(log)) {}

  void attach(std::unique_ptr<replay::Journal> journal) {
    journal_ = std::move(journal);
    journal_->set_listener(*this);
  }
  void append(std::string_view data, std::optional<std::string> origin, Millis now) {
    Given given{
        .number = static_cast<std::uint64_t>(log_->next_number()), .frame = "id: ", .origin = std::move(origin)};
    replay::append_id(given.frame, log_->form(), given.number, given.origin.value_or(""));
    given.frame += "\ndata: ";
    given.frame += data;
    given.frame += "\n\n";
    const auto place = log_->append(given.frame, given.number, given.origin, now);
    if (given.origin) last_id_ = *given.origin;
    journal_->append({.place = place,
                      .number = given.number,
                      .origin = given.origin ? std::optional<std::string_view>(*given.origin) : std::nullopt,
                      .last_id = last_id_,
                      .frame = given.frame});
    known_.journalled.erase(known_.journalled.lower_bound(place), known_.journalled.end());
    known_.journalled[place] = std::move(given);
    known_.last_ids.push_back(last_id_);
    is_waiting_ = true;
  }
  void set_head(const std::string& head) {
    journal_->set_head(head);
    known_.heads.push_back(head);
    is_waiting_ = true;
  }
  void set_end(bool is_clean) {
    log_->add_end(is_clean);
    const replay::End end{.at = log_->appended(), .is_clean = is_clean};
    journal_->set_end(end);
    known_.ends.push_back(end);
    is_waiting_ = true;
  }
  // All but the newest `keep` committed entries leave the window.
  void evict(std::uint64_t keep) {
    while (log_->published() - log_->first() > keep) log_->evict_bytes(1);
    journal_->evicted(log_->first());
    known_.first_tried = log_->first();
    is_waiting_ = true;
  }
  void forget() {
    journal_->forget();
    known_.is_forgotten = true;
    journal_.reset();
    is_waiting_ = false;
  }
  void close() { journal_.reset(); }

  [[nodiscard]] bool is_waiting() const { return journal_ && is_waiting_; }
  [[nodiscard]] bool is_stalled() const { return is_stalled_; }
  [[nodiscard]] Known& known() { return known_; }
  [[nodiscard]] replay::ReplayLog& log() { return *log_; }
  void set_last_id(std::string id) { last_id_ = std::move(id); }

  // The story waits for each answer before it goes on, so one answer covers everything.
  void on_committed(replay::Place end) override {
    CHECK(end == log_->appended());
    CHECK(end >= known_.end);
    log_->publish(end);
    log_->set_saved();
    known_.is_sure = true;
    known_.end = end;
    known_.first = known_.first_tried;
    if (!known_.heads.empty()) known_.heads.erase(known_.heads.begin(), known_.heads.end() - 1);
    if (!known_.last_ids.empty()) known_.last_ids.erase(known_.last_ids.begin(), known_.last_ids.end() - 1);
    known_.ends_sure = known_.ends.size();
    for (const auto& [place, given] : known_.journalled) {
      if (place < end) known_.highest_seen = std::max(known_.highest_seen, given.number);
    }
    is_waiting_ = false;
  }
  void on_stalled(const Error& why) override {
    CHECK_FALSE(why.context.empty());
    is_stalled_ = true;
  }
  void on_recovered() override { is_stalled_ = false; }

 private:
  Known& known_;
  const std::shared_ptr<replay::ReplayLog> log_;
  std::unique_ptr<replay::Journal> journal_;
  std::string last_id_;
  bool is_waiting_ = false;
  bool is_stalled_ = false;
};

class Story {
 public:
  explicit Story(bool sync_always) : sync_always_(sync_always) {}
  ~Story() { end_life(); }

  FaultyVfs vfs{"faulty", false};
  // In memory where it can be: what a sync has made safe is the VFS's account, and thousands of lives take a while.
  TemporaryFolder folder{::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path()};
  std::string boot_id = "boot-1";
  std::uint64_t wal_bytes = 1;      // As little as it takes.
  std::uint64_t times_told = 0;     // A life began with the news of a loss.
  std::uint64_t times_refused = 0;  // A life did not begin: an error was told instead.
  std::uint64_t logs_checked = 0;   // Found again, and found right.
  std::uint64_t entries_checked = 0;
  Error refused;

  // Opens, loads, checks what was found against what is known, adopts all of it. False: the store refused.
  bool begin_life() {
    REQUIRE(store_ == nullptr);
    clock_.advance(Millis(1'000));
    auto opened = store::DiskStore::open({.directory = folder.path("store"),
                                          .sync_always = sync_always_,
                                          .wal_bytes = wal_bytes,
                                          .vfs = "faulty",
                                          .boot_id = boot_id},
                                         logger_, clock_);
    if (!opened) return refuse(opened.error());
    store_ = std::move(*opened);
    auto kept = store_->load([](const replay::LogRecord&) { return replay::Bounds{.events = 0}; });
    if (!kept) return refuse(kept.error());
    // Of the journal itself, of a log, or of the keys' numbers.
    const bool is_told = store_->status().gaps > 0 || kept->given.forgotten_at > forgotten_at_;
    forgotten_at_ = kept->given.forgotten_at;
    if (is_told) ++times_told;
    if (is_told) {
    }
    beginnings_ = std::make_unique<replay::Beginnings>();
    beginnings_->given(kept->given.highest, {});
    for (const auto& [key, highest] : kept->given.by_key) beginnings_->given(highest, key);
    if (kept->given.forgotten_at != 0) beginnings_->forgotten_at(kept->given.forgotten_at);
    loop_ = std::make_unique<StoryLoop>();
    door_ = store_->door(loop_->tasks());
    for (auto& known : known_) check_found(*known, kept->logs, is_told);
    for (const auto& saved : kept->logs) {
      const auto at =
          std::find_if(known_.begin(), known_.end(), [&](const auto& known) { return known->record == saved.record; });
      REQUIRE_MESSAGE(at != known_.end(), "a log that was never opened");
      CHECK_MESSAGE(find(saved.record.key) == nullptr, "two logs of one channel");
      adopt(**at, saved);
    }
    store_->run();
    return true;
  }

  // A log that is new in this life.
  StoryChannel& open(const std::string& key, const std::string& tag, bool has_start) {
    replay::LogRecord record;
    record.key = key;
    record.route = "route";
    record.signature = "signature";
    record.form = {.tag = tag, .carries_origin = !tag.empty()};
    record.has_start = has_start;
    record.is_session = !tag.empty();
    record.method = "GET";
    record.target = "/" + key;
    record.host = "host";
    if (!tag.empty()) {
      record.first_number = 1;
    } else if (has_start) {
      record.first_number = beginnings_->begin_at(7, key);
    } else {
      record.first_number = beginnings_->begin_at_time(clock_.unix_micros());
    }
    for (const auto& known : known_) {
      if (known->record.key != key || !tag.empty()) continue;
      CHECK_MESSAGE(record.first_number > known->highest_seen + 1, "the ids of a new log are above all earlier ones");
    }
    // One that nobody ever heard of may have begun there.
    std::erase_if(known_, [&](const auto& known) { return known->record == record && !known->is_sure; });
    known_.push_back(std::make_unique<Known>());
    auto& known = *known_.back();
    known.record = record;
    auto log = std::make_shared<replay::ReplayLog>(record.form, record.first_number, replay::Bounds{.events = 0});
    auto channel = std::make_unique<StoryChannel>(known, log);
    channel->attach(door_->open(record, log));
    channel->set_head("X-New: yes\r\n");
    return *(channels_[key] = std::move(channel));
  }
  [[nodiscard]] StoryChannel* find(const std::string& key) {
    const auto at = channels_.find(key);
    return at == channels_.end() ? nullptr : at->second.get();
  }
  StoryChannel& find_or_open(const std::string& key, const std::string& tag, bool has_start) {
    auto* channel = find(key);
    return channel ? *channel : open(key, tag, has_start);
  }
  void append(StoryChannel& channel, std::size_t size, std::optional<std::string> origin = std::nullopt) {
    clock_.advance(Millis(1));
    ++events_;
    const std::string padding(size, static_cast<char>('a' + events_ % 26));
    channel.append(fmt::format("{} {}", events_, padding), std::move(origin), clock_.now());
  }
  void forget(const std::string& key) {
    const auto& known = channels_.at(key)->known();
    beginnings_->given(known.highest_seen, known.record.has_start ? key : std::string());
    channels_.at(key)->forget();
    channels_.erase(key);
  }
  // Until everything that was journalled is committed; false if the machine stopped.
  bool settle() {
    const bool is_settled = settle(Millis(10'000));
    CHECK_MESSAGE((is_settled || vfs.has_stopped()),
                  "the store goes on by itself: " << who_waits() << store_->status().why);
    return is_settled;
  }
  bool settle(Millis longest) {
    const auto is_done = [this] {
      return vfs.has_stopped() || std::none_of(channels_.begin(), channels_.end(), [](const auto& one) {
               return one.second->is_waiting() || one.second->is_stalled();
             });
    };
    return loop_->run_until(is_done, longest) && !vfs.has_stopped();
  }
  [[nodiscard]] std::string who_waits() const {
    std::string names;
    for (const auto& [key, channel] : channels_) {
      if (channel->is_waiting()) names += key + " waits ";
      if (channel->is_stalled()) names += key + " is stalled ";
    }
    return names;
  }
  void end_life() {
    for (auto& [key, channel] : channels_) channel->close();
    channels_.clear();
    door_.reset();
    if (store_) store_->close(vfs.has_stopped() ? Millis(0) : Millis(10'000));
    store_.reset();
    loop_.reset();
  }
  void kill() {
    vfs.stop();
    end_life();
    vfs.start_again(FaultyVfs::Survives::Everything);
  }
  // Between lives: what lies in the directory, and what is known of it.
  struct Moment {
    std::map<std::string, std::string> files;
    std::vector<Known> known;
  };
  [[nodiscard]] Moment remember() const {
    Moment moment;
    for (const auto& known : known_) moment.known.push_back(*known);
    for (const auto& file : std::filesystem::directory_iterator(folder.path("store"))) {
      std::ifstream content(file.path(), std::ios::binary);
      moment.files[file.path().filename()] = {std::istreambuf_iterator<char>(content), {}};
    }
    return moment;
  }
  void go_back_to(const Moment& moment) {
    REQUIRE(store_ == nullptr);
    std::filesystem::remove_all(folder.path("store"));
    std::filesystem::create_directory(folder.path("store"));
    for (const auto& [name, content] : moment.files) {
      std::ofstream(folder.path("store") + "/" + name, std::ios::binary) << content;
    }
    known_.clear();
    for (const auto& known : moment.known) known_.push_back(std::make_unique<Known>(known));
  }
  [[nodiscard]] std::size_t files_set_aside() const {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder.path("store"))) {
      const std::string name = file.path().filename();
      if (name.find(".damaged-") != std::string::npos && !name.ends_with("-wal")) ++count;
    }
    return count;
  }
  [[nodiscard]] store::DiskStatus status() const { return store_->status(); }
  [[nodiscard]] std::string file() const { return folder.path("store") + "/ssequel.db"; }

 private:
  bool refuse(const Error& error) {
    refused = error;
    ++times_refused;
    CHECK_FALSE(error.context.empty());
    store_.reset();
    return false;
  }
  void adopt(Known& known, const replay::SavedLog& saved) {
    // What was journalled and not committed may be there or not: what was found is what there is.
    known.end = saved.log->published();
    known.first = known.first_tried = saved.log->first();
    known.journalled.erase(known.journalled.lower_bound(known.end), known.journalled.end());
    known.heads.assign(1, saved.head);
    known.last_ids.assign(1, saved.last_id);
    known.is_sure = true;
    known.is_forgotten = false;  // Nobody was told that it was.
    known.ends.clear();
    if (const auto last = saved.log->last_end()) known.ends.push_back(*last);
    known.ends_sure = known.ends.size();
    for (const auto& [place, given] : known.journalled) {
      known.highest_seen = std::max(known.highest_seen, given.number);
    }
    auto channel = std::make_unique<StoryChannel>(known, saved.log);
    channel->set_last_id(saved.last_id);
    channel->attach(door_->adopt(saved));
    if (saved.has_lost) channel->append("store-gap", std::nullopt, clock_.now());
    channel->set_head(saved.head);  // Something to be answered.
    channels_[saved.record.key] = std::move(channel);
  }
  void check_found(Known& known, const std::vector<replay::SavedLog>& logs, bool is_told) {
    CAPTURE(known.record.key);
    const auto at =
        std::find_if(logs.begin(), logs.end(), [&](const auto& saved) { return saved.record == known.record; });
    if (at == logs.end()) {
      CHECK_MESSAGE((known.is_forgotten || !known.is_sure || is_told), "a log is missing and nobody was told");
      known.is_sure = false;
      return;
    }
    const auto& log = *at->log;
    CHECK(log.next_number() > known.highest_seen);
    if (at->has_lost) CHECK(is_told);
    if (!is_told) {
      CHECK(log.published() >= known.end);
      CHECK(log.first() >= std::min(known.first, known.first_tried));
      CHECK_MESSAGE((std::find(known.last_ids.begin(), known.last_ids.end(), at->last_id) != known.last_ids.end()),
                    "the upstream's last id is " << at->last_id << ", not " << known.last_ids.back());
    }
    CHECK(log.first() <= std::max(known.first, known.first_tried));
    if (!known.heads.empty() && !is_told) {
      CHECK(std::find(known.heads.begin(), known.heads.end(), at->head) != known.heads.end());
    }
    check_entries(known, log);
    if (!is_told) check_ends(known, log);
    ++logs_checked;
  }
  void check_entries(const Known& known, const replay::ReplayLog& log) {
    std::vector<replay::Run> runs;
    replay::Place place = log.first();
    std::uint64_t last = 0;
    while (place < log.published()) {
      REQUIRE(log.read(place, log.published(), 16, 1 << 20, runs));
      REQUIRE_FALSE(runs.empty());
      for (const auto& run : runs) {
        auto bytes = run.bytes;
        for (; place < run.end; ++place, ++entries_checked) {
          const auto framed = replay::unframe(bytes);
          bytes.remove_prefix(framed.framed_size);
          const auto given = known.journalled.find(place);
          REQUIRE_MESSAGE(given != known.journalled.end(), "an entry that was never given");
          const bool is_same = given->second.frame == framed.frame && given->second.origin == log.origin_of(place);
          CHECK_MESSAGE(is_same, "an entry has other bytes than those that were given");
          CHECK(given->second.number > last);
          last = given->second.number;
        }
      }
    }
    CHECK(log.next_number() > last);
  }
  void check_ends(const Known& known, const replay::ReplayLog& log) {
    // The committed ones behind the window's first entry, and perhaps more.
    if (known.ends_sure == 0) return;
    const auto& end = known.ends[known.ends_sure - 1];
    if (end.at < log.first() || end.at != log.published()) return;
    const auto last = log.last_end();
    REQUIRE(last.has_value());
    CHECK(last->at == end.at);
    if (known.ends.size() == known.ends_sure) CHECK(last->is_clean == end.is_clean);
  }

  const bool sync_always_;
  StoryClock clock_;
  NullLogger logger_;
  std::vector<std::unique_ptr<Known>> known_;
  std::unique_ptr<replay::Beginnings> beginnings_;
  std::unique_ptr<StoryLoop> loop_;
  std::unique_ptr<store::DiskStore> store_;
  std::unique_ptr<replay::Store> door_;
  std::map<std::string, std::unique_ptr<StoryChannel>> channels_;
  std::uint64_t events_ = 0;
  std::uint64_t forgotten_at_ = 0;
};

}  // namespace ssequel::test
