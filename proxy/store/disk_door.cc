#include "store/disk_door.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ssequel::store {

// --------------------------------------------------------------------------------------------------------- inbox

void Inbox::put(std::vector<Arrived>&& arrived) {
  {
    const std::lock_guard lock(mutex_);
    if (arrived_.empty()) {
      arrived_ = std::move(arrived);
    } else {
      std::move(arrived.begin(), arrived.end(), std::back_inserter(arrived_));
    }
  }
  filled_.notify_one();
}

void Inbox::add_door(std::shared_ptr<DoorLink> door) {
  const std::lock_guard lock(mutex_);
  doors_.push_back(std::move(door));
}

void Inbox::remove_door(const DoorLink& door) {
  const std::lock_guard lock(mutex_);
  std::erase_if(doors_, [&](const auto& known) { return known.get() == &door; });
}

std::vector<std::shared_ptr<DoorLink>> Inbox::doors() {
  const std::lock_guard lock(mutex_);
  return doors_;
}

void Inbox::take(std::vector<Arrived>& out, Millis longest) {
  std::unique_lock lock(mutex_);
  const auto is_due = [this] { return is_closed_ || !arrived_.empty(); };
  if (longest == Millis::max()) {
    filled_.wait(lock, is_due);
  } else if (longest > Millis(0)) {
    filled_.wait_for(lock, longest, is_due);
  }
  std::move(arrived_.begin(), arrived_.end(), std::back_inserter(out));
  arrived_.clear();
}

void Inbox::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  filled_.notify_one();
}

bool Inbox::is_closed() {
  const std::lock_guard lock(mutex_);
  return is_closed_;
}

// ---------------------------------------------------------------------------------------------------------- door

DiskDoor::DiskDoor(Inbox& inbox, Adopt adopt, LoopTasks tasks, std::optional<Error> stalled)
    : inbox_(inbox),
      adopt_(std::move(adopt)),
      link_(std::make_shared<DoorLink>(std::move(tasks), *this)),
      stalled_(std::move(stalled)) {
  inbox_.add_door(link_);
}

DiskDoor::~DiskDoor() {
  flush();
  inbox_.remove_door(*link_);
  link_->close();
}

std::unique_ptr<replay::Journal> DiskDoor::open(const replay::LogRecord& record,
                                                std::shared_ptr<const replay::ReplayLog> log) {
  auto ledger = std::make_shared<Ledger>();
  ledger->record = record;
  ledger->log = std::move(log);
  return std::make_unique<DiskJournal>(*this, std::move(ledger), nullptr);
}

std::unique_ptr<replay::Journal> DiskDoor::adopt(const replay::SavedLog& saved) {
  return std::make_unique<DiskJournal>(*this, adopt_(saved.handle), &saved);
}

void DiskDoor::add(DiskJournal& journal) {
  journals_.emplace(journal.ledger_.get(), &journal);
  if (!stalled_) return;
  link_->defer(
      [ledger = journal.ledger_](DiskDoor& door) {
        if (!door.stalled_) return;
        const auto at = door.journals_.find(ledger.get());
        if (at != door.journals_.end() && at->second->listener_) at->second->listener_->on_stalled(*door.stalled_);
      },
      link_);
}

void DiskDoor::remove(DiskJournal& journal) {
  journals_.erase(journal.ledger_.get());
  if (!std::exchange(journal.is_dirty_, false)) return;
  std::erase(dirty_, &journal);
  arrived_.push_back({journal.ledger_, link_, std::move(journal.change_)});
  schedule();
}

void DiskDoor::flush_later(DiskJournal& journal) {
  dirty_.push_back(&journal);
  schedule();
}

void DiskDoor::schedule() {
  if (std::exchange(is_scheduled_, true)) return;
  link_->defer([](DiskDoor& door) { door.flush(); }, link_);
}

void DiskDoor::flush() {
  is_scheduled_ = false;
  for (auto* journal : dirty_) {
    journal->is_dirty_ = false;
    arrived_.push_back({journal->ledger_, link_, std::exchange(journal->change_, {})});
  }
  dirty_.clear();
  if (!arrived_.empty()) inbox_.put(std::exchange(arrived_, {}));
}

void DiskDoor::on_committed(const std::vector<std::pair<std::shared_ptr<Ledger>, replay::Place>>& ends) {
  for (const auto& [ledger, end] : ends) {
    const auto at = journals_.find(ledger.get());
    if (at != journals_.end() && at->second->listener_) at->second->listener_->on_committed(end);
  }
}

void DiskDoor::on_stalled(const Error& why) {
  stalled_ = why;
  std::vector<std::shared_ptr<Ledger>> all;
  all.reserve(journals_.size());
  for (const auto& [ledger, journal] : journals_) all.push_back(journal->ledger_);
  for (const auto& ledger : all) {
    const auto at = journals_.find(ledger.get());
    if (at != journals_.end() && at->second->listener_) at->second->listener_->on_stalled(why);
  }
}

void DiskDoor::on_recovered() {
  stalled_.reset();
  std::vector<std::shared_ptr<Ledger>> all;
  all.reserve(journals_.size());
  for (const auto& [ledger, journal] : journals_) all.push_back(journal->ledger_);
  for (const auto& ledger : all) {
    const auto at = journals_.find(ledger.get());
    if (at != journals_.end() && at->second->listener_) at->second->listener_->on_recovered();
  }
}

// ------------------------------------------------------------------------------------------------------- journal

DiskJournal::DiskJournal(DiskDoor& door, std::shared_ptr<Ledger> ledger, const replay::SavedLog* saved)
    : door_(door), ledger_(std::move(ledger)), last_id_(saved ? saved->last_id : std::string()), is_known_(saved) {
  door_.add(*this);
}

DiskJournal::~DiskJournal() { door_.remove(*this); }

Change& DiskJournal::change() {
  is_known_ = true;
  if (!std::exchange(is_dirty_, true)) door_.flush_later(*this);
  return change_;
}

void DiskJournal::begin(replay::Number first_number) {
  SSEQUEL_ASSERT(!is_known_, "a log begins before the store hears of it");
  ledger_->record.first_number = first_number;
}

void DiskJournal::append(const replay::JournalEntry& entry) {
  auto& change = this->change();
  if (change.blocks.empty() || change.blocks.back().size() >= JournalFile::kMaxBlock) {
    change.blocks.emplace_back();
    change.blocks.back().first = entry.place;
  }
  change.blocks.back().append(entry);
  change.next_number = entry.number + 1;
  if (entry.last_id != last_id_) {
    last_id_ = entry.last_id;
    change.last_id = last_id_;
  }
}

void DiskJournal::set_head(std::string_view serialized_head) { change().head = serialized_head; }

void DiskJournal::set_retry(std::uint64_t milliseconds) { change().retry_ms = milliseconds; }

void DiskJournal::set_end(const replay::End& end) { change().ends.push_back(end); }

void DiskJournal::evicted(replay::Place first) { change().first = std::max(change_.first, first); }

void DiskJournal::forget() {
  if (is_known_) change().forget = true;
}

}  // namespace ssequel::store
