// How allocators fare, for the operator: why ids are not to be had, and how often asking failed. From any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/logger.h"

namespace ssequel::ids {

class Ledger {
 public:
  explicit Ledger(Logger& logger) : logger_(logger) {}

  // what: redis, postgres, node. Logged once an outage.
  void failed(const std::string& what, const std::string& why);
  void works(const std::string& what);

  struct Entry {
    std::string why;  // Empty: all is well.
    std::uint64_t errors = 0;
  };
  // What was ever in use.
  [[nodiscard]] std::map<std::string, Entry> entries() const;

 private:
  Logger& logger_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace ssequel::ids
