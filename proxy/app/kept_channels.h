// What a disk store kept, and the workers whose channels it becomes again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "gateway/worker.h"
#include "store/disk_store.h"

namespace ssequel::app {

// For gateway::House::open_store. The store must outlive the workers.
[[nodiscard]] std::function<std::unique_ptr<replay::Store>(net::DeadlineQueue&)> doors_of(store::DiskStore& store);

// Hands each kept log to the worker that owns its key, and lets the store run; before any loop runs. How many channels
// there are again. worker: any of the house's, for the settings.
[[nodiscard]] Result<std::uint64_t> revive_channels(store::DiskStore& store, gateway::House& house,
                                                    gateway::Worker& worker);

}  // namespace ssequel::app
