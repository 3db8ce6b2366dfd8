#include "app/kept_channels.h"

#include <utility>

namespace ssequel::app {

std::function<std::unique_ptr<replay::Store>(net::DeadlineQueue&)> doors_of(store::DiskStore& store) {
  return [&store](net::DeadlineQueue& deadlines) {
    auto& loop = deadlines.loop();
    return store.door({.post = [&loop](std::function<void()> task) { loop.post(std::move(task)); },
                       .defer = [&loop](std::function<void()> task) { loop.defer(std::move(task)); }});
  };
}

Result<std::uint64_t> revive_channels(store::DiskStore& store, gateway::House& house, gateway::Worker& worker) {
  const auto& settings = worker.settings();
  auto kept = store.load([&settings](const replay::LogRecord& record) -> std::optional<replay::Bounds> {
    const auto route = settings.route_of(record);
    return route ? std::optional(route->bounds()) : std::nullopt;
  });
  if (!kept) return tl::unexpected<Error>(kept.error());
  house.beginnings.given(kept->given.highest, {});
  for (const auto& [key, highest] : kept->given.by_key) house.beginnings.given(highest, key);
  house.beginnings.forgotten_at(kept->given.forgotten_at);
  std::uint64_t revived = 0;
  for (auto& saved : kept->logs) {
    if (worker.owner_of(saved.record.key).channels().revive(std::move(saved))) ++revived;
  }
  store.run();
  return revived;
}

}  // namespace ssequel::app
