// A loop's side of the disk store: its logs' journals, and what they hand over at the end of a turn.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "replay/journal.h"
#include "store/disk_store.h"
#include "store/journal_file.h"

namespace ssequel::store {

class DiskDoor;
class DiskJournal;

// Outlives its door, so that answers on their way find it gone.
class DoorLink {
 public:
  DoorLink(LoopTasks tasks, DiskDoor& door) : tasks_(std::move(tasks)), door_(&door) {}
  // From any thread: the task runs on the loop's, unless the door is gone by then.
  void post(std::function<void(DiskDoor&)> task, const std::shared_ptr<DoorLink>& self) {
    const std::lock_guard lock(mutex_);
    if (!tasks_.post) return;
    tasks_.post([self, task = std::move(task)] {
      if (self->door_) task(*self->door_);
    });
  }
  // The loop's thread: at the end of this turn.
  void defer(std::function<void(DiskDoor&)> task, const std::shared_ptr<DoorLink>& self) {
    tasks_.defer([self, task = std::move(task)] {
      if (self->door_) task(*self->door_);
    });
  }
  // The loop's thread: the door goes, and the loop may follow.
  void close() {
    const std::lock_guard lock(mutex_);
    door_ = nullptr;
    tasks_ = {};
  }

 private:
  std::mutex mutex_;  // Guards tasks_.post.
  LoopTasks tasks_;
  DiskDoor* door_;  // The loop's thread's.
};

struct Arrived {
  std::shared_ptr<Ledger> ledger;
  std::shared_ptr<DoorLink> door;  // Null: nobody waits for an answer.
  Change change;
};

// Where loops leave what has arrived, and the store's thread finds it.
class Inbox {
 public:
  void put(std::vector<Arrived>&& arrived);
  // A new door: told of what is.
  void add_door(std::shared_ptr<DoorLink> door);
  void remove_door(const DoorLink& door);
  [[nodiscard]] std::vector<std::shared_ptr<DoorLink>> doors();
  // Waits until there is something, close() was called, or `longest` is over. Adds to `out`.
  void take(std::vector<Arrived>& out, Millis longest);
  void close();
  [[nodiscard]] bool is_closed();

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<Arrived> arrived_;
  std::vector<std::shared_ptr<DoorLink>> doors_;
  bool is_closed_ = false;
};

class DiskDoor final : public replay::Store {
 public:
  using Adopt = std::function<std::shared_ptr<Ledger>(std::uint64_t handle)>;
  // stalled: as the store is now.
  DiskDoor(Inbox& inbox, Adopt adopt, LoopTasks tasks, std::optional<Error> stalled);
  ~DiskDoor() override;
  [[nodiscard]] std::unique_ptr<replay::Journal> open(const replay::LogRecord& record,
                                                      std::shared_ptr<const replay::ReplayLog> log) override;
  [[nodiscard]] std::unique_ptr<replay::Journal> adopt(const replay::SavedLog& saved) override;

  // Answers of the store, on the loop's thread.
  void on_committed(const std::vector<std::pair<std::shared_ptr<Ledger>, replay::Place>>& ends);
  void on_stalled(const Error& why);
  void on_recovered();

 private:
  friend class DiskJournal;
  void add(DiskJournal& journal);
  void remove(DiskJournal& journal);
  void hand_over(std::shared_ptr<Ledger> ledger, Change change);  // From a journal that goes.
  void flush_later(DiskJournal& journal);
  void schedule();
  void flush();

  Inbox& inbox_;
  const Adopt adopt_;
  std::shared_ptr<DoorLink> link_;
  std::unordered_map<const Ledger*, DiskJournal*> journals_;
  std::vector<DiskJournal*> dirty_;
  std::vector<Arrived> arrived_;
  std::optional<Error> stalled_;
  bool is_scheduled_ = false;
};

class DiskJournal final : public replay::Journal {
 public:
  // saved: null for a new log.
  DiskJournal(DiskDoor& door, std::shared_ptr<Ledger> ledger, const replay::SavedLog* saved);
  ~DiskJournal() override;
  void set_listener(replay::JournalListener& listener) override { listener_ = &listener; }
  void begin(replay::Number first_number) override;
  void append(const replay::JournalEntry& entry) override;
  void set_head(std::string_view serialized_head) override;
  void set_retry(std::uint64_t milliseconds) override;
  void set_end(const replay::End& end) override;
  void evicted(replay::Place first) override;
  void forget() override;

 private:
  friend class DiskDoor;
  Change& change();

  DiskDoor& door_;
  const std::shared_ptr<Ledger> ledger_;
  replay::JournalListener* listener_ = nullptr;
  std::string last_id_;
  Change change_;
  bool is_dirty_ = false;
  bool is_known_ = false;  // To the store: a log that nothing was ever said of is none.
};

}  // namespace ssequel::store
